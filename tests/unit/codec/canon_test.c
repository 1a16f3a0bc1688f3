// SPDX-License-Identifier: Apache-2.0
//
// canon_test.c: lists and their ceiling, reports, refusals, efforts and budgets.
#include "codec/canon.h"

#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct desk {
    struct block_pool pool;
    struct arena arena;
    struct canon_request r;
};

static void desk_open(struct desk *d)
{
    block_pool_init(&d->pool, 0);
    arena_init(&d->arena, &d->pool, 64 << 20);
    d->r = (struct canon_request){.arena = &d->arena};
}

static void desk_close(struct desk *d)
{
    arena_done(&d->arena);
    block_pool_done(&d->pool);
}

static void lists_keep_their_order(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    struct canon_message **tail = &d.r.messages, *m[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(canon_add_message(&d.r, &tail, &m[i]), 0);
    assert_ptr_equal(d.r.messages, m[0]);
    assert_ptr_equal(m[0]->next, m[1]);
    assert_ptr_equal(m[1]->next, m[2]);
    assert_null(m[2]->next);
    assert_int_equal(d.r.parts, 3);
    desk_close(&d);
}

static void parts_have_a_ceiling_in_common(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    struct canon_block *blocks = NULL, **tail = &blocks, *b;
    struct canon_tool **tools = &d.r.tools, *t;
    d.r.parts = CANON_PARTS_MAX - 1;
    assert_int_equal(canon_add_tool(&d.r, &tools, &t), 0);
    assert_int_equal(canon_add_tool(&d.r, &tools, &t), ERR_LIMIT);
    assert_int_equal(canon_add_block(&d.arena, &d.r.parts, &tail, &b), ERR_LIMIT);
    assert_null(blocks);
    desk_close(&d);
}

static void a_name_is_reported_once_and_only_so_many(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    canon_drop(&d.r, SLICE("seed"));
    canon_drop(&d.r, SLICE("logit_bias"));
    canon_drop(&d.r, SLICE("seed"));
    assert_true(slice_eq(d.r.dropped->name, SLICE("seed")));
    assert_true(slice_eq(d.r.dropped->next->name, SLICE("logit_bias")));
    assert_null(d.r.dropped->next->next);
    for (int i = 0; i < 200; i++)
        canon_drop(&d.r, arena_printf(&d.arena, "m%d", i));
    unsigned count = 0;
    for (struct canon_member *m = d.r.dropped; m; m = m->next)
        count++;
    assert_int_equal(count, CANON_DROPPED_MAX);
    desk_close(&d);
}

static void a_refusal_names_the_member(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    assert_int_equal(canon_refuse(&d.r, ERR_UNSUPPORTED, SLICE("n"), "`%s` must be %d", "n", 1),
                     ERR_UNSUPPORTED);
    assert_true(slice_eq(d.r.refusal.param, SLICE("n")));
    assert_true(slice_eq(d.r.refusal.message, SLICE("`n` must be 1")));
    desk_close(&d);
}

static void an_effort_is_a_share_of_what_may_be_written(void **state)
{
    (void)state;
    assert_int_equal(canon_budget_of_effort(SLICE("minimal"), 4096), 1100);
    assert_int_equal(canon_budget_of_effort(SLICE("low"), 4096), 1484);
    assert_int_equal(canon_budget_of_effort(SLICE("medium"), 4096), 2329);
    assert_int_equal(canon_budget_of_effort(SLICE("high"), 4096), 3481);
    assert_int_equal(canon_budget_of_effort(SLICE("xhigh"), 4096), 3942);
    assert_int_equal(canon_budget_of_effort(SLICE("high"), 1024), 0);
    assert_int_equal(canon_budget_of_effort(SLICE("high"), 1025), 1024);
    assert_int_equal(canon_budget_of_effort(SLICE("vast"), 4096), 0);
    assert_true(canon_budget_of_effort(SLICE("xhigh"), UINT64_MAX) < UINT32_MAX);
}

static void a_budget_is_the_nearest_effort(void **state)
{
    (void)state;
    static const struct {
        uint64_t budget, max;
        struct slice effort;
    } rows[] = {
        {1024, 4096, SLICE("low")},    {1907, 4096, SLICE("low")},
        {1908, 4096, SLICE("medium")}, {2905, 4096, SLICE("medium")},
        {2906, 4096, SLICE("high")},   {4096, 4096, SLICE("high")},
        {0, 0, SLICE("low")},          {5000, 100, SLICE("high")},
        {31999, 32000, SLICE("high")}, {2000, UINT64_MAX, SLICE("low")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(slice_eq(canon_effort_of_budget(rows[i].budget, rows[i].max), rows[i].effort));
    for (uint64_t max = 2000; max < 200000; max += 7777) {
        static const struct slice own[] = {SLICE("low"), SLICE("medium"), SLICE("high")};
        for (size_t i = 0; i < 3; i++)
            assert_true(
                slice_eq(canon_effort_of_budget(canon_budget_of_effort(own[i], max), max), own[i]));
    }
}

static void what_lies_inside_is_reported_by_its_path(void **state)
{
    (void)state;
    struct desk d;
    unsigned count = 0;
    desk_open(&d);
    for (int i = 0; i < 2 * CANON_DROPPED_MAX; i++)
        assert_int_equal(canon_note_inner(&d.r, SLICE("a"), i == 0 ? SLICE("") : SLICE("b")), 0);
    for (struct canon_member *m = d.r.inner; m; m = m->next)
        count++;
    assert_int_equal(count, CANON_DROPPED_MAX);
    assert_null(d.r.dropped);
    canon_drop_inner(&d.r);
    assert_true(slice_eq(d.r.dropped->name, SLICE("a.")));
    assert_true(slice_eq(d.r.dropped->next->name, SLICE("a.b")));
    assert_null(d.r.dropped->next->next);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_inside_is_reported_by_its_path),
        cmocka_unit_test(lists_keep_their_order),
        cmocka_unit_test(parts_have_a_ceiling_in_common),
        cmocka_unit_test(a_name_is_reported_once_and_only_so_many),
        cmocka_unit_test(a_refusal_names_the_member),
        cmocka_unit_test(an_effort_is_a_share_of_what_may_be_written),
        cmocka_unit_test(a_budget_is_the_nearest_effort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
