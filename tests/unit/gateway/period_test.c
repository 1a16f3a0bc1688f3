// SPDX-License-Identifier: Apache-2.0
//
// period_test.c: when windows begin.
#include "gateway/period.h"

#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// date -u -d '2024-02-29 13:14:15' +%s
#define LEAP_DAY UINT64_C(1709212455)

static void test_what_is_a_period(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t seconds; // 0: refused
    } rows[] = {
        {"30s", 30},
        {"5m", 300},
        {"1h", 3600},
        {"1d", 86400},
        {"2w", 14 * 86400},
        {"1M", 30 * 86400},
        {"1Q", 90 * 86400},
        {"1Y", 365 * 86400},
        {"100000Y", UINT64_C(100000) * 365 * 86400},
        {"", 0},
        {"d", 0},
        {"1", 0},
        {"0d", 0},
        {"1D", 0},
        {"-1d", 0},
        {"1.5h", 0},
        {"1h30m", 0},
        {" 1d", 0},
        {"1d ", 0},
        {"100001s", 0},
        {"99999999999999999999s", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct period p;
        int rc = period_parse(slice_str(rows[i].text), &p);
        assert_int_equal(rc, rows[i].seconds == 0 ? ERR_BAD_TYPE : 0);
        if (rc == 0)
            assert_int_equal(period_seconds(&p), rows[i].seconds);
    }
}

static struct period period(const char *text, bool calendar)
{
    struct period p;
    assert_int_equal(period_parse(slice_str(text), &p), 0);
    p.calendar = calendar;
    return p;
}

static void test_a_rolling_window_begins_when_it_is_needed(void **state)
{
    (void)state;
    struct period p = period("1m", false);
    assert_int_equal(period_window(&p, 0, 1000), 1000);
    assert_int_equal(period_window(&p, 1000, 1000), 1000);
    assert_int_equal(period_window(&p, 1000, 1059), 1000);
    assert_int_equal(period_window(&p, 1000, 1060), 1060);
    assert_int_equal(period_window(&p, 1000, 5000), 5000);
    assert_int_equal(period_window(&p, 1000, 900), 1000); // a clock that was set back
}

// Expected values: date -u -d '…' +%s.
static void test_a_calendar_window_begins_where_the_calendar_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t now, window;
    } rows[] = {
        {"1d", LEAP_DAY, 1709164800},   // 2024-02-29 00:00
        {"1w", LEAP_DAY, 1708905600},   // Monday 2024-02-26
        {"1M", LEAP_DAY, 1706745600},   // 2024-02-01
        {"1Q", LEAP_DAY, 1704067200},   // 2024-01-01
        {"1Y", LEAP_DAY, 1704067200},   // 2024-01-01
        {"1M", 1709251200, 1709251200}, // 2024-03-01 00:00:00, its first second
        {"1M", 1709251199, 1706745600}, // and the second before
        {"1M", 951782399, 949363200},   // 2000-02-28 23:59:59: 2000-02-01
        {"1M", 951868800, 951868800},   // 2000-03-01, of a leap century
        {"1M", 4107542400, 4107542400}, // 2100-03-01, of one that is not
        {"1M", 4107542399, 4105123200}, // 2100-02-28 23:59:59: 2100-02-01
        {"1Y", 1735689599, 1704067200}, // 2024-12-31 23:59:59
        {"1Y", 1735689600, 1735689600}, // 2025-01-01
        {"3M", LEAP_DAY, 1704067200},   // 2024-01: 648 months since 1970
        {"1w", 345600, 345600},         // 1970-01-05, the first Monday
        {"1h", LEAP_DAY, LEAP_DAY},     // hours roll
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct period p = period(rows[i].text, true);
        assert_int_equal(period_window(&p, 0, rows[i].now), rows[i].window);
    }
    struct period day = period("1d", true);
    assert_int_equal(period_window(&day, 1709164800, LEAP_DAY - 86400), 1709164800);
}

static void test_hours_know_no_calendar(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool knows;
    } rows[] = {{"30s", false}, {"5m", false}, {"1h", false}, {"1d", true},
                {"2w", true},   {"1M", true},  {"1Q", true},  {"1Y", true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct period p;
        assert_int_equal(period_parse(slice_of(rows[i].text, 2 + (rows[i].text[2] != 0)), &p), 0);
        assert_int_equal(period_knows_calendar(&p), rows[i].knows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_period),
        cmocka_unit_test(test_a_rolling_window_begins_when_it_is_needed),
        cmocka_unit_test(test_hours_know_no_calendar),
        cmocka_unit_test(test_a_calendar_window_begins_where_the_calendar_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
