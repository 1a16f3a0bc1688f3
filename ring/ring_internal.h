// SPDX-License-Identifier: Apache-2.0
//
// ring_internal.h: what the files of this folder share about a ring.
//
//     ring.c        set-up, probing, the turn
//     ring_op.c     operations: how each is submitted and what its completions mean
//     ring_bufs.c   buffer groups and loans
//     ring_timer.c  the wheel
//     ring_mail.c   mail and wakes
//
// A completion's user_data is the address of its `struct ring_op`; the low bits, free because of
// alignment, mark the few completions that belong to the ring itself.
#ifndef RINGGATE_RING_RING_INTERNAL_H
#define RINGGATE_RING_RING_INTERNAL_H

#include "ring/ring.h"
#include <liburing.h>

enum ring__tag {
    RING__TAG_OP = 0,     // an operation
    RING__TAG_MAIL = 1,   // somebody's message: mail may be waiting
    RING__TAG_WAKE = 2,   // our message to another ring failed; the rest is that ring's address
    RING__TAG_IGNORE = 3, // nobody waits for it
    RING__TAG_MASK = 7,
};

// What a completion of an operation means; the table is in ring_op.c.
enum ring__kind {
    RING__KIND_ONCE,
    RING__KIND_SEND,
    RING__KIND_SENDMSG,
    RING__KIND_RECV,
    RING__KIND_RECV_ONE,
    RING__KIND_ACCEPT,
    RING__KIND_POLL,
    RING__KIND_COUNT,
};

// IORING_REGISTER_SEND_MSG_RING; the liburing this is built with may be older than the kernel.
#define RING__REGISTER_SEND_MSG 31

// ---- Timers ----------------------------------------------------------------------------------

// Eight levels of 64 slots cover 2^48 ms, more than an int64_t of nanoseconds can say.
#define RING__WHEEL_LEVELS 8
#define RING__WHEEL_SLOTS  64

struct ring__wheel {
    uint64_t tick; // milliseconds; everything up to it has fired or is due
    uint64_t occupied[RING__WHEEL_LEVELS];
    struct list slots[RING__WHEEL_LEVELS][RING__WHEEL_SLOTS];
    struct list due;    // fires in the next run
    struct list firing; // is being fired now
};

// ---- The ring --------------------------------------------------------------------------------

struct ring {
    struct io_uring uring;
    struct ring_options options;
    struct ring_features features;
    struct mono now;
    struct wall wall;
    struct ring__wheel wheel;
    struct list tasks;
    struct list hooks;
    uint16_t groups; // buffer groups made so far: the next one's id
    bool in_turn;
    int64_t spin_ns; // how long the next wait spins first
    struct ring_stats stats;
    _Atomic int64_t busy_since; // read by a watchdog; 0: it waits

    // Written by other threads.
    _Alignas(64) struct ring_mail *_Atomic mail; // newest first
    _Atomic bool stop;

    // The way in for threads without a ring.
    int wake_fd;
    uint64_t wake_count;
    struct ring_op wake_op;
};

// A submission entry with no flags; submits what is queued when there is none left. Never NULL.
struct io_uring_sqe *ring__sqe(struct ring *r);
// One completion, by value.
void ring__complete(struct ring *r, uint64_t user_data, int res, unsigned flags);

// The bytes of a completion that carries a buffer. res <= 0: no loan, the buffer stays free.
struct ring_loan ring__bufs_take(struct ring_bufs *b, int res, unsigned flags);
uint16_t ring__bufs_group(const struct ring_bufs *b);

void ring__timers_init(struct ring *r);
void ring__timers_run(struct ring *r);               // fires what is due at r->now
struct mono ring__timers_next(const struct ring *r); // no timer fires before it; MONO_NEVER

int ring__mail_init(struct ring *r); // 0 or ERR_SYSTEM
void ring__mail_done(struct ring *r);
void ring__mail_run(struct ring *r);
void ring__mail_listen(struct ring *r); // begins to read the wake descriptor
// Makes `to` take another turn. From any thread; `from` is the calling thread's ring or NULL.
void ring__wake(struct ring *from, struct ring *to);
void ring__wake_fd(struct ring *to);

// The line for a refused set-up. `disabled` is kernel.io_uring_disabled, -1 when it cannot be read.
const char *ring__refusal(int error, int disabled);

// Off its list and "zeroed memory" again.
static inline void ring__unlink(struct list *l)
{
    list_remove(l);
    l->next = NULL;
    l->prev = NULL;
}

#endif
