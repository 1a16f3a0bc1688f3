// SPDX-License-Identifier: Apache-2.0
//
// kernel.c: see kernel.h.
//
// What Linux promises and what it only usually does are told apart with care: completions of one
// operation come in order, a final one comes exactly once, entries are worked off in their order;
// everything else (which of two operations completes first, how much moves, whether a cancellation
// meets its operation before it is done) is chance.
#include "tests/sim/kernel.h"

#include "base/container.h"
#include "base/list.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define GROUPS_MAX 8
// The operation's address with ring/'s own marks in the low bits.
#define MARK_MASK 7

struct group {
    struct io_uring_buf_ring *ring;
    unsigned count;
    uint16_t head;
    bool incremental;
};

struct uring {
    struct io_uring *user;
    unsigned sq_head, sq_tail, sq_flags;
    unsigned cq_head, cq_tail;
    struct io_uring_cqe *overflow; // completions that found no room, oldest first
    size_t overflown, overflow_cap;
    struct group group[GROUPS_MAX];
    struct list ops;
    int fd;
};

struct op {
    struct list link;
    struct uring *ring;
    struct io_uring_sqe sqe;
    struct wire_end *end; // or NULL
    struct sim_event *attempt;
    size_t done; // of a send
    bool connecting;
    bool cancelled;
};

struct sim_kernel {
    struct uring *ring[KERNEL_RINGS_MAX];
    bool only_6_1;
    uint64_t completions;
    void (*on_log)(unsigned ring, const char *bytes, size_t len);
};

// ---- Completions -----------------------------------------------------------------------------

static void flush_overflow(struct uring *u)
{
    size_t moved = 0;
    while (moved < u->overflown && u->cq_tail - u->cq_head < u->user->cq.ring_entries) {
        u->user->cq.cqes[u->cq_tail & u->user->cq.ring_mask] = u->overflow[moved++];
        u->cq_tail++;
    }
    u->overflown -= moved;
    memmove(u->overflow ? u->overflow : (void *)"", u->overflow ? u->overflow + moved : (void *)"",
            u->overflown * sizeof(u->overflow[0]));
    if (u->overflown == 0)
        u->sq_flags &= ~IORING_SQ_CQ_OVERFLOW;
}

static bool queue_is_full(const struct uring *u)
{
    return u->overflown > 0 || u->cq_tail - u->cq_head >= u->user->cq.ring_entries;
}

static void post(struct uring *u, uint64_t user_data, int res, unsigned flags)
{
    struct io_uring_cqe cqe = {.user_data = user_data, .res = res, .flags = flags};
    sim.kernel->completions++;
    if (!queue_is_full(u)) {
        u->user->cq.cqes[u->cq_tail & u->user->cq.ring_mask] = cqe;
        u->cq_tail++;
        return;
    }
    if (u->overflown == u->overflow_cap) {
        u->overflow_cap = u->overflow_cap ? 2 * u->overflow_cap : 16;
        u->overflow = sim_realloc(u->overflow, u->overflow_cap * sizeof(u->overflow[0]));
    }
    u->overflow[u->overflown++] = cqe;
    u->sq_flags |= IORING_SQ_CQ_OVERFLOW;
}

static void op_free(struct op *op)
{
    sim_drop(&op->attempt);
    list_remove(&op->link);
    wire_put(op->end);
    sim_free(op);
}

static void finish(struct op *op, int res, unsigned flags)
{
    bool silent = (op->sqe.flags & IOSQE_CQE_SKIP_SUCCESS) && res >= 0;
    if (!silent)
        post(op->ring, op->sqe.user_data, res, flags & ~IORING_CQE_F_MORE);
    op_free(op);
}

static bool try_now(struct op *op);

static void end_cancelled(struct op *op);

static void attempt(void *arg)
{
    struct op *op = arg;
    op->attempt = NULL;
    if (op->cancelled)
        end_cancelled(op);
    else
        (void)try_now(op);
}

static void try_soon(struct op *op)
{
    if (!op->attempt)
        op->attempt = sim_after(sim_delay(), attempt, op);
}

// A completion of a multishot operation. False: the kernel ends it with this one.
static bool more(struct op *op, int res, unsigned flags)
{
    if (queue_is_full(op->ring) || sim_chance(sim.weather.multishot_end)) {
        finish(op, res, flags);
        return false;
    }
    post(op->ring, op->sqe.user_data, res, flags | IORING_CQE_F_MORE);
    try_soon(op);
    return true;
}

// ---- Operations ------------------------------------------------------------------------------
//
// Each tries once. False: nothing could be done, and it waits for a poke.

static bool try_accept(struct op *op)
{
    int fd = wire_accept(op->end);
    if (fd == -EAGAIN)
        return false;
    if (fd < 0)
        finish(op, fd, 0);
    else
        (void)more(op, fd, 0);
    return true;
}

static bool try_selected(struct op *op)
{
    struct group *g = &op->ring->group[op->sqe.buf_group];
    bool multishot = op->sqe.ioprio & IORING_RECV_MULTISHOT;
    SIM_HOLDS(g->ring, "a receive names buffer group %u, which is gone", op->sqe.buf_group);
    if (wire_readable(op->end) == 0) {
        char nothing;
        long n = wire_recv(op->end, &nothing, 1);
        if (n == -EAGAIN)
            return false;
        finish(op, (int)n, 0);
        return true;
    }
    if (g->head == g->ring->tail || sim_chance(sim.weather.enobufs)) {
        finish(op, -ENOBUFS, 0);
        return true;
    }
    struct io_uring_buf *buf = &g->ring->bufs[g->head & (g->count - 1)];
    size_t most = op->sqe.len > 0 && op->sqe.len < buf->len ? op->sqe.len : buf->len;
    unsigned flags = IORING_CQE_F_BUFFER | (unsigned)buf->bid << IORING_CQE_BUFFER_SHIFT;
    long n = wire_recv(op->end, (void *)(uintptr_t)buf->addr, most);
    SIM_HOLDS(n > 0, "a readable socket gave %ld", n);
    if (g->incremental && (size_t)n < buf->len) {
        buf->addr += (uint64_t)n;
        buf->len -= (uint32_t)n;
        flags |= IORING_CQE_F_BUF_MORE;
    } else {
        g->head++;
    }
    if (multishot)
        (void)more(op, (int)n, flags);
    else
        finish(op, (int)n, flags);
    return true;
}

static bool try_recv(struct op *op)
{
    if (op->sqe.flags & IOSQE_BUFFER_SELECT)
        return try_selected(op);
    long n = wire_recv(op->end, (void *)(uintptr_t)op->sqe.addr, op->sqe.len);
    if (n == -EAGAIN)
        return false;
    finish(op, (int)n, 0);
    return true;
}

// The run of the message behind its first `done` bytes.
static size_t piece(const struct op *op, const char **ret)
{
    size_t done = op->done;
    if (op->sqe.opcode == IORING_OP_SEND) {
        *ret = (const char *)(uintptr_t)op->sqe.addr + done;
        return op->sqe.len - done;
    }
    const struct msghdr *m = (const struct msghdr *)(uintptr_t)op->sqe.addr;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        if (done < m->msg_iov[i].iov_len) {
            *ret = (const char *)m->msg_iov[i].iov_base + done;
            return m->msg_iov[i].iov_len - done;
        }
        done -= m->msg_iov[i].iov_len;
    }
    return 0;
}

static bool try_send(struct op *op)
{
    const char *bytes = NULL;
    for (size_t len; (len = piece(op, &bytes)) > 0;) {
        long n = wire_send(op->end, bytes, len);
        if (n == -EAGAIN)
            return false;
        if (n < 0) { // the error of what was sent half waits for the next call
            finish(op, op->done > 0 ? (int)op->done : (int)n, 0);
            return true;
        }
        op->done += (size_t)n;
        bool whole = piece(op, &bytes) == 0;
        if (!whole && sim_chance(sim.weather.short_send))
            break;
        if (!whole && sim_chance(sim.weather.partial)) {
            try_soon(op);
            return true;
        }
    }
    finish(op, (int)op->done, 0);
    return true;
}

static bool try_connect(struct op *op)
{
    const struct sockaddr_in *a = (const struct sockaddr_in *)(uintptr_t)op->sqe.addr;
    SIM_HOLDS(a->sin_family == AF_INET, "only IPv4 is simulated");
    if (!op->connecting) {
        op->connecting = true;
        // Packets that nobody answers; the caller's deadline cancels.
        if (sim_chance(10))
            return false;
        try_soon(op);
        return true;
    }
    finish(op, wire_connect(op->end, ntohs(a->sin_port)), 0);
    return true;
}

static bool try_read(struct op *op)
{
    SIM_HOLDS(op->end->kind == WIRE_COUNTER, "only counters are read by the ring");
    if (op->end->count == 0)
        return false;
    memcpy((void *)(uintptr_t)op->sqe.addr, &op->end->count, sizeof(op->end->count));
    op->end->count = 0;
    finish(op, sizeof(op->end->count), 0);
    return true;
}

static bool try_write(struct op *op)
{
    size_t len = op->sqe.len;
    if (len > 1 && sim_chance(sim.weather.short_send))
        len = sim_between(1, len);
    SIM_HOLDS(op->sqe.fd == 2, "only standard error is written to");
    if (sim.kernel->on_log)
        sim.kernel->on_log((unsigned)(op->ring->fd - KERNEL_RING_FD),
                           (const char *)(uintptr_t)op->sqe.addr, len);
    finish(op, (int)len, 0);
    return true;
}

static bool try_close(struct op *op)
{
    int fd = op->sqe.fd;
    finish(op, 0, 0);
    wire_close(fd);
    return true;
}

static bool try_message(struct op *op)
{
    struct uring *to = sim.kernel->ring[op->sqe.fd - KERNEL_RING_FD];
    SIM_HOLDS(to, "a message to a ring that is gone");
    if (sim_chance(20)) { // the other ring is short of memory
        finish(op, -ENOMEM, 0);
        return true;
    }
    post(to, op->sqe.off, (int)op->sqe.len, 0);
    finish(op, 0, 0);
    return true;
}

static struct op *op_named(struct uring *u, const struct op *but, uint64_t user_data)
{
    for (struct list *l = u->ops.next; l != &u->ops; l = l->next) {
        struct op *op = container_of(l, struct op, link);
        if (op != but && op->sqe.user_data == user_data)
            return op;
    }
    return NULL;
}

// A send that moved bytes says so.
static void end_cancelled(struct op *op)
{
    finish(op, op->done > 0 ? (int)op->done : -ECANCELED, 0);
}

// Some are too late: the operation does once more what it can. Some take their time: it is
// somewhere on a thread of the kernel's and ends by and by.
static bool try_cancel(struct op *op)
{
    struct uring *u = op->ring;
    struct op *other = op_named(u, op, op->sqe.addr);
    if (!other) {
        finish(op, -ENOENT, 0);
        return true;
    }
    if (other->end && sim_chance(sim.weather.cancel_late)) {
        sim_drop(&other->attempt);
        (void)try_now(other);
        other = op_named(u, op, op->sqe.addr); // gone, unless it had nothing to do or is multishot
    }
    if (other && sim_chance(sim.weather.cancel_slow)) {
        other->cancelled = true;
        sim_drop(&other->attempt);
        try_soon(other);
        finish(op, -EALREADY, 0);
        return true;
    }
    if (other)
        end_cancelled(other);
    finish(op, 0, 0);
    return true;
}

typedef bool (*try_fn)(struct op *);

static const struct {
    try_fn fn;
    const char *name;
    bool on_end; // works on a descriptor of wire.c
    bool atonce; // never waits for a later time
    int faults[3];
} rows[IORING_OP_LAST] = {
    [IORING_OP_ACCEPT] = {try_accept, "accept", true, false, {-EMFILE, -ENOMEM, -ECONNABORTED}},
    [IORING_OP_RECV] = {try_recv, "recv", true, false, {-ENOMEM, -ECONNRESET, -ENOBUFS}},
    [IORING_OP_SEND] = {try_send, "send", true, false, {-ENOMEM, -ECONNRESET, -EPIPE}},
    [IORING_OP_SENDMSG] = {try_send, "sendmsg", true, false, {-ENOMEM, -ECONNRESET, -ENOBUFS}},
    [IORING_OP_CONNECT] =
        {try_connect, "connect", true, false, {-ETIMEDOUT, -ENETUNREACH, -ENOMEM}},
    [IORING_OP_READ] = {try_read, "read", true, false, {0}},
    [IORING_OP_WRITE] = {try_write, "write", false, false, {-EPIPE, -EIO, -ENOMEM}},
    [IORING_OP_CLOSE] = {try_close, "close", true, true, {0}},
    [IORING_OP_MSG_RING] = {try_message, "message", false, true, {-ENOMEM, -EOVERFLOW, -ENOMEM}},
    [IORING_OP_ASYNC_CANCEL] = {try_cancel, "cancel", false, true, {0}},
};

static bool try_now(struct op *op)
{
    return rows[op->sqe.opcode].fn(op);
}

// ---- Submitting ------------------------------------------------------------------------------

static bool fails_on_purpose(const struct op *op)
{
    struct sim_faults *f = &sim.faults;
    if (!f->armed || rows[op->sqe.opcode].faults[0] == 0)
        return false;
    if (++f->operations != f->operation)
        return false;
    f->hit = true;
    return true;
}

static void check_unused(struct uring *u, const struct io_uring_sqe *sqe)
{
    if ((sqe->user_data & MARK_MASK) != 0 || sqe->user_data == 0)
        return;
    for (struct list *l = u->ops.next; l != &u->ops; l = l->next) {
        struct op *op = container_of(l, struct op, link);
        SIM_HOLDS(op->sqe.user_data != sqe->user_data,
                  "%s on descriptor %d reuses an operation in flight (%s on %d)",
                  rows[sqe->opcode].name, sqe->fd, rows[op->sqe.opcode].name, op->sqe.fd);
    }
    for (unsigned at = u->cq_head; at != u->cq_tail; at++) {
        struct io_uring_cqe *c = &u->user->cq.cqes[at & u->user->cq.ring_mask];
        SIM_HOLDS(c->user_data != sqe->user_data || (c->flags & IORING_CQE_F_MORE),
                  "%s on descriptor %d reuses an operation whose end has not been seen",
                  rows[sqe->opcode].name, sqe->fd);
    }
}

static void take(struct uring *u, const struct io_uring_sqe *sqe)
{
    SIM_HOLDS(sqe->opcode < IORING_OP_LAST && rows[sqe->opcode].fn, "operation %u is not simulated",
              sqe->opcode);
    check_unused(u, sqe);
    struct op *op = sim_alloc(sizeof(*op));
    op->ring = u;
    op->sqe = *sqe;
    if (rows[sqe->opcode].on_end)
        op->end = wire_get(wire_of(sqe->fd));
    list_push_back(&u->ops, &op->link);
    if (sqe->opcode != IORING_OP_WRITE)
        sim_trace("ring %d: %s on %d", u->fd - KERNEL_RING_FD, rows[sqe->opcode].name, sqe->fd);
    if (fails_on_purpose(op)) {
        int res = rows[sqe->opcode].faults[sim_below(3)];
        sim_trace("it fails on purpose with %d", res);
        finish(op, res, 0);
        return;
    }
    if (rows[sqe->opcode].atonce || sim_chance(sim.weather.inline_completion))
        (void)try_now(op);
    else
        try_soon(op);
}

static int submit(struct io_uring *ring)
{
    struct uring *u = sim.kernel->ring[ring->ring_fd - KERNEL_RING_FD];
    int n = 0;
    for (; u->sq_head != ring->sq.sqe_tail; n++) {
        struct io_uring_sqe sqe = ring->sq.sqes[u->sq_head & ring->sq.ring_mask];
        u->sq_head++;
        take(u, &sqe);
    }
    return n;
}

static struct uring *uring_of(const struct io_uring *ring)
{
    struct uring *u = sim.kernel->ring[ring->ring_fd - KERNEL_RING_FD];
    SIM_HOLDS(u && u->user == ring, "a ring that is gone is used");
    return u;
}

// ---- liburing --------------------------------------------------------------------------------

static unsigned power_of_two(unsigned n)
{
    unsigned p = 1;
    while (p < n)
        p *= 2;
    return p;
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
    struct sim_kernel *k = sim.kernel;
    unsigned i = 0, sq = power_of_two(entries), cq = power_of_two(p->cq_entries);
    while (i < KERNEL_RINGS_MAX && k->ring[i])
        i++;
    if (i == KERNEL_RINGS_MAX)
        return -ENFILE;
    struct uring *u = sim_alloc(sizeof(*u));
    list_init(&u->ops);
    u->user = ring;
    u->fd = KERNEL_RING_FD + (int)i;
    *ring = (struct io_uring){.ring_fd = u->fd, .enter_ring_fd = u->fd, .flags = p->flags};
    ring->features = IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;
    if (!k->only_6_1)
        ring->features |= IORING_FEAT_RECVSEND_BUNDLE | IORING_FEAT_MIN_TIMEOUT;
    ring->sq.khead = &u->sq_head;
    ring->sq.ktail = &u->sq_tail;
    ring->sq.kflags = &u->sq_flags;
    ring->sq.ring_entries = sq;
    ring->sq.ring_mask = sq - 1;
    ring->sq.sqes = sim_alloc(sq * sizeof(struct io_uring_sqe));
    ring->cq.khead = &u->cq_head;
    ring->cq.ktail = &u->cq_tail;
    ring->cq.ring_entries = cq;
    ring->cq.ring_mask = cq - 1;
    ring->cq.cqes = sim_alloc(cq * sizeof(struct io_uring_cqe));
    k->ring[i] = u;
    return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
    struct uring *u = uring_of(ring);
    SIM_HOLDS(list_empty(&u->ops), "a ring ends with %s in flight on descriptor %d",
              rows[container_of(u->ops.next, struct op, link)->sqe.opcode].name,
              container_of(u->ops.next, struct op, link)->sqe.fd);
    for (unsigned i = 0; i < GROUPS_MAX; i++)
        SIM_HOLDS(!u->group[i].ring, "a ring ends with a buffer group");
    sim.kernel->ring[u->fd - KERNEL_RING_FD] = NULL;
    sim_free(ring->sq.sqes);
    sim_free(ring->cq.cqes);
    sim_free(u->overflow);
    sim_free(u);
}

int io_uring_register_ring_fd(struct io_uring *ring)
{
    (void)ring;
    return 1;
}

int io_uring_submit(struct io_uring *ring)
{
    return submit(ring);
}

int io_uring_get_events(struct io_uring *ring)
{
    flush_overflow(uring_of(ring));
    return 0;
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
    int n = submit(ring);
    flush_overflow(uring_of(ring));
    return n;
}

// A thread that waits alone: only while a ring is freed. The rest of the world goes on.
int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **ret,
                                     unsigned wanted, struct __kernel_timespec *ts, sigset_t *mask)
{
    struct uring *u = uring_of(ring);
    int64_t until = ts ? sim.now_ns + ts->tv_sec * NS_PER_S + ts->tv_nsec : INT64_MAX;
    (void)ret, (void)mask;
    (void)submit(ring);
    flush_overflow(u);
    while (u->cq_tail - u->cq_head < wanted) {
        if (sim_next() > until) {
            sim.now_ns = until;
            return -ETIME;
        }
        SIM_HOLDS(sim_run_one(), "a ring waits for what will never come");
    }
    return 0;
}

int __io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **ret, unsigned submitted,
                       unsigned wanted, sigset_t *mask)
{
    (void)ring, (void)submitted, (void)wanted, (void)mask;
    *ret = NULL;
    return -EAGAIN;
}

struct io_uring_buf_ring *io_uring_setup_buf_ring(struct io_uring *ring, unsigned entries, int id,
                                                  unsigned flags, int *err)
{
    struct uring *u = uring_of(ring);
    bool incremental = flags & IOU_PBUF_RING_INC;
    if (incremental && sim.kernel->only_6_1) {
        *err = -EINVAL;
        return NULL;
    }
    SIM_HOLDS(id >= 0 && id < GROUPS_MAX && !u->group[id].ring, "buffer group %d", id);
    struct io_uring_buf_ring *br = sim_alloc(entries * sizeof(struct io_uring_buf));
    u->group[id] = (struct group){.ring = br, .count = entries, .incremental = incremental};
    return br;
}

int io_uring_free_buf_ring(struct io_uring *ring, struct io_uring_buf_ring *br, unsigned entries,
                           int id)
{
    struct uring *u = uring_of(ring);
    struct group *g = &u->group[id];
    SIM_HOLDS(g->ring == br && g->count == entries, "buffer group %d is not this one", id);
    // Before anything was received the probe gives back an empty one.
    uint16_t held = (uint16_t)(br->tail - g->head);
    SIM_HOLDS(held == entries || br->tail == 0, "%u of %u buffers are with the kernel at the end",
              held, entries);
    sim_free(br);
    *g = (struct group){0};
    return 0;
}

// Only the message from a thread without a ring is used, and the probe for it.
int io_uring_register(unsigned fd, unsigned opcode, const void *arg, unsigned count)
{
    const struct io_uring_sqe *sqe = arg;
    (void)opcode, (void)count;
    if (fd != (unsigned)-1 || sim.kernel->only_6_1)
        return -EINVAL;
    if (sqe->fd < KERNEL_RING_FD || sqe->fd >= KERNEL_RING_FD + KERNEL_RINGS_MAX)
        return -EBADF;
    struct uring *to = sim.kernel->ring[sqe->fd - KERNEL_RING_FD];
    SIM_HOLDS(to, "a message to a ring that is gone");
    post(to, sqe->off, (int)sqe->len, 0);
    return 0;
}

// ---- For the rest of the simulator -----------------------------------------------------------

void kernel_begin(bool only_6_1)
{
    sim.kernel = sim_alloc(sizeof(*sim.kernel));
    sim.kernel->only_6_1 = only_6_1;
}

void kernel_end(void)
{
    for (unsigned i = 0; i < KERNEL_RINGS_MAX; i++)
        SIM_HOLDS(!sim.kernel->ring[i], "a ring is left");
    sim_free(sim.kernel);
    sim.kernel = NULL;
}

void kernel_poke(struct wire_end *e)
{
    for (unsigned i = 0; i < KERNEL_RINGS_MAX; i++) {
        struct uring *u = sim.kernel->ring[i];
        for (struct list *l = u ? u->ops.next : NULL; u && l != &u->ops; l = l->next) {
            struct op *op = container_of(l, struct op, link);
            if (op->end == e && op->sqe.opcode != IORING_OP_CONNECT)
                try_soon(op);
        }
    }
}

void kernel_closing(struct wire_end *e)
{
    for (unsigned i = 0; i < KERNEL_RINGS_MAX; i++) {
        struct uring *u = sim.kernel->ring[i];
        for (struct list *l = u ? u->ops.next : NULL; u && l != &u->ops; l = l->next) {
            struct op *op = container_of(l, struct op, link);
            SIM_HOLDS(op->end != e, "descriptor %d is closed under a %s", e->fd,
                      rows[op->sqe.opcode].name);
        }
    }
}

bool kernel_ready(const struct io_uring *ring)
{
    const struct uring *u = sim.kernel->ring[ring->ring_fd - KERNEL_RING_FD];
    return u->cq_tail != u->cq_head || u->overflown > 0 || u->sq_head != ring->sq.sqe_tail;
}

unsigned kernel_in_flight(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < KERNEL_RINGS_MAX; i++) {
        struct uring *u = sim.kernel->ring[i];
        for (struct list *l = u ? u->ops.next : NULL; u && l != &u->ops; l = l->next)
            n++;
    }
    return n;
}

uint64_t kernel_completions(void)
{
    return sim.kernel->completions;
}

void kernel_on_log(void (*fn)(unsigned ring, const char *bytes, size_t len))
{
    sim.kernel->on_log = fn;
}
