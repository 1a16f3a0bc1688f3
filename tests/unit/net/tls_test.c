// SPDX-License-Identifier: Apache-2.0
//
// TLS in memory: handshakes and records, cut anywhere.
#include "base/err.h"
#include "net/page.h"
#include "tests/support/toy_pair.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

// ---- Handshakes ------------------------------------------------------------------------------

static void a_handshake_may_be_cut_anywhere(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open(&p, TOY_NAME);
    for (size_t step = 1; step < 40; step++) {
        toy_pair_connect(&p, TOY_NAME);
        assert_int_equal(toy_handshake(&p, step), 0);
    }
    toy_pair_close(&p);
}

static void garbage_is_an_error(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open(&p, TOY_NAME);
    toy_pair_connect(&p, TOY_NAME);
    assert_int_equal(tls_handshake(p.client), ERR_MORE);
    tls_feed(p.client, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_int_equal(tls_handshake(p.client), ERR_TLS);
    toy_pair_close(&p);
}

// Both ends stand inside the session there was.
static void go_inside(struct toy_pair *p)
{
    struct tls *client = NULL, *server = NULL;
    assert_int_equal(tls_new_inside(p->client_context, SLICE(TOY_NAME), p->client, &client), 0);
    assert_int_equal(tls_new_inside(p->server_context, SLICE_EMPTY, p->server, &server), 0);
    p->client = client;
    p->server = server;
}

static void a_session_inside_another(void **state)
{
    (void)state;
    struct toy_pair p;
    size_t size = 100000, got = 0;
    char *text = malloc(size), *plain = malloc(size + 1);
    toy_pair_open(&p, TOY_NAME);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + i % 23);
    for (size_t step = 1; step < 2000; step += step < 40 ? 1 : 200) {
        toy_pair_connect(&p, TOY_NAME);
        assert_int_equal(toy_handshake(&p, step), 0);
        go_inside(&p);
        assert_int_equal(toy_handshake(&p, step), 0);
        struct iovec runs[] = {{text, 10}, {text + 10, 40000}, {text + 40010, size - 40010}};
        assert_int_equal(tls_write(p.client, runs, 3), 0);
        struct slice out = toy_drain(p.client);
        assert_true(out.len > size);
        assert_int_equal(toy_hand_over(p.server, out, step, plain, &got, size + 1), ERR_MORE);
        assert_int_equal(got, size);
        assert_memory_equal(plain, text, size);
        got = 0;
        free((void *)out.ptr);
    }
    free(text);
    free(plain);
    toy_pair_close(&p);
}

// What ends, or is broken, in the outer one ends the inner one: no byte of it is believed.
static void an_outer_session_that_breaks(void **state)
{
    (void)state;
    struct toy_pair p;
    char plain[64];
    size_t got = 0;
    for (unsigned closed = 0; closed < 2; closed++) {
        toy_pair_open_connected(&p);
        struct tls *outer = p.server;
        go_inside(&p);
        assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
        if (closed)
            tls_close_notify(outer);
        else
            toy_write_text(p.server, "hello");
        struct slice out = toy_drain(p.server);
        if (!closed)
            ((char *)(uintptr_t)out.ptr)[out.len - 1] ^= 1;
        assert_int_equal(toy_hand_over(p.client, out, SIZE_MAX, plain, &got, sizeof(plain)),
                         ERR_TLS);
        assert_int_equal(got, 0);
        free((void *)out.ptr);
        toy_pair_close(&p);
    }
}

// ---- Records ---------------------------------------------------------------------------------

static void small_requests_are_one_record_whatever_their_runs(void **state)
{
    (void)state;
    struct toy_pair p;
    char plain[64];
    size_t got = 0;
    toy_pair_open_connected(&p);
    struct iovec iov[] = {{"GET ", 4}, {"", 0}, {"/ HTTP", 6}, {NULL, 0}, {"/1.1", 4}};
    assert_int_equal(tls_write(p.client, iov, 5), 0);
    struct slice out = toy_drain(p.client);
    assert_int_equal(out.len, 5 + 14 + 1 + 16); // header, text, type, tag
    assert_int_equal(toy_hand_over(p.server, out, SIZE_MAX, plain, &got, sizeof(plain)), ERR_MORE);
    assert_true(slice_eq(slice_of(plain, got), SLICE("GET / HTTP/1.1")));
    free((void *)out.ptr);
    toy_pair_close(&p);
}

static void records_may_be_cut_anywhere(void **state)
{
    (void)state;
    struct toy_pair p;
    char plain[64];
    toy_pair_open_connected(&p);
    for (size_t step = 1; step < 80; step++) {
        size_t got = 0;
        toy_write_text(p.server, "one");
        toy_write_text(p.server, "two");
        struct slice out = toy_drain(p.server);
        assert_int_equal(toy_hand_over(p.client, out, step, plain, &got, sizeof(plain)), ERR_MORE);
        assert_true(slice_eq(slice_of(plain, got), SLICE("onetwo")));
        free((void *)out.ptr);
    }
    toy_pair_close(&p);
}

static void records_fill_the_readers_room_and_wait(void **state)
{
    (void)state;
    struct toy_pair p;
    char plain[8];
    toy_pair_open_connected(&p);
    toy_write_text(p.server, "0123456789");
    toy_write_text(p.server, "abc");
    struct slice out = toy_drain(p.server);
    tls_feed(p.client, out);
    assert_int_equal(tls_read(p.client, plain, 8), 8);
    assert_memory_equal(plain, "01234567", 8);
    assert_int_equal(tls_read(p.client, plain, 8), 5);
    assert_memory_equal(plain, "89abc", 5);
    assert_int_equal(tls_read(p.client, plain, 8), ERR_MORE);
    assert_int_equal(tls_unfed(p.client).len, 0);
    free((void *)out.ptr);
    toy_pair_close(&p);
}

static void a_changed_record_is_an_error_that_stays(void **state)
{
    (void)state;
    struct toy_pair p;
    char plain[64];
    size_t got = 0;
    toy_pair_open_connected(&p);
    toy_write_text(p.server, "fine");
    toy_write_text(p.server, "spoilt");
    struct slice out = toy_drain(p.server);
    ((char *)out.ptr)[out.len - 1] ^= 1;
    assert_int_equal(toy_hand_over(p.client, out, SIZE_MAX, plain, &got, sizeof(plain)), ERR_MORE);
    assert_int_equal(got, 4); // what was whole is delivered first
    assert_int_equal(tls_read(p.client, plain, 64), ERR_TLS);
    assert_int_equal(tls_read(p.client, plain, 64), ERR_TLS);
    free((void *)out.ptr);
    toy_pair_close(&p);
}

static void close_notify_is_told_from_silence(void **state)
{
    (void)state;
    struct toy_pair p;
    char plain[64];
    size_t got = 0;
    toy_pair_open_connected(&p);
    toy_write_text(p.server, "last");
    tls_close_notify(p.server);
    struct slice out = toy_drain(p.server);
    (void)toy_hand_over(p.client, out, SIZE_MAX, plain, &got, sizeof(plain));
    assert_int_equal(got, 4);
    assert_int_equal(tls_read(p.client, plain, 64), 0);
    assert_int_equal(tls_read(p.client, plain, 64), 0);
    free((void *)out.ptr);
    toy_pair_close(&p);
}

#define BIG ((size_t)3 << 20)

static void a_big_transfer_arrives_through_a_bounded_pool(void **state)
{
    (void)state;
    struct toy_pair p;
    struct page_pool pages;
    char *data = malloc(BIG), *plain = malloc(BIG + 1);
    size_t got = 0, sent = 0;
    for (size_t i = 0; i < BIG; i++)
        data[i] = (char)(i * 31 >> 5);
    page_pool_init(&pages, 4, 20);
    toy_pair_open(&p, TOY_NAME);
    toy_pair_connect(&p, TOY_NAME);
    tls_set_pages(p.client, &pages);
    assert_int_equal(toy_handshake(&p, 1000), 0);
    while (sent < BIG) { // 256 kB a turn, in uneven runs
        struct iovec iov[3] = {
            {data + sent, 1}, {data + sent + 1, 100000}, {data + sent + 100001, 162143}};
        assert_int_equal(tls_write(p.client, iov, 3), 0);
        sent += 262144;
        struct iovec out[20];
        unsigned n = tls_output_iov(p.client, out, 20);
        assert_true(n >= 16 && n <= 18);
        struct slice all = toy_drain(p.client);
        (void)toy_hand_over(p.server, all, 7777, plain, &got, BIG + 1);
        free((void *)all.ptr);
        assert_int_equal(pages.live, 0);
    }
    assert_int_equal(got, BIG);
    assert_memory_equal(data, plain, BIG);
    toy_pair_close(&p);
    page_pool_done(&pages);
    free(data);
    free(plain);
}

// What is being sent must not move when more is written behind it.
static void output_in_flight_does_not_move(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open_connected(&p);
    toy_write_text(p.client, "first");
    struct slice before = tls_output(p.client);
    char *copy = malloc(before.len);
    memcpy(copy, before.ptr, before.len);
    for (unsigned i = 0; i < 1000; i++)
        toy_write_text(p.client, "behind it, again and again");
    struct slice after = tls_output(p.client);
    assert_ptr_equal(before.ptr, after.ptr);
    assert_true(after.len > before.len);
    assert_memory_equal(copy, after.ptr, before.len);
    free(copy);
    toy_pair_close(&p);
}

static void an_exhausted_pool_is_out_of_memory(void **state)
{
    (void)state;
    struct toy_pair p;
    struct page_pool pages;
    static char data[65536];
    page_pool_init(&pages, 4, 2);
    toy_pair_open(&p, TOY_NAME);
    toy_pair_connect(&p, TOY_NAME);
    tls_set_pages(p.client, &pages);
    assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
    struct iovec iov = {data, sizeof(data)};
    assert_int_equal(tls_write(p.client, &iov, 1), ERR_NOMEM);
    toy_pair_close(&p);
    page_pool_done(&pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_may_be_cut_anywhere),
        cmocka_unit_test(a_session_inside_another),
        cmocka_unit_test(an_outer_session_that_breaks),
        cmocka_unit_test(garbage_is_an_error),
        cmocka_unit_test(small_requests_are_one_record_whatever_their_runs),
        cmocka_unit_test(records_may_be_cut_anywhere),
        cmocka_unit_test(records_fill_the_readers_room_and_wait),
        cmocka_unit_test(a_changed_record_is_an_error_that_stays),
        cmocka_unit_test(close_notify_is_told_from_silence),
        cmocka_unit_test(a_big_transfer_arrives_through_a_bounded_pool),
        cmocka_unit_test(output_in_flight_does_not_move),
        cmocka_unit_test(an_exhausted_pool_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
