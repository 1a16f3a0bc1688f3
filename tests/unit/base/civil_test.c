// SPDX-License-Identifier: Apache-2.0
//
// civil_test.c: the calendar against libc's own, and times as people and programs write them.
#include "base/civil.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

// Every day of eight hundred years, leap centuries included.
static void days_are_those_of_the_calendar(void **state)
{
    (void)state;
    for (int64_t day = -135140; day < 157000; day++) { // 1600 to 2399
        time_t t = (time_t)(day * CIVIL_DAY_S);
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        struct civil c = civil_of_days(day);
        if (c.year != tm.tm_year + 1900 || c.month != (unsigned)tm.tm_mon + 1 ||
            c.day != (unsigned)tm.tm_mday || civil_days(c.year, c.month, c.day) != day)
            fail_msg("day %lld", (long long)day);
    }
}

// Expected values: date -u -d '…' +%s.
static void texts(void **state)
{
    static const struct {
        int64_t ns;
        unsigned digits;
        const char *text;
    } rows[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {INT64_C(1709212455987654321), 0, "2024-02-29T13:14:15Z"},
        {INT64_C(1709212455987654321), 3, "2024-02-29T13:14:15.987Z"},
        {INT64_C(1709212455987654321), 6, "2024-02-29T13:14:15.987654Z"},
        {INT64_C(1709212455000000321), 9, "2024-02-29T13:14:15.000000321Z"},
        {-1, 3, "1969-12-31T23:59:59.999Z"},
    };
    char out[CIVIL_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(slice_eq(civil_text((struct wall){rows[i].ns}, rows[i].digits, out),
                             slice_str(rows[i].text)));
    (void)civil_text((struct wall){INT64_MAX}, 9, out);
    (void)civil_text((struct wall){INT64_MIN}, 9, out);
}

static void what_is_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; // -1: refused
    } rows[] = {
        {"2024-02-29T13:14:15Z", INT64_C(1709212455000000000)},
        {"2024-02-29t13:14:15z", INT64_C(1709212455000000000)},
        {"2024-02-29T14:14:15+01:00", INT64_C(1709212455000000000)},
        {"2024-02-29T07:44:15.5-05:30", INT64_C(1709212455500000000)},
        {"2024-02-29T13:14:15.1234567891Z", INT64_C(1709212455123456789)},
        {"1970-01-01T00:00:00Z", 0},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000000)}, // a leap second is the next one
        {"2023-02-29T00:00:00Z", -1},
        {"2100-02-29T00:00:00Z", -1},
        {"2024-12-32T00:00:00Z", -1},
        {"2024-00-01T00:00:00Z", -1},
        {"2024-13-01T00:00:00Z", -1},
        {"2024-01-00T00:00:00Z", -1},
        {"2024-01-01T24:00:00Z", -1},
        {"2024-01-01T00:60:00Z", -1},
        {"2024-01-01T00:00:00", -1},
        {"2024-01-01T00:00:00.Z", -1},
        {"2024-01-01T00:00:00+1:00", -1},
        {"2024-01-01T00:00:00+01:00x", -1},
        {"2024-01-01T00:00:00+24:00", -1},
        {"2024-01-01 00:00:00Z", -1},
        {"2024-01-01", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"9999-12-31T23:59:59Z", -1}, // beyond the clock
        {" 2024-01-01T00:00:00Z", -1},
        {"now", -1},
        {"", -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wall at = {0};
        int rc = civil_parse(slice_str(rows[i].text), &at);
        if (rc != (rows[i].ns < 0 ? ERR_BAD_TYPE : 0) || (rc == 0 && at.ns != rows[i].ns))
            fail_msg("%s: %d %lld", rows[i].text, rc, (long long)at.ns);
    }
}

static void dates_of_http(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; // -1: refused
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, // RFC 9110's own
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
        {"Mon, 31 Dec 2035 12:00:00 GMT", 2082715200},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
        {"Wed, 29 Feb 2023 00:00:00 GMT", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Son, 06 Nov 1994 08:49:37 GMT", -1},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Sunday, 06-Nov-94 08:49:37 GMT", -1}, // obsolete
        {"Sun Nov  6 08:49:37 1994", -1},       // the same
        {"Sun, 06 Nov", -1},
        {"", -1},
    };
    char out[CIVIL_HTTP_BYTES];
    struct wall at = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int rc = civil_parse_http(slice_str(rows[i].text), &at);
        if (rc != (rows[i].seconds < 0 ? ERR_BAD_TYPE : 0) ||
            (rc == 0 && at.ns != rows[i].seconds * NS_PER_S))
            fail_msg("%s: %d %lld", rows[i].text, rc, (long long)at.ns);
        if (rc == 0)
            assert_true(slice_eq(civil_http(at, out), slice_str(rows[i].text)));
    }
    assert_int_equal(civil_parse_http(SLICE("Fri, 31 Dec 9999 23:59:59 GMT"), &at), 0);
    assert_true(at.ns == INT64_MAX); // the end of the clock
    // Every day of forty years, there and back.
    for (int64_t day = 0; day < 40 * 366; day++) {
        struct wall back, then = {.ns = (day * CIVIL_DAY_S + day % CIVIL_DAY_S) * NS_PER_S};
        assert_int_equal(civil_parse_http(civil_http(then, out), &back), 0);
        assert_true(back.ns == then.ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_are_those_of_the_calendar),
        cmocka_unit_test(texts),
        cmocka_unit_test(what_is_read),
        cmocka_unit_test(dates_of_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
