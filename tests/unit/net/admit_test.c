// SPDX-License-Identifier: Apache-2.0
//
// admit_test.c: addresses are counted by who they are; nobody is counted too low.
#include "base/container.h"
#include "base/prng.h"
#include "net/admit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct admit_table *table_new(void)
{
    struct admit_table *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->seed[0] = 1;
    t->seed[1] = 2;
    return t;
}

static void addresses_are_counted_by_who_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *peer;
        uint32_t n;
    } rows[] = {
        {"10.0.0.1", 1},
        {"10.0.0.1", 2},
        {"10.0.0.2", 1},
        {"2001:db8:0:1::1", 1},
        {"2001:db8:0:1:ffff::7", 2}, // the same /64
        {"2001:db8:0:2::1", 1},
        {"unix", 1}, // no address at all
        {"unix", 2},
        {"", 1},
    };
    struct admit_table *t = table_new();
    struct admit_slots slots[ARRAY_LEN(rows)];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(admit_enter(t, rows[i].peer, &slots[i]), rows[i].n);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        admit_leave(t, &slots[i]);
        admit_leave(t, &slots[i]); // once is enough
    }
    for (size_t i = 0; i < ADMIT_SLOTS; i++)
        assert_int_equal(t->count[0][i] + t->count[1][i], 0);
    free(t);
}

// With 4,000 addresses about, hardly any new one is taken for more than the first of its own; and
// whatever comes and goes, an address never has less than it has.
static void strangers_are_hardly_ever_mistaken(void **state)
{
    (void)state;
    enum { CROWD = 4000, NEW = 1000 };
    struct admit_table *t = table_new();
    struct admit_slots mine[50], other;
    char peer[48];
    unsigned mistaken = 0;
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++)
        assert_int_equal(admit_enter(t, "192.0.2.1", &mine[i]), i + 1);
    for (unsigned i = 0; i < CROWD; i++) {
        snprintf(peer, sizeof(peer), "10.%u.%u.1", i / 256, i % 256);
        (void)admit_enter(t, peer, &other);
        assert_true(admit_enter(t, "192.0.2.1", &mine[0]) >= 51);
        admit_leave(t, &mine[0]);
        mine[0].entered = true; // its first place is still taken
    }
    for (unsigned i = 0; i < NEW; i++) {
        snprintf(peer, sizeof(peer), "172.16.%u.%u", i / 256, i % 256);
        mistaken += admit_enter(t, peer, &other) > 1;
        admit_leave(t, &other);
    }
    // Both counters taken: (1 - e^(-4000/16384))^2 = 4.7 %; half as much again is far off.
    assert_true(mistaken < NEW * 7 / 100);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_counted_by_who_they_are),
        cmocka_unit_test(strangers_are_hardly_ever_mistaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
