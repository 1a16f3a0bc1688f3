// SPDX-License-Identifier: Apache-2.0
//
// ring_mail.c: messages between cores, and waking a ring that sleeps.
//
// A ring's mail is a stack that any thread pushes on with one compare-and-swap. The owner takes
// the whole stack with one exchange and turns it round, which gives the order of the pushes and so
// keeps the order of each sender.
//
//     push:  mail.next = head; head = mail          owner:  list = exchange(head, NULL); reverse
//
// Only the push that finds the stack empty wakes the ring: everybody after it rides on that wake,
// because the owner cannot empty the stack without a turn. A wake that comes late is one empty
// turn, never a lost message.
//
// Three ways to wake: a thread with a ring posts IORING_OP_MSG_RING, which leaves with the rest of
// its turn; a thread without one uses io_uring_register(IORING_REGISTER_SEND_MSG_RING) where the
// kernel has it (6.13), else writes to an eventfd that the ring keeps a read on. A message that
// fails (the other ring is short of memory) falls back to the eventfd, which cannot.
#include "base/assert.h"
#include "base/err.h"
#include "ring/ring_internal.h"
#include <sys/eventfd.h>
#include <unistd.h>

int ring__mail_init(struct ring *r)
{
    atomic_init(&r->mail, NULL);
    atomic_init(&r->stop, false);
    // Not EFD_NONBLOCK: io_uring would answer the standing read with -EAGAIN instead of waiting.
    // A write would block only at 2^64 - 1 unread wakes.
    r->wake_fd = eventfd(0, EFD_CLOEXEC);
    return r->wake_fd < 0 ? ERR_SYSTEM : 0;
}

void ring__mail_done(struct ring *r)
{
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    r->wake_fd = -1;
}

static void on_wake(struct ring *r, struct ring_op *op, const struct ring_event *event)
{
    ASSERT(op == &r->wake_op);
    if (event->res == -ECANCELED)
        return;
    ring__mail_listen(r);
}

void ring__mail_listen(struct ring *r)
{
    ring_read(r, &r->wake_op, on_wake, r->wake_fd, &r->wake_count, sizeof(r->wake_count));
}

void ring__wake_fd(struct ring *to)
{
    uint64_t one = 1;
    ssize_t n = write(to->wake_fd, &one, sizeof(one));
    ASSERT(n == (ssize_t)sizeof(one));
}

void ring__wake(struct ring *from, struct ring *to)
{
    if (from == to)
        return; // it looks at its mail before it waits
    if (from) {
        struct io_uring_sqe *sqe = ring__sqe(from);
        io_uring_prep_msg_ring(sqe, to->uring.ring_fd, 0, RING__TAG_MAIL, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(sqe, (uintptr_t)to | RING__TAG_WAKE);
        return;
    }
    if (to->features.sync_message) {
        struct io_uring_sqe sqe = {0};
        io_uring_prep_msg_ring(&sqe, to->uring.ring_fd, 0, RING__TAG_MAIL, 0);
        if (io_uring_register((unsigned)-1, RING__REGISTER_SEND_MSG, &sqe, 1) >= 0)
            return;
    }
    ring__wake_fd(to);
}

void ring_mail_send(struct ring *from, struct ring *to, struct ring_mail *mail,
                    void (*fn)(struct ring *, struct ring_mail *))
{
    ASSERT(to);
    ASSERT(fn);
    mail->fn = fn;
    struct ring_mail *head = atomic_load_explicit(&to->mail, memory_order_relaxed);
    do {
        atomic_store_explicit(&mail->next, head, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&to->mail, &head, mail, memory_order_release,
                                                    memory_order_relaxed));
    if (!head)
        ring__wake(from, to);
}

void ring__mail_run(struct ring *r)
{
    if (!atomic_load_explicit(&r->mail, memory_order_relaxed))
        return;
    struct ring_mail *newest = atomic_exchange_explicit(&r->mail, NULL, memory_order_acquire);
    struct ring_mail *oldest = NULL;
    while (newest) {
        struct ring_mail *next = atomic_load_explicit(&newest->next, memory_order_relaxed);
        atomic_store_explicit(&newest->next, oldest, memory_order_relaxed);
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct ring_mail *mail = oldest;
        oldest = atomic_load_explicit(&mail->next, memory_order_relaxed);
        mail->fn(r, mail); // may free the mail or send it on
    }
}

void ring_stop(struct ring *r)
{
    atomic_store_explicit(&r->stop, true, memory_order_release);
    ring__wake(NULL, r);
}
