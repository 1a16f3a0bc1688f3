// SPDX-License-Identifier: Apache-2.0
//
// exchange_scan_test.c: a long text is walked over several turns of the loop.
#include "tests/unit/gateway/fixture.h"

static const struct slice names[] = {SLICE("model"), SLICE("stream")};
static struct buf text;
static int result;
static struct json_scanner scan;

static void walk(struct fake *f, struct fiber *self)
{
    json_scan_begin(&scan, buf_slice(&text), names, 2, 0);
    result = exchange_scan_await(&f->x, self, &scan);
}

static void a_long_text_lets_the_loop_turn(void **state)
{
    struct ring_stats before, after;
    (void)state;
    buf_init(&text, 8 * JSON_SCAN_TURN_BYTES);
    buf_add(&text, SLICE("{\"model\":\"a\",\"pad\":\""));
    while (text.len < 4 * JSON_SCAN_TURN_BYTES)
        buf_add(&text, SLICE("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    buf_add(&text, SLICE("\",\"stream\":true}"));
    struct fake *f = fake_open();
    ring_stats_read(f->ring, &before);
    fake_run(f, walk);
    ring_stats_read(f->ring, &after);
    assert_int_equal(result, 0);
    assert_int_equal(scan.member[1].type, JSON_TRUE);
    assert_true(after.turns - before.turns >= 4);
    fake_close(f);
    buf_done(&text);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    buf_init(&text, 1 << 16);
    buf_add(&text, SLICE("{\"model\":1,\"model\":2}"));
    struct fake *f = fake_open();
    fake_run(f, walk);
    assert_int_equal(result, ERR_DUPLICATE);
    assert_int_equal(scan.error_name, 0);
    fake_close(f);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_text_lets_the_loop_turn),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
