// SPDX-License-Identifier: Apache-2.0
//
// memory_test.c: what a session holds is counted, bounded, and any refusal of it is survived.
#include "toy_h2.h"

#include <sys/mman.h>

static struct toy_h2 toy;

static void it_counts(void **state)
{
    (void)state;
    struct h2_memory m = {.max = 100000};
    nghttp2_mem mem = h2__memory(&m);
    void *a = mem.malloc(10000, &m), *b = mem.calloc(100, 200, &m);
    assert_true(m.bytes >= 30000 && m.bytes < 40000);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(((char *)b)[i], 0);
    memset(a, 7, 10000);
    a = mem.realloc(a, 50000, &m);
    size_t held = m.bytes;
    assert_true(held >= 70000 && held < 80000);
    assert_int_equal(((char *)a)[9999], 7);
    assert_null(mem.malloc(30001, &m));
    assert_null(mem.realloc(b, 50001, &m));
    assert_null(mem.calloc(SIZE_MAX / 2, 4, &m));
    assert_int_equal(m.bytes, held);
    void *c = mem.realloc(NULL, 300, &m);
    assert_non_null(c);
    mem.free(a, &m);
    mem.free(b, &m);
    mem.free(c, &m);
    mem.free(NULL, &m);
    h2__memory_done(&m);
    assert_int_equal(m.bytes, 0);
}

static bool is_resident(void *page)
{
    unsigned char there;
    assert_int_equal(mincore(page, 4096, &there), 0);
    return there & 1;
}

static void what_rests_reads_as_zeros(void **state)
{
    (void)state;
    struct h2_memory m = {.max = 100000};
    nghttp2_mem mem = h2__memory(&m);
    char *frame = mem.malloc(16394, &m), *other = mem.malloc(16394, &m);
    char *table = mem.calloc(1024, 16, &m);
    char *page = table + (-(uintptr_t)table & 4095);
    assert_int_equal((uintptr_t)frame % 4096, 0);
    memset(frame, 7, 16394);
    memset(other, 7, 16394);
    page[0] = page[4096] = 0; // two pages are touched
    page[2 * 4096 - 1] = 1;   // and one of them says something
    h2__memory_rest(&m, false);
    assert_true(is_resident(frame));
    assert_false(is_resident(page));
    assert_true(is_resident(page + 4096));
    h2__memory_rest(&m, true);
    assert_false(is_resident(frame));
    assert_int_equal(frame[16393], 0);
    assert_int_equal(other[0], 7);
    assert_int_equal(page[2 * 4096 - 1], 1);
    mem.free(frame, &m);
    table = mem.realloc(table, 20000, &m);
    memset(table, 7, 20000);
    h2__memory_rest(&m, true); // of neither
    assert_int_equal(table[0], 7);
    mem.free(other, &m);
    mem.free(table, &m);
    assert_int_equal(m.bytes, 0);
}

static void a_session_goes_on_after_a_rest(void **state)
{
    (void)state;
    toy_start(&toy, NULL);
    toy.echo = toy.consume = true;
    struct toy_body body = {.left = 5};
    (void)toy_request(&toy, "POST", "/a", &body);
    toy_pump(&toy);
    assert_non_null(toy.server.memory.frame);
    assert_non_null(toy.server.memory.table);
    h2_session_rest(&toy.server);
    assert_false(is_resident(toy.server.memory.frame));
    body.left = 5;
    (void)toy_request(&toy, "POST", "/b", &body); // by the tables of HPACK that both ends have
    h2_session_rest(&toy.server);
    toy_pump(&toy);
    const char *log = toy_text(&toy.client_log);
    assert_non_null(strstr(log, "head 3 200|"));
    assert_non_null(strstr(log, "close 3 0|"));
    toy_close(&toy);
}

static void an_idle_session_is_small(void **state)
{
    (void)state;
    toy_start(&toy, NULL);
    size_t idle = toy.server.memory.bytes;
    print_message("struct h2_session: %zu bytes; nghttp2's session: %zu\n",
                  sizeof(struct h2_session), idle);
    assert_true(idle < 32 * 1024);
    struct toy_body body = {.left = 100000};
    toy.echo = toy.consume = true;
    for (int i = 0; i < 50; i++) {
        body.left = 100000;
        (void)toy_request(&toy, "POST", "/", &body);
        toy_pump(&toy);
    }
    // Fifty requests later it holds what HPACK's table holds more, and nothing else.
    assert_true(toy.server.memory.bytes < idle + 16 * 1024);
    toy_close(&toy);
}

// Every allocation of a conversation refused in turn: an error, never a crash or a leak (the
// session's own count is asserted to be 0 at its end).
static void any_refusal_is_survived(void **state)
{
    (void)state;
    struct toy_body body = {.left = 3000};
    toy_start(&toy, NULL);
    toy.echo = true;
    (void)toy_request(&toy, "POST", "/", &body);
    toy_pump(&toy);
    struct buf sent = toy.sent;
    size_t high = toy.server.memory.bytes;
    buf_init(&toy.sent, 64u << 20);
    toy_close(&toy);
    for (size_t max = 0; max < high + 8192; max += 97) {
        toy_open(&toy, NULL, false);
        toy.echo = toy.refuse = false;
        toy.server.memory.max = max;
        (void)h2_session_feed(&toy.server, toy.now, buf_slice(&sent));
        struct toy_stream *x = toy_stream(&toy, 1);
        struct slice answer = SLICE("0123456789");
        if (x && x->s.session && x->s.state == H2_STREAM_WHOLE)
            (void)h2_stream_answer(&x->s, 200, NULL, 0, &answer, 1, true);
        char bytes[TOY_OUTPUT];
        struct iovec iov[TOY_IOV];
        struct h2_output out = {
            .bytes = bytes, .bytes_max = sizeof(bytes), .iov = iov, .iov_max = TOY_IOV};
        if (h2_session_output(&toy.server, toy.now, &out))
            assert_true(h2_session_over(&toy.server));
        toy.server.memory.max = H2_MEMORY_MAX;
        toy_close(&toy);
    }
    buf_done(&sent);
}

// nghttp2 1.52 gives a DATA frame's item back, and once more with its stream, when the growth of a
// queue is refused in between.
static void nothing_is_freed_twice_after_a_refusal(void **state)
{
    (void)state;
    struct h2_memory m = {.max = 1000};
    nghttp2_mem mem = h2__memory(&m);
    char *item = mem.malloc(152, &m), *other = mem.malloc(100, &m);
    size_t held = m.bytes;
    assert_null(mem.realloc(NULL, 2000, &m));
    mem.free(item, &m);
    item[0] = 1; // nghttp2 looks at it once more
    assert_int_equal(m.bytes, held);
    mem.free(other, &m);
    mem.free(item, &m);
    assert_true(m.bytes > 0 && m.bytes < held);
    h2__memory_done(&m);
    assert_int_equal(m.bytes, 0);
}

static void a_session_without_memory_is_not_made(void **state)
{
    (void)state;
    // nghttp2's own allocations before it has ours are the allocator's; ours is exercised above.
    struct h2_session none = {0};
    h2_session_done(&none);
    h2_session_done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts),
        cmocka_unit_test(what_rests_reads_as_zeros),
        cmocka_unit_test(a_session_goes_on_after_a_rest),
        cmocka_unit_test(an_idle_session_is_small),
        cmocka_unit_test(any_refusal_is_survived),
        cmocka_unit_test(nothing_is_freed_twice_after_a_refusal),
        cmocka_unit_test(a_session_without_memory_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
