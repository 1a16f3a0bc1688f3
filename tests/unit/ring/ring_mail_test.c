// SPDX-License-Identifier: Apache-2.0
//
// ring_mail_test.c: thousands of messages from several threads to one ring, none lost or overtaken.
#include "tests/unit/ring/fixture.h"

#include <pthread.h>

#define MESSAGES 10000

struct letter {
    struct ring_mail mail;
    struct sender *sender;
    unsigned number;
};

struct sender {
    pthread_t thread;
    struct ring *to;
    bool only_6_1;
    bool has_ring;
    pthread_barrier_t *over;
    struct letter *letters;
    unsigned received; // by the ring's thread only
    // With a ring: the sender sends in bursts of its own turns.
    struct ring_task task;
    unsigned sent;
};

static void on_letter(struct ring *r, struct ring_mail *mail)
{
    struct letter *l = container_of(mail, struct letter, mail);
    assert_ptr_equal(r, l->sender->to);
    assert_int_equal(l->number, l->sender->received); // in the sender's order
    l->sender->received++;
}

static void send_burst(struct ring *r, struct ring_task *task)
{
    struct sender *s = container_of(task, struct sender, task);
    for (int i = 0; i < 7 && s->sent < MESSAGES; i++, s->sent++)
        ring_mail_send(r, s->to, &s->letters[s->sent].mail, on_letter);
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    if (!s->has_ring) {
        for (unsigned i = 0; i < MESSAGES; i++)
            ring_mail_send(NULL, s->to, &s->letters[i].mail, on_letter);
        return NULL;
    }
    struct ring *r = ring_open(s->only_6_1, 16, 0);
    while (s->sent < MESSAGES) {
        ring_defer(r, &s->task, send_burst);
        ring_turn(r, clock_mono());
    }
    ring_turn(r, clock_mono()); // what the last turn queued leaves
    // One ring's pages must not become another's in a thread that has not heard of the end of the
    // first: ThreadSanitizer does not see the library's own munmap.
    pthread_barrier_wait(s->over);
    ring_free(r);
    return NULL;
}

static void sender_start(struct sender *s, struct ring *to, bool has_ring, pthread_barrier_t *over)
{
    *s = (struct sender){.to = to, .has_ring = has_ring, .over = over};
    s->only_6_1 = !ring_features(to)->incremental_buffers;
    s->letters = calloc(MESSAGES, sizeof(*s->letters));
    assert_non_null(s->letters);
    for (unsigned i = 0; i < MESSAGES; i++) {
        s->letters[i].sender = s;
        s->letters[i].number = i;
    }
    assert_int_equal(pthread_create(&s->thread, NULL, send_all, s), 0);
}

static void many_senders(void **state)
{
    struct ring *r = *state;
    struct sender s[4];
    pthread_barrier_t over;
    assert_int_equal(pthread_barrier_init(&over, NULL, 2), 0);
    for (int i = 0; i < 4; i++)
        sender_start(&s[i], r, i % 2, &over);
    for (int i = 0; i < 4; i++)
        WAIT_FOR(r, s[i].received == MESSAGES);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(s[i].thread, NULL), 0);
        free(s[i].letters);
    }
    pthread_barrier_destroy(&over);
}

// ---- Ping-pong: each message finds the other side asleep ---------------------------------------

struct player {
    pthread_t thread;
    struct ring *_Atomic ring;
    struct player *other;
    bool only_6_1;
    unsigned hits;
    pthread_barrier_t *over;
};

struct ball {
    struct ring_mail mail;
    struct player *to;
    unsigned left;
};

static void on_ball(struct ring *r, struct ring_mail *mail)
{
    struct ball *b = container_of(mail, struct ball, mail);
    struct player *me = b->to;
    me->hits++;
    if (b->left == 0) {
        ring_stop(me->other->ring);
        ring_stop(r);
        return;
    }
    b->left--;
    b->to = me->other;
    ring_mail_send(r, me->other->ring, &b->mail, on_ball);
}

static void *play(void *arg)
{
    struct player *p = arg;
    p->ring = ring_open(p->only_6_1, 16, 0);
    ring_run(p->ring);
    pthread_barrier_wait(p->over); // somebody may still be in a call that wakes this ring
    ring_free(p->ring);
    return NULL;
}

static void ping_pong(void **state)
{
    struct player p[2] = {0};
    struct ball ball = {.to = &p[0], .left = 999};
    pthread_barrier_t over;
    assert_int_equal(pthread_barrier_init(&over, NULL, 3), 0);
    for (int i = 0; i < 2; i++) {
        p[i].over = &over;
        p[i].other = &p[!i];
        p[i].only_6_1 = *state != NULL;
        assert_int_equal(pthread_create(&p[i].thread, NULL, play, &p[i]), 0);
    }
    while (!p[0].ring || !p[1].ring)
        sched_yield();
    ring_mail_send(NULL, p[0].ring, &ball.mail, on_ball);
    pthread_barrier_wait(&over);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(p[i].thread, NULL), 0);
    assert_int_equal(p[0].hits, 500);
    assert_int_equal(p[1].hits, 500);
    pthread_barrier_destroy(&over);
}

static void to_oneself(void **state)
{
    struct ring *r = *state;
    struct sender s = {.to = r};
    struct letter l[3] = {{.sender = &s}, {.sender = &s, .number = 1}, {.sender = &s, .number = 2}};
    for (int i = 0; i < 3; i++)
        ring_mail_send(r, r, &l[i].mail, on_letter);
    assert_int_equal(s.received, 0);
    WAIT_FOR(r, s.received == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(many_senders),
        {"ping_pong", ping_pong, NULL, NULL, NULL},
        {"ping_pong (6.1)", ping_pong, NULL, NULL, (void *)1},
        RING_TEST(to_oneself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
