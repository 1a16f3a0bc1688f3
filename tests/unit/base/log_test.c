// SPDX-License-Identifier: Apache-2.0
//
// log_test.c: the two styles, that no value forges a line, and the two halves under pressure.
#include "tests/unit/base/cm.h"

#include "base/log.h"
#include <unistd.h>

static const struct wall at = {.ns = 1700000000 * NS_PER_S + 123456789};

static void json_line(void **state)
{
    (void)state;
    struct log l;
    assert_int_equal(log_init(&l, LOG_INFO, LOG_JSON), 0);
    LOG(&l, at, LOG_DEBUG, "unseen");
    log_line(&l, at, LOG_DEBUG, SLICE("unseen"), NULL, 0);
    LOG(&l, at, LOG_WARN, "slow", LOG_S("key", SLICE("a\"\n{")), LOG_N("ms", -5),
        LOG_N("least", INT64_MIN));
    LOG(&l, at, LOG_ERROR, "bare");
    assert_slice(log_take(&l),
                 "{\"level\":\"warn\",\"time\":\"2023-11-14T22:13:20.123Z\",\"message\":\"slow\","
                 "\"key\":\"a\\\"\\n{\",\"ms\":-5,\"least\":-9223372036854775808}\n"
                 "{\"level\":\"error\",\"time\":\"2023-11-14T22:13:20.123Z\",\"message\":\"bare\"}"
                 "\n");
    log_written(&l);
    assert_int_equal(log_take(&l).len, 0);
    log_done(&l);
}

static void pretty_line(void **state)
{
    (void)state;
    struct log l;
    assert_int_equal(log_init(&l, LOG_DEBUG, LOG_PRETTY), 0);
    log_line(
        &l, at, LOG_INFO, SLICE("two\nlines\x1b[31m"),
        (struct log_field[]){LOG_S("path", SLICE("/a b\"\r\n2023 ERROR forged")), LOG_N("n", 3)},
        2);
    assert_slice(log_take(&l), "2023-11-14T22:13:20.123Z INFO  two\\nlines\\u001b[31m "
                               "path=\"/a b\\\"\\r\\n2023 ERROR forged\" n=3\n");
    log_written(&l);
    log_done(&l);
}

static void lines_go_on_during_a_write(void **state)
{
    (void)state;
    struct log l;
    assert_int_equal(log_init(&l, LOG_INFO, LOG_PRETTY), 0);
    LOG(&l, at, LOG_INFO, "one");
    struct slice first = log_take(&l);
    assert_slice(first, "2023-11-14T22:13:20.123Z INFO  one\n");
    LOG(&l, at, LOG_INFO, "two");
    assert_int_equal(log_take(&l).len, 0); // one write at a time
    assert_slice(first, "2023-11-14T22:13:20.123Z INFO  one\n");
    log_written(&l);
    assert_slice(log_take(&l), "2023-11-14T22:13:20.123Z INFO  two\n");
    log_written(&l);
    log_done(&l);
}

// Both halves fill, the rest is counted, order holds, and the count is told.
static void dropped_lines_are_counted(void **state)
{
    (void)state;
    struct log l;
    assert_int_equal(log_init(&l, LOG_INFO, LOG_JSON), 0);
    int64_t written = 0;
    while (l.dropped < 3)
        LOG(&l, at, LOG_INFO, "x", LOG_N("n", written++));
    written -= 3;
    int64_t next = 0;
    for (int half = 0; half < 2; half++) {
        struct slice s = log_take(&l);
        assert_true(s.len > LOG_HALF_BYTES - 200);
        assert_int_equal(s.ptr[s.len - 1], '\n');
        while (s.len > 0) {
            ptrdiff_t end = slice_find_char(s, '\n');
            struct slice line = slice_take(s, (size_t)end);
            ptrdiff_t n = slice_find(line, SLICE("\"n\":"));
            uint64_t value = 0;
            line = slice_skip(line, (size_t)n + 4);
            assert_int_equal(slice_to_u64(slice_take(line, line.len - 1), &value), 0);
            assert_int_equal(value, next++);
            s = slice_skip(s, (size_t)end + 1);
        }
        log_written(&l);
    }
    assert_int_equal(next, written);
    LOG(&l, at, LOG_INFO, "after");
    assert_true(slice_find(log_take(&l), SLICE("\"message\":\"(3 lines dropped) after\"")) > 0);
    log_written(&l);
    assert_int_equal(l.dropped, 0);
    log_done(&l);
}

static void long_values_are_cut(void **state)
{
    (void)state;
    static char long_value[200000];
    struct log l;
    memset(long_value, 'v', sizeof(long_value));
    assert_int_equal(log_init(&l, LOG_INFO, LOG_JSON), 0);
    LOG(&l, at, LOG_INFO, "m", LOG_S("v", slice_of(long_value, sizeof(long_value))));
    struct slice s = log_take(&l);
    assert_true(s.len > 1000 && s.len < 6000);
    assert_true(slice_find(s, SLICE("…\"}\n")) > 0);
    log_written(&l);
    log_done(&l);
}

static void flush_writes_all(void **state)
{
    (void)state;
    struct log l;
    int fds[2];
    char text[256];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(log_init(&l, LOG_INFO, LOG_PRETTY), 0);
    log_flush(&l, fds[1]);
    LOG(&l, at, LOG_INFO, "one");
    log_flush(&l, fds[1]);
    assert_int_equal(read(fds[0], text, sizeof(text)), 35);
    close(fds[0]);
    close(fds[1]);
    log_done(&l);
}

static void levels(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse(SLICE("debug")), LOG_DEBUG);
    assert_int_equal(log_level_parse(SLICE("error")), LOG_ERROR);
    assert_int_equal(log_level_parse(SLICE("Info")), -1);
    assert_int_equal(log_level_parse(SLICE_EMPTY), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_line),
        cmocka_unit_test(pretty_line),
        cmocka_unit_test(lines_go_on_during_a_write),
        cmocka_unit_test(dropped_lines_are_counted),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(flush_writes_all),
        cmocka_unit_test(levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
