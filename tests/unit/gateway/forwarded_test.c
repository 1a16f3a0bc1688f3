// SPDX-License-Identifier: Apache-2.0
//
// Who a request is from: the right-most hop that is not trusted.
#include "gateway/forwarded.h"

#include "base/container.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct ip_net trusted[2];

static struct forwarded read_fields(bool standard, const char *peer, const char *const (*fields)[2],
                                    struct arena *arena)
{
    struct http_field field[8];
    struct http_head head = {.fields = field};
    struct forwarded_rules rules = {.trusted = trusted, .trusted_count = 2, .standard = standard};
    for (; fields[head.count][0] != NULL; head.count++)
        field[head.count] = (struct http_field){.name = slice_str(fields[head.count][0]),
                                                .value = slice_str(fields[head.count][1])};
    return forwarded_read(&rules, &head, slice_str(peer), arena);
}

static const struct {
    const char *peer;
    bool standard;
    const char *fields[4][2];
    const char *client;
} rows[] = {
    // A stranger says what it likes.
    {"192.0.2.1", false, {{"X-Forwarded-For", "6.6.6.6"}, {NULL}}, "192.0.2.1"},
    {"192.0.2.1", true, {{"Forwarded", "for=6.6.6.6"}, {NULL}}, "192.0.2.1"},
    {"10.0.0.1", false, {{NULL}}, "10.0.0.1"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "192.0.2.7"}, {NULL}}, "192.0.2.7"},
    {"10.0.0.1", false, {{"x-forwarded-for", "6.6.6.6, 192.0.2.7"}, {NULL}}, "192.0.2.7"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "6.6.6.6,192.0.2.7 , 10.0.0.9"}, {NULL}}, "192.0.2.7"},
    // One list in several lines.
    {"10.0.0.1",
     false,
     {{"X-Forwarded-For", "6.6.6.6, 192.0.2.7"},
      {"Via", "x"},
      {"X-Forwarded-For", "10.0.0.9"},
      {NULL}},
     "192.0.2.7"},
    {"10.0.0.1",
     false,
     {{"X-Forwarded-For", "10.0.0.8, 10.0.0.9"}, {NULL}},
     "10.0.0.8"}, // all ours
    {"10.0.0.1", false, {{"X-Forwarded-For", "6.6.6.6, unknown"}, {NULL}}, "10.0.0.1"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "6.6.6.6, x, 10.0.0.9"}, {NULL}}, "10.0.0.9"},
    {"10.0.0.1", false, {{"X-Forwarded-For", ", ,192.0.2.7, ,"}, {NULL}}, "192.0.2.7"},
    {"10.0.0.1", false, {{"X-Forwarded-For", ""}, {NULL}}, "10.0.0.1"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "192.0.2.7:51000"}, {NULL}}, "192.0.2.7"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "[2001:db8::7]:51000"}, {NULL}}, "2001:db8::7"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "2001:DB8::7"}, {NULL}}, "2001:db8::7"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "::ffff:192.0.2.7"}, {NULL}}, "192.0.2.7"},
    {"10.0.0.1", false, {{"X-Forwarded-For", "192.0.2.7:x"}, {NULL}}, "10.0.0.1"},
    {"fd00::1", false, {{"X-Forwarded-For", "192.0.2.7"}, {NULL}}, "192.0.2.7"},
    // Only the header that is configured.
    {"10.0.0.1", false, {{"Forwarded", "for=6.6.6.6"}, {NULL}}, "10.0.0.1"},
    {"10.0.0.1", true, {{"X-Forwarded-For", "6.6.6.6"}, {NULL}}, "10.0.0.1"},
    {"10.0.0.1",
     true,
     {{"Forwarded", "for=6.6.6.6, for=192.0.2.7;proto=https"}, {NULL}},
     "192.0.2.7"},
    {"10.0.0.1",
     true,
     {{"Forwarded", "proto=http; For=\"[2001:db8::7]:4711\" ;by=10.0.0.1"}, {NULL}},
     "2001:db8::7"},
    {"10.0.0.1",
     true,
     {{"Forwarded", "for=192.0.2.7;host=\"a,for=6.6.6.6\""}, {NULL}},
     "192.0.2.7"},
    {"10.0.0.1", true, {{"Forwarded", "for=6.6.6.6, for=_hidden"}, {NULL}}, "10.0.0.1"},
    {"10.0.0.1", true, {{"Forwarded", "proto=https"}, {NULL}}, "10.0.0.1"},
    {"10.0.0.1",
     true,
     {{"Forwarded", "for=192.0.2.7;x=\"\\\",for=6.6.6.6\""}, {NULL}},
     "192.0.2.7"},
    {"10.0.0.1", true, {{"Forwarded", "\"for=6.6.6.6"}, {NULL}}, "10.0.0.1"},
    // A quote left open swallows nothing of what the trusted hop added.
    {"10.0.0.1", true, {{"Forwarded", "for=\"x, for=192.0.2.7"}, {NULL}}, "192.0.2.7"},
    {"10.0.0.1", true, {{"Forwarded", "a=\"\\, for=\"192.0.2.7:80\""}, {NULL}}, "192.0.2.7"},
};

static void clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct block_pool pool;
        struct arena arena;
        block_pool_init(&pool, 1);
        arena_init(&arena, &pool, 1 << 16);
        struct forwarded f = read_fields(rows[i].standard, rows[i].peer, rows[i].fields, &arena);
        if (!slice_eq(f.client, slice_str(rows[i].client)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(f.client));
        arena_done(&arena);
        block_pool_done(&pool);
    }
}

static void without_a_list_nobody_is_believed(void **state)
{
    (void)state;
    struct forwarded_rules none = {.trusted_count = 0};
    struct http_field field = {.name = SLICE("X-Forwarded-For"), .value = SLICE("6.6.6.6")};
    struct http_head head = {.fields = &field, .count = 1};
    struct forwarded f = forwarded_read(&none, &head, SLICE("10.0.0.1"), NULL);
    assert_true(slice_eq(f.client, SLICE("10.0.0.1")));
}

static void a_list_that_never_ends(void **state)
{
    (void)state;
    char list[FORWARDED_HOPS_MAX * 32];
    size_t len = (size_t)snprintf(list, sizeof(list), "6.6.6.6");
    for (unsigned i = 0; i < FORWARDED_HOPS_MAX; i++)
        len += (size_t)snprintf(list + len, sizeof(list) - len, ",10.0.0.2");
    const char *const fields[][2] = {{"X-Forwarded-For", list}, {NULL}};
    struct block_pool pool;
    struct arena arena;
    block_pool_init(&pool, 1);
    arena_init(&arena, &pool, 1 << 16);
    struct forwarded f = read_fields(false, "10.0.0.1", fields, &arena);
    assert_true(slice_eq(f.client, SLICE("10.0.0.2")));
    arena_done(&arena);
    block_pool_done(&pool);
}

static void scheme_and_host(void **state)
{
    (void)state;
    static const char *const x[][2] = {
        {"X-Forwarded-Proto", "HTTPS"}, {"X-Forwarded-Host", "forged, gate.test"}, {NULL}};
    static const char *const standard[][2] = {
        {"Forwarded", "host=forged;proto=http, host=\"gate.test\";proto=https"}, {NULL}};
    struct block_pool pool;
    struct arena arena;
    block_pool_init(&pool, 1);
    arena_init(&arena, &pool, 1 << 16);
    struct forwarded f = read_fields(false, "10.0.0.1", x, &arena);
    assert_int_equal(f.scheme, FORWARDED_HTTPS);
    assert_true(slice_eq(f.host, SLICE("gate.test")));
    f = read_fields(true, "10.0.0.1", standard, &arena);
    assert_int_equal(f.scheme, FORWARDED_HTTPS);
    assert_true(slice_eq(f.host, SLICE("gate.test")));
    f = read_fields(false, "192.0.2.1", x, &arena); // a stranger
    assert_int_equal(f.scheme, FORWARDED_UNSAID);
    assert_int_equal(f.host.len, 0);
    arena_done(&arena);
    block_pool_done(&pool);
}

static int set_up(void **state)
{
    (void)state;
    bool good = ip_net_parse(SLICE("10.0.0.0/8"), &trusted[0]) &&
                ip_net_parse(SLICE("fd00::/8"), &trusted[1]);
    return good ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients),
        cmocka_unit_test(without_a_list_nobody_is_believed),
        cmocka_unit_test(a_list_that_never_ends),
        cmocka_unit_test(scheme_and_host),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
