// SPDX-License-Identifier: Apache-2.0
//
// body_test.c: the loop around a source's take.
#include "toy.h"

struct source {
    struct body body;
    struct toy *toy;
    int next; // what take answers
    unsigned puts;
    int result;
    bool over;
};

static int take(struct body *b, struct body_part *ret)
{
    struct source *s = container_of(b, struct source, body);
    if (s->next == 0) {
        ret->span[0] = SLICE("bytes");
        ret->count = 1;
        ret->bytes = 5;
    }
    return s->next;
}

static void put(struct body *b, struct body_part *part)
{
    (void)part;
    container_of(b, struct source, body)->puts++;
}

static const struct body_ops ops = {.take = take, .put = put};

static void pull_fiber(struct fiber *self, void *arg)
{
    struct source *s = arg;
    struct body_part part;
    s->result = body_pull_await(&s->body, self, &part);
    if (!s->result) {
        ASSERT(part.count == 1 && part.bytes == 5);
        body_put(&s->body, &part);
        ASSERT(part.count == 0);
    }
    s->over = true;
}

static void pull_takes_waits_and_fails(void **state)
{
    (void)state;
    struct toy toy;
    struct fiber *fiber;
    toy_start(&toy, NULL, NULL, 0);
    for (unsigned how = 0; how < 4; how++) {
        struct source s = {.body = {.ops = &ops}, .next = how == 0 ? 0 : ERR_MORE};
        body_wake(&s.body); // nobody waits: nothing happens
        assert_int_equal(fiber_spawn(toy.fibers, pull_fiber, &s, &fiber), 0);
        if (how > 0)
            toy_until(&toy, s.body.reader == fiber);
        if (how == 1)
            s.next = 0;
        if (how == 2)
            s.next = ERR_UPSTREAM_TRUNCATED;
        if (how == 3)
            fiber_cancel(fiber, ERR_CLIENT_GONE);
        else
            body_wake(&s.body);
        toy_until(&toy, s.over);
        assert_int_equal(s.result, how < 2    ? 0
                                   : how == 2 ? ERR_UPSTREAM_TRUNCATED
                                              : ERR_CLIENT_GONE);
        assert_int_equal(s.puts, how < 2 ? 1 : 0);
        assert_null(s.body.reader);
    }
    toy_stop(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pull_takes_waits_and_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
