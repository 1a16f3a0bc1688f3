// SPDX-License-Identifier: Apache-2.0
//
// attempt_test.c: what is asked again, with which key, and how much later.

#include "base/container.h"
#include "base/err.h"
#include "base/prng.h"
#include "gateway/attempt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka wants the four above.
#include <cmocka.h>

static void verdicts(void **state)
{
    static const struct {
        int err;
        unsigned status;
        const char *message;
        enum verdict verdict;
    } cases[] = {
        {0, 500, "oops", VERDICT_SAME_KEY},
        {0, 502, "", VERDICT_SAME_KEY},
        {0, 503, "overloaded", VERDICT_SAME_KEY},
        {0, 504, "", VERDICT_SAME_KEY},
        {0, 429, "", VERDICT_NEXT_KEY},
        {0, 500, "Rate limit reached", VERDICT_NEXT_KEY},
        {0, 400, "quota exceeded for this key", VERDICT_NEXT_KEY},
        {0, 400, "bad request", VERDICT_GIVE_UP},
        {0, 401, "", VERDICT_GIVE_UP},
        {0, 403, "", VERDICT_GIVE_UP},
        {0, 404, "", VERDICT_GIVE_UP},
        {0, 422, "", VERDICT_GIVE_UP},
        {0, 501, "", VERDICT_GIVE_UP},
        {0, 529, "", VERDICT_GIVE_UP},
        {ERR_CONNECT, 502, "", VERDICT_SAME_KEY},
        {ERR_RESOLVE, 502, "", VERDICT_SAME_KEY},
        {ERR_UPSTREAM_CLOSED, 502, "", VERDICT_SAME_KEY},
        {ERR_UPSTREAM_TIMEOUT, 504, "", VERDICT_SAME_KEY},
        {ERR_TLS_VERIFY, 502, "", VERDICT_GIVE_UP},
        {ERR_QUEUE_FULL, 503, "request dropped: queue is full", VERDICT_GIVE_UP},
        {ERR_NOMEM, 503, "", VERDICT_GIVE_UP},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct failure f = {
            .err = cases[i].err, .status = cases[i].status, .message = slice_str(cases[i].message)};
        if (attempt_verdict(&f) != cases[i].verdict)
            fail_msg("case %zu: err %d status %u %s", i, f.err, f.status, cases[i].message);
    }
}

static void backoff_grows_and_is_capped(void **state)
{
    (void)state;
    assert_int_equal(attempt_backoff_ms(500, 5000, 0, 0.5), 500);
    assert_int_equal(attempt_backoff_ms(500, 5000, 1, 0.5), 1000);
    assert_int_equal(attempt_backoff_ms(500, 5000, 2, 0.0), 1600);
    assert_int_equal(attempt_backoff_ms(500, 5000, 4, 0.999), 5000);
    assert_int_equal(attempt_backoff_ms(500, 5000, 4000000000u, 0.0), 4000);
    assert_int_equal(attempt_backoff_ms(0, 5000, 9, 0.5), 0);
}

static void backoff_stays_in_its_bounds(void **state)
{
    struct prng prng;
    (void)state;
    prng_seed(&prng, 7);
    for (unsigned i = 0; i < 10000; i++) {
        unsigned n = i % 12;
        double base = 500.0 * (double)(1u << n);
        if (base > 5000)
            base = 5000;
        int64_t ms = attempt_backoff_ms(500, 5000, n, prng_unit(&prng));
        assert_true((double)ms >= base * 0.8 - 1 && (double)ms <= base * 1.2);
        assert_true(ms <= 5000);
    }
}

static void retry_after_in_seconds_or_as_a_date(void **state)
{
    // Sun, 06 Nov 1994 08:49:37 GMT
    struct wall now = {.ns = INT64_C(784111777) * NS_PER_S};
    (void)state;
    assert_int_equal(attempt_retry_after_ms(SLICE("3"), now), 3000);
    assert_int_equal(attempt_retry_after_ms(SLICE("0"), now), 0);
    assert_int_equal(attempt_retry_after_ms(SLICE("Sun, 06 Nov 1994 08:49:39 GMT"), now), 2000);
    assert_int_equal(attempt_retry_after_ms(SLICE("Sun, 06 Nov 1994 08:49:30 GMT"), now), 0);
    assert_int_equal(attempt_retry_after_ms(SLICE(""), now), -1);
    assert_int_equal(attempt_retry_after_ms(SLICE("soon"), now), -1);
    assert_int_equal(attempt_retry_after_ms(SLICE("-3"), now), -1);
    assert_int_equal(
        attempt_retry_after_ms(SLICE("Sun, 06 Nov 1994 08:49:39 GMT tomorrow, or later"), now), -1);
    assert_true(attempt_retry_after_ms(SLICE("99999999999999"), now) > INT64_C(1000000000));
    assert_true(attempt_retry_after_ms(SLICE("999999999999999999999"), now) > INT64_C(1000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(backoff_grows_and_is_capped),
        cmocka_unit_test(backoff_stays_in_its_bounds),
        cmocka_unit_test(retry_after_in_seconds_or_as_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
