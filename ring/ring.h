// SPDX-License-Identifier: Apache-2.0
//
// ring.h: io_uring as operations, timers and mail, one ring a core. The seam a simulator replaces.
//
// The owner of a socket embeds a `struct ring_op` for each thing it may have in flight (one
// receive, one send, …) and submits it with a callback. The callback runs on the ring's own
// thread for every completion of the operation; the last one has `final` set. Rules:
//
//   1. An operation is reusable, and its owner may be freed, only after its final event.
//   2. Cancelling does not end an operation: its final event still comes (often -ECANCELED).
//   3. Submitting cannot fail; what goes wrong arrives as the event's `res`, a negative errno.
//   4. Memory handed to an operation (iovecs, buffers, addresses) stays valid until its final
//   event.
//
//               ring_recv() …                     event, !final
//      ┌──────┐ ───────────► ┌─────────┐ ◄──────────────┐
//      │ IDLE │              │ PENDING │ ───────────────┘
//      └──────┘ ◄─────────── └─────────┘
//          ▲     event, final     │ ring_cancel()
//          │                      ▼
//          │                ┌───────────┐
//          └──────────────  │ CANCELLED │   events may still come before the final one
//             event, final  └───────────┘
//
// A loop turn: submit what was queued and wait (one system call) → dispatch every completion →
// run expired timers → run deferred tasks (fibers are resumed here) → turn hooks → again. Nothing
// in a turn may take more than 1 ms, and neither may all of it: completions and tasks that are
// still waiting after a part of that wait for the next turn (COMPLETIONS_NS in ring.c).
//
// Threads: everything here, ring_free included, belongs to the ring's own thread, but not
// ring_mail_send, ring_stop and ring_busy_since.
//
// Features newer than Linux 6.1 (incremental buffers, bundles, …) are probed at start and used
// when present; `ring_features` "6.1" switches all of them off so that both roads are tested.
#ifndef RINGGATE_RING_RING_H
#define RINGGATE_RING_RING_H

#include "base/clock.h"
#include "base/list.h"
#include "base/slice.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct ring;
struct ring_bufs;
struct ring_op;

// ---- Loans: received bytes that still lie in the ring's buffers ------------------------------

// A run of bytes in a buffer of a group. The buffer goes back to the kernel when every loan on it
// has been put. Loans are few and short: a loan lives while its bytes are parsed or its send is in
// flight. What must wait longer is copied out and the loan put (see ring_bufs_low).
struct ring_loan {
    char *ptr;
    uint32_t len;
    uint16_t buffer;        // index in the group
    struct ring_bufs *bufs; // NULL: no loan
};

// Another reference on the same buffer, for a part of it. Returns the part.
struct ring_loan ring_loan_share(const struct ring_loan *l, uint32_t offset, uint32_t len);
// Gives the reference back; a loan without bufs is fine. *l is cleared.
void ring_loan_put(struct ring_loan *l);

// How long a turn may spend with large messages that it moves itself. Later ones are operations as
// all others are: a turn is to end within 1 ms.
#define RING_LARGE_NS (500 * NS_PER_US)

// ---- Operations ------------------------------------------------------------------------------

// A final event carries no loan: bytes always come in an event before it.
struct ring_event {
    int res;               // >= 0, or a negative errno
    bool final;            // the operation is idle again
    struct ring_loan loan; // receives with a group: the bytes; the callback owns the reference
};

typedef void (*ring_fn)(struct ring *ring, struct ring_op *op, const struct ring_event *event);

enum ring_op_state { RING_OP_IDLE, RING_OP_PENDING, RING_OP_CANCELLED };

// Zeroed memory is an idle operation. The members are the ring's; owners use ring_op_busy.
struct ring_op {
    ring_fn fn;
    struct ring_bufs *bufs; // of a receive
    const void *data;       // of a send: the bytes, or the message
    uint32_t size;          // of a send: how much in all, and how much has left
    uint32_t done;
    int fd;
    uint16_t poll_mask;
    uint8_t kind;
    uint8_t state;
};

static inline bool ring_op_busy(const struct ring_op *op)
{
    return op->state != RING_OP_IDLE;
}

// Multishot: an event with res = descriptor for each connection (SOCK_CLOEXEC), final on error.
void ring_accept(struct ring *r, struct ring_op *op, ring_fn fn, int fd);
// Multishot into `bufs`: an event with a loan for what arrived, res 0 and final at end of stream.
// -ENOBUFS and final when the group is empty: submit again after ring_bufs_wait calls back.
void ring_recv(struct ring *r, struct ring_op *op, ring_fn fn, int fd, struct ring_bufs *bufs);
// One receive into a buffer of the group: a final event that carries a loan, or ends as ring_recv's
// do. For a peer whose next bytes are better received elsewhere once the first have been seen: at
// most RING_RECV_ONE_MAX, a request's head. Expects that nothing is there yet.
#define RING_RECV_ONE_MAX 4096
void ring_recv_one(struct ring *r, struct ring_op *op, ring_fn fn, int fd, struct ring_bufs *bufs);
// One receive into caller memory; completes with what is there (not necessarily all of `size`).
void ring_recv_into(struct ring *r, struct ring_op *op, ring_fn fn, int fd, void *out, size_t size);
// Receives at once, by a call of its own, what lies in the socket already: what is large is then
// looked at and sent on while it is in the processor's cache. 0: nothing is there, or the turn is
// older than RING_LARGE_NS, or whatever else an operation would be told.
size_t ring_recv_now(struct ring *r, int fd, void *out, size_t size);
// The whole message (res is its length, at most RING_SEND_MAX) or an error: short writes are
// retried below. `msg` and all it points at stay valid until final. No SIGPIPE.
// A message of RING_SEND_LARGE or more is submitted at once, with what is queued before it, unless
// the turn is older than RING_LARGE_NS.
#define RING_SEND_MAX   0x7ffff000
#define RING_SEND_LARGE (32 * 1024)
void ring_sendmsg(struct ring *r, struct ring_op *op, ring_fn fn, int fd, const struct msghdr *msg);
void ring_send(struct ring *r, struct ring_op *op, ring_fn fn, int fd, const void *data,
               size_t size);
void ring_connect(struct ring *r, struct ring_op *op, ring_fn fn, int fd,
                  const struct sockaddr *address, socklen_t address_len);
// Readiness, multishot: an event with res = poll mask each time; for descriptors that a library
// reads itself (c-ares) and for signalfd.
void ring_poll(struct ring *r, struct ring_op *op, ring_fn fn, int fd, unsigned poll_mask);
// One write or read at the file position (logs, small files).
void ring_write(struct ring *r, struct ring_op *op, ring_fn fn, int fd, const void *data,
                size_t size);
void ring_read(struct ring *r, struct ring_op *op, ring_fn fn, int fd, void *out, size_t size);
// Asks for the end of a busy operation; its final event follows. Idle: nothing happens.
void ring_cancel(struct ring *r, struct ring_op *op);
// shutdown(2) both ways, after what was submitted before; ends receives in flight and sends FIN.
// Fire and forget.
void ring_shutdown(struct ring *r, int fd);
// close(2) by the ring. Asserts nothing: the caller knows that no operation is in flight on `fd`.
void ring_close(struct ring *r, int fd);

// ---- Buffer groups ---------------------------------------------------------------------------

// `count` (power of two) buffers of `buffer_bytes`, shared by every receive that names the group.
// With incremental buffers one buffer serves many receives until it is full; without, one each.
// 0, ERR_NOMEM or ERR_SYSTEM.
int ring_bufs_new(struct ring *r, unsigned count, unsigned buffer_bytes,
                  struct ring_bufs **ret_bufs);
void ring_bufs_free(struct ring_bufs *b); // every loan put, no receive in flight; NULL is fine
// True while fewer than a quarter of the buffers are free: holders of loans copy out and put.
bool ring_bufs_low(const struct ring_bufs *b);

// Gives the buffers' memory back to the kernel when nothing was received since the last call and no
// loan is out; the buffers stay lent. True: there is memory that a later call may give back.
bool ring_bufs_trim(struct ring_bufs *b);

// A receiver that met -ENOBUFS waits here; called once, when buffers have come back.
struct ring_bufs_waiter {
    struct list link; // list_init before first use
    void (*fn)(struct ring *ring, struct ring_bufs_waiter *waiter);
};
void ring_bufs_wait(struct ring_bufs *b, struct ring_bufs_waiter *waiter);
void ring_bufs_unwait(struct ring_bufs_waiter *waiter); // not waiting is fine

// ---- Timers ----------------------------------------------------------------------------------

// A hierarchical wheel with 1 ms ticks; setting and clearing are O(1) and cost no system call.
// A timer fires once, at or after its time, never before.
struct ring_timer {
    struct list link; // zeroed memory is an unset timer
    struct mono when;
    void (*fn)(struct ring *ring, struct ring_timer *timer);
};
void ring_timer_set(struct ring *r, struct ring_timer *t, struct mono when,
                    void (*fn)(struct ring *, struct ring_timer *)); // moves a set timer
void ring_timer_clear(struct ring *r, struct ring_timer *t);         // unset is fine
static inline bool ring_timer_is_set(const struct ring_timer *t)
{
    return t->link.next != NULL;
}

// ---- Deferred tasks, turn hooks --------------------------------------------------------------

// Runs once, in this turn, after completions and timers; a task deferred by a task runs in the
// same turn (bounded: see RING_TASKS_PER_TURN, TASKS_NS in ring.c).
struct ring_task {
    struct list link; // zeroed memory is not deferred
    void (*fn)(struct ring *ring, struct ring_task *task);
};
void ring_defer(struct ring *r, struct ring_task *task,
                void (*fn)(struct ring *, struct ring_task *));
void ring_undefer(struct ring *r, struct ring_task *task); // not deferred is fine

// Runs at the end of every turn (flush of logs, publication of a load figure). Few.
struct ring_hook {
    struct list link;
    void (*fn)(struct ring *ring, struct ring_hook *hook);
};
void ring_hook_add(struct ring *r, struct ring_hook *hook,
                   void (*fn)(struct ring *, struct ring_hook *));

// ---- Mail between cores ----------------------------------------------------------------------

// A message embedded in what it carries. Runs `fn` on the receiving ring's thread. The sender gives
// the object away until then. Order from one sender to one ring is kept.
struct ring_mail {
    struct ring_mail *_Atomic next;
    void (*fn)(struct ring *ring, struct ring_mail *mail);
};
// From any thread. `from` is the calling thread's ring (cheap wake by ring message) or NULL.
void ring_mail_send(struct ring *from, struct ring *to, struct ring_mail *mail,
                    void (*fn)(struct ring *, struct ring_mail *));

// ---- Life ------------------------------------------------------------------------------------

struct ring_options {
    unsigned entries;      // submission queue; completions get four times as many
    unsigned busy_poll_us; // spin on completions this long before blocking, adaptively; 0 never
    bool only_6_1;         // --ring-features=6.1
};
#define RING_OPTIONS_DEFAULT ((struct ring_options){.entries = 1024})

// What was probed; all false with only_6_1.
struct ring_features {
    bool incremental_buffers; // 6.12 IOU_PBUF_RING_INC
    bool recv_bundle;         // 6.10
    bool sync_message;        // 6.13 io_uring_register_sync_msg
    bool min_timeout;         // 6.12
};

// Called on the thread that will run it. ERR_UNSUPPORTED with *ret_reason set to a readable line
// (static or in the ring library's own storage) when this kernel or sandbox refuses io_uring.
int ring_new(const struct ring_options *options, struct ring **ret_ring, const char **ret_reason);
// Nothing in flight, and no other thread still in a call that sends to it. NULL is fine.
void ring_free(struct ring *r);
void ring_run(struct ring *r);  // until ring_stop
void ring_stop(struct ring *r); // any thread, signal-safe not required; the turn is finished first
// One turn; waits at most until `until`. Returns false after ring_stop. For tests and tools.
bool ring_turn(struct ring *r, struct mono until);
const struct ring_features *ring_features(const struct ring *r);
// Time at the start of the turn. ring_now_fresh reads the clock (for latencies inside a turn).
struct mono ring_now(const struct ring *r);
struct mono ring_now_fresh(struct ring *r);
struct wall ring_wall(const struct ring *r);

// When the turn began that is under way; 0 while the ring waits for events. From any thread: for a
// watchdog.
struct mono ring_busy_since(const struct ring *r);

// Counted by the ring: turns, completions, enobufs, longest turn since the last read (ns).
struct ring_stats {
    uint64_t turns, completions, enobufs;
    int64_t turn_ns_max;
};
void ring_stats_read(struct ring *r,
                     struct ring_stats *ret_stats); // own thread; resets the maximum

#endif
