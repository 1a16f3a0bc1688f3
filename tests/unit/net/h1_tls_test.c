// SPDX-License-Identifier: Apache-2.0
//
// h1_tls_test.c: a client's TLS connection over loopback: everything a plain one does, and what
// only TLS can do wrong.
#include "toy.h"

#include "net/tls_internal.h"
#include "net/tls_ticket.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_pair.h"

// A listener with a certificate, and who trusts it.
struct world {
    struct toy toy;
    struct toy_cert cert;
    struct tls_context *server, *trust;
};

// A client: a socket and a session whose plaintext is gathered.
struct secure {
    struct toy_client raw;
    struct tls *tls;
    char *in; // NUL-terminated
    size_t len, cap;
    bool notified; // close_notify was read
    int err;       // of the session
};

static void world_open_at(struct world *w, struct net_options o, bool plain)
{
    toy_cert_make(&w->cert, TOY_NAME);
    w->server = toy_listener_context(&w->cert);
    w->trust = toy_client_context(w->cert.ca_pem, false);
    o.tls = w->server;
    toy_start_on(&w->toy, &o, NULL, 0, "127.0.0.1", plain);
}

static void world_open_with(struct world *w, struct net_options o)
{
    world_open_at(w, o, false);
}

static void world_open(struct world *w)
{
    world_open_with(w, (struct net_options){0});
}

static void world_close(struct world *w)
{
    toy_stop(&w->toy);
    tls_context_put(w->server);
    tls_context_put(w->trust);
    toy_cert_done(&w->cert);
}

static uint64_t failures(struct world *w, enum tls_failure why)
{
    return counter_get(&w->toy.core.stats.tls_failures[why]);
}

// What the session wants to say, to the socket.
static void secure_flush(struct world *w, struct secure *s)
{
    struct slice out;
    while ((out = tls_output(s->tls)).len > 0) {
        client_send(&w->toy, &s->raw, out.ptr, out.len);
        tls_output_sent(s->tls, out.len);
    }
}

static void secure_open_in(struct world *w, struct secure *s, struct tls_context *trust)
{
    *s = (struct secure){.cap = 1 << 16};
    s->in = calloc(1, s->cap);
    client_open(&s->raw, w->toy.port);
    assert_int_equal(tls_new(trust, slice_str(TOY_NAME), &s->tls), 0);
    assert_int_equal(tls_handshake(s->tls), ERR_MORE);
}

// Reads what has come, through the handshake too.
static void secure_poll(struct world *w, struct secure *s)
{
    client_poll(&s->raw);
    tls_feed(s->tls, slice_of(s->raw.in, s->raw.len));
    if (!tls_ready(s->tls) && s->err == 0) {
        int rc = tls_handshake(s->tls);
        s->err = rc == ERR_MORE ? 0 : rc;
    }
    while (tls_ready(s->tls) && !s->notified) {
        if (s->cap - s->len < 65536) {
            s->cap = s->cap * 2 + 65536;
            s->in = realloc(s->in, s->cap);
        }
        ptrdiff_t n = tls_read(s->tls, s->in + s->len, s->cap - s->len - 1);
        s->notified = n == 0;
        if (n < 0 && n != ERR_MORE)
            s->err = (int)n;
        if (n <= 0)
            break;
        s->len += (size_t)n;
        s->in[s->len] = '\0';
    }
    (void)tls_unfeed(s->tls);
    client_forget(&s->raw);
    secure_flush(w, s);
}

#define secure_until(w, s, condition) toy_until(&(w)->toy, (secure_poll(w, s), (condition)))

static bool secure_has(const struct secure *s, const char *needle)
{
    return memmem(s->in, s->len, needle, strlen(needle)) != NULL;
}

static void secure_open(struct world *w, struct secure *s)
{
    secure_open_in(w, s, w->trust);
    secure_flush(w, s);
    secure_until(w, s, tls_ready(s->tls) || s->err);
    assert_int_equal(s->err, 0);
}

static void secure_send(struct world *w, struct secure *s, const void *data, size_t size)
{
    struct iovec iov = {(void *)(uintptr_t)data, size};
    assert_int_equal(tls_write(s->tls, &iov, 1), 0);
    secure_flush(w, s);
}

static void secure_say(struct world *w, struct secure *s, const char *text)
{
    secure_send(w, s, text, strlen(text));
}

static void secure_forget(struct secure *s)
{
    s->len = 0;
    s->in[0] = '\0';
}

static void secure_close(struct secure *s)
{
    client_close(&s->raw);
    tls_free(s->tls);
    free(s->in);
}

static void world_open_one(struct world *w, struct secure *s)
{
    world_open(w);
    secure_open(w, s);
}

static void world_close_one(struct world *w, struct secure *s)
{
    secure_close(s);
    world_close(w);
}

#define POST(path, n) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " #n "\r\n\r\n"

// ---- Everything a plain connection does --------------------------------------------------------

static void keep_alive_serves_many_and_an_idle_one_owns_nothing(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_one(&w, &s);
    for (int i = 0; i < 20; i++) {
        secure_forget(&s);
        secure_say(&w, &s, POST("/echo", 5) "hello");
        secure_until(&w, &s, secure_has(&s, "\r\n\r\nhello"));
    }
    toy_until(&w.toy, w.toy.ended == 20);
    toy_turn(&w.toy);
    assert_int_equal(w.toy.core.blocks.live_count, 0);
    assert_int_equal(w.toy.core.upstream->pages.live, 0);
    assert_int_equal(w.toy.core.tls.shaking, 0);
    assert_int_equal(counter_get(&w.toy.core.stats.requests), 20);
    assert_int_equal(counter_get(&w.toy.core.stats.tls_handshakes), 1);
    assert_string_equal(w.toy.peer, "127.0.0.1");
    secure_close(&s);
    toy_until(&w.toy, atomic_load(&w.toy.core.stats.connections) == 0);
    world_close(&w);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_one(&w, &s);
    secure_say(&w, &s, POST("/echo", 1) "a" POST("/stream", 6) "bcdefg" POST("/echo", 1) "h");
    secure_until(&w, &s, secure_has(&s, "\r\n\r\nh"));
    const char *a = strstr(s.in, "\r\n\r\na"), *b = strstr(s.in, "2\r\nbc\r\n");
    assert_non_null(a);
    assert_non_null(b);
    assert_true(a < b && b < strstr(s.in, "\r\n\r\nh"));
    world_close_one(&w, &s);
}

// Byte by byte: handshake, head and body, each in records and receives of their own.
static void bytes_may_come_one_by_one(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open(&w);
    secure_open_in(&w, &s, w.trust);
    while (!tls_ready(s.tls)) {
        struct slice out = tls_output(s.tls);
        for (size_t i = 0; i < out.len; i++) {
            client_send(&w.toy, &s.raw, out.ptr + i, 1);
            toy_turn(&w.toy);
        }
        tls_output_sent(s.tls, out.len);
        client_poll(&s.raw);
        tls_feed(s.tls, slice_of(s.raw.in, s.raw.len));
        (void)tls_handshake(s.tls);
        client_forget(&s.raw);
        toy_turn(&w.toy);
    }
    static const char request[] = POST("/echo", 3) "abc";
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        secure_send(&w, &s, request + i, 1);
        toy_turn(&w.toy);
    }
    secure_until(&w, &s, secure_has(&s, "\r\n\r\nabc"));
    world_close_one(&w, &s);
}

#define BIG ((size_t)3 << 20)

static void large_bodies_go_both_ways(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    char *body = malloc(BIG), head[128];
    for (size_t i = 0; i < BIG; i++)
        body[i] = (char)(i * 31 >> 5);
    world_open_one(&w, &s);
    // Above and below what is kept eagerly, with a length and in chunks.
    static const size_t sizes[] = {20000, 200000, BIG};
    for (size_t i = 0; i < 6; i++) {
        size_t size = sizes[i % 3];
        secure_forget(&s);
        int n =
            i < 3 ? snprintf(head, sizeof(head),
                             "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", size)
                  : snprintf(head, sizeof(head),
                             "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                             "\r\n%zx\r\n",
                             size);
        secure_send(&w, &s, head, (size_t)n);
        for (size_t at = 0; at < size; at += 65536) {
            secure_send(&w, &s, body + at, size - at < 65536 ? size - at : 65536);
            secure_poll(&w, &s);
        }
        if (i >= 3)
            secure_say(&w, &s, "\r\n0\r\n\r\n");
        secure_until(&w, &s,
                     s.len > size && secure_has(&s, "\r\n\r\n") &&
                         s.len == (size_t)(strstr(s.in, "\r\n\r\n") + 4 - s.in) + size);
        assert_memory_equal(s.in + s.len - size, body, size);
    }
    free(body);
    world_close_one(&w, &s);
}

// Three writes of the server are three records, each there before the next.
static void a_write_is_a_record(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_one(&w, &s);
    secure_say(&w, &s, POST("/echo", 1) "x"); // the tickets come with it
    secure_until(&w, &s, secure_has(&s, "\r\n\r\nx"));
    secure_forget(&s);
    secure_say(&w, &s, POST("/stream", 9) "aaabbbccc");
    toy_until(&w.toy, w.toy.ended == 2);
    toy_until(&w.toy, (client_poll(&s.raw), s.raw.len > 0));
    toy_turn(&w.toy);
    client_poll(&s.raw);
    unsigned records = 0;
    for (size_t at = 0; at + 5 <= s.raw.len; records++) {
        assert_int_equal(s.raw.in[at], 23); // application data
        at += 5 + ((size_t)(unsigned char)s.raw.in[at + 3] << 8 | (unsigned char)s.raw.in[at + 4]);
    }
    assert_int_equal(records, 3);
    secure_until(&w, &s, secure_has(&s, "ccc"));
    world_close_one(&w, &s);
}

static void expectations_and_refusals_are_answered(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_one(&w, &s);
    secure_say(&w, &s,
               "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
               "Content-Length: 4\r\n\r\n");
    secure_until(&w, &s, secure_has(&s, "HTTP/1.1 100 Continue\r\n\r\n"));
    secure_say(&w, &s, "more");
    secure_until(&w, &s, secure_has(&s, "\r\n\r\nmore"));
    secure_say(&w, &s, "GET /\x01 HTTP/1.1\r\n\r\n");
    secure_until(&w, &s, s.notified);
    assert_true(secure_has(&s, "HTTP/1.1 400 Bad Request"));
    assert_true(secure_has(&s, "BAD_HEAD"));
    secure_close(&s);
    secure_open(&w, &s);
    secure_say(&w, &s, POST("/refuse", 0));
    secure_until(&w, &s, s.notified && secure_has(&s, "OVERLOAD"));
    world_close_one(&w, &s);
}

// ---- Endings -----------------------------------------------------------------------------------

static void the_last_answer_brings_close_notify(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_one(&w, &s);
    secure_say(&w, &s,
               "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
               "Content-Length: 3\r\n\r\nend");
    secure_until(&w, &s, s.notified && s.raw.eof);
    assert_true(secure_has(&s, "\r\n\r\nend"));
    assert_int_equal(s.err, 0);
    secure_close(&s);
    // An HTTP/1.0 answer ends with the connection: only close_notify says that it is whole.
    secure_open(&w, &s);
    secure_say(&w, &s, "POST /stream HTTP/1.0\r\nContent-Length: 3\r\n\r\nend");
    secure_until(&w, &s, s.notified);
    assert_true(secure_has(&s, "\r\n\r\nend"));
    world_close_one(&w, &s);
}

static void an_idle_connection_is_closed_with_notice(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_with(&w, (struct net_options){.idle_ms = 20});
    secure_open(&w, &s);
    secure_until(&w, &s, s.notified && s.raw.eof);
    world_close_one(&w, &s);
}

static void half_an_answer_has_no_close_notify(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_one(&w, &s);
    secure_say(&w, &s, "GET /half HTTP/1.1\r\nHost: a\r\n\r\n");
    secure_until(&w, &s, s.raw.eof);
    assert_false(s.notified);
    world_close_one(&w, &s);
}

// FIN or close_notify, with and without the other: in the middle of a body it is never its end.
static void a_cut_body_is_not_a_body(void **state)
{
    (void)state;
    static const char *const framings[] = {
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    };
    for (unsigned i = 0; i < 4; i++) {
        struct world w;
        struct secure s;
        world_open(&w);
        secure_open(&w, &s);
        secure_say(&w, &s, framings[i % 2]);
        toy_until(&w.toy, fiber_live(w.toy.fibers) == 1);
        if (i < 2) {
            (void)shutdown(s.raw.fd, SHUT_WR);
        } else {
            tls_close_notify(s.tls);
            secure_flush(&w, &s);
        }
        toy_until(&w.toy, w.toy.ended == 1);
        assert_int_equal(w.toy.last_error, ERR_CLIENT_GONE);
        assert_int_equal(w.toy.cancelled, 1);
        secure_until(&w, &s, s.raw.eof);
        assert_int_equal(s.len, 0);
        secure_close(&s);
        world_close(&w);
    }
}

static void a_client_that_leaves_cancels_the_fiber(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct world w;
        struct secure s;
        world_open(&w);
        secure_open(&w, &s);
        secure_say(&w, &s, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
        toy_until(&w.toy, fiber_live(w.toy.fibers) == 1);
        if (i == 0) {
            client_close(&s.raw);
        } else if (i == 1) {
            tls_close_notify(s.tls);
            secure_flush(&w, &s);
        } else {
            client_send(&w.toy, &s.raw, "\x17\x03\x03\x00\x20no record of this session at all", 37);
        }
        toy_until(&w.toy, w.toy.ended == 1);
        assert_int_equal(w.toy.cancelled, 1);
        secure_close(&s);
        world_close(&w);
    }
}

static void a_client_that_never_reads_is_reset(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open_with(&w, (struct net_options){.send_ms = 50});
    secure_open(&w, &s);
    secure_say(&w, &s, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    toy_until(&w.toy, w.toy.ended == 1);
    assert_int_equal(w.toy.last_error, ERR_CLIENT_GONE);
    toy_until(&w.toy, atomic_load(&w.toy.core.stats.connections) == 0);
    assert_int_equal(w.toy.core.upstream->pages.live, 0);
    world_close_one(&w, &s);
}

// ---- Handshakes --------------------------------------------------------------------------------

static void plain_http_gets_400_in_clear(void **state)
{
    (void)state;
    struct world w;
    struct toy_client c;
    world_open(&w);
    client_open(&c, w.toy.port);
    client_say(&w.toy, &c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until_eof(&w.toy, &c);
    assert_non_null(strstr(c.in, "HTTP/1.1 400 Bad Request\r\n"));
    assert_non_null(strstr(c.in, "Connection: close\r\n"));
    assert_non_null(strstr(c.in, "PLAIN_HTTP"));
    assert_int_equal(failures(&w, TLS_FAILURE_PLAIN), 1);
    client_close(&c);
    world_close(&w);
}

static void garbage_is_told_and_closed(void **state)
{
    (void)state;
    struct world w;
    struct toy_client c;
    world_open(&w);
    client_open(&c, w.toy.port);
    client_send(&w.toy, &c, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
    client_until_eof(&w.toy, &c);
    assert_int_equal(c.len, 7);
    assert_memory_equal(c.in, "\x15\x03\x01\x00\x02\x02", 6); // a fatal alert, in clear
    assert_int_equal(failures(&w, TLS_FAILURE_PROTOCOL), 1);
    assert_int_equal(w.toy.core.tls.shaking, 0);
    client_close(&c);
    world_close(&w);
}

static void silence_and_slowness_end_in_time(void **state)
{
    (void)state;
    struct world w;
    struct toy_client silent, slow;
    world_open_with(&w, (struct net_options){.handshake_ms = 30});
    client_open(&silent, w.toy.port);
    client_open(&slow, w.toy.port);
    client_send(&w.toy, &slow, "\x16\x03\x01\x02\x00\x01", 6);
    client_until_eof(&w.toy, &silent);
    client_until_eof(&w.toy, &slow);
    toy_until(&w.toy, atomic_load(&w.toy.core.stats.connections) == 0);
    assert_int_equal(failures(&w, TLS_FAILURE_TIMEOUT), 1); // the silent one began nothing
    assert_int_equal(counter_get(&w.toy.core.stats.timeouts), 2);
    client_close(&silent);
    client_close(&slow);
    world_close(&w);
}

// A ClientHello of 16,000 bytes, three bytes a record.
static void an_endless_hello_is_cut_off(void **state)
{
    (void)state;
    struct world w;
    struct toy_client c;
    char record[8] = "\x16\x03\x01\x00\x03";
    world_open(&w);
    client_open(&c, w.toy.port);
    client_send(&w.toy, &c, "\x16\x03\x01\x00\x04\x01\x00\x3e\x80", 9);
    for (unsigned i = 0; i < 16000 / 3 && !c.eof; i++) {
        client_send(&w.toy, &c, record, sizeof(record));
        if (i % 64 == 0)
            toy_turn(&w.toy);
        client_poll(&c);
    }
    client_until_eof(&w.toy, &c);
    assert_int_equal(failures(&w, TLS_FAILURE_HELLO), 1);
    client_close(&c);
    world_close(&w);
}

// More ClientHellos in one go than a turn answers: all are served, none by reading out of order.
static void a_burst_of_hellos_waits_its_turns(void **state)
{
    (void)state;
    struct world w;
    struct secure s[40];
    world_open(&w);
    for (unsigned i = 0; i < ARRAY_LEN(s); i++)
        secure_open_in(&w, &s[i], w.trust);
    for (unsigned i = 0; i < ARRAY_LEN(s); i++) // before the loop turns once
        assert_true(client_write(&s[i].raw, tls_output(s[i].tls).ptr, tls_output(s[i].tls).len));
    for (unsigned i = 0; i < ARRAY_LEN(s); i++)
        tls_output_sent(s[i].tls, tls_output(s[i].tls).len);
    // Some turns may make one only: how many the clock lets a turn make is not known here.
    struct net_tls *tls = &w.toy.core.tls;
    toy_until(&w.toy, (tls->hellos_left = 1, !list_empty(&tls->waiting)));
    for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
        secure_until(&w, &s[i], tls_ready(s[i].tls));
        secure_say(&w, &s[i], POST("/echo", 2) "ok");
    }
    for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
        secure_until(&w, &s[i], secure_has(&s[i], "\r\n\r\nok"));
        secure_close(&s[i]);
    }
    assert_int_equal(counter_get(&w.toy.core.stats.tls_handshakes), ARRAY_LEN(s));
    world_close(&w);
}

static void those_who_leave_while_shaking_are_counted(void **state)
{
    (void)state;
    struct world w;
    struct secure s[12];
    world_open(&w);
    for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
        secure_open_in(&w, &s[i], w.trust);
        struct slice hello = tls_output(s[i].tls);
        assert_int_equal(client_write(&s[i].raw, hello.ptr, hello.len), hello.len);
        secure_close(&s[i]);
    }
    toy_until(&w.toy, failures(&w, TLS_FAILURE_CLOSED) == ARRAY_LEN(s));
    toy_until(&w.toy, atomic_load(&w.toy.core.stats.connections) == 0);
    assert_int_equal(w.toy.core.tls.shaking, 0);
    world_close(&w);
}

// Beyond the bound the newest is closed, and those that are under way go on.
static void too_many_handshakes_close_the_newest(void **state)
{
    (void)state;
    struct world w;
    struct secure first, second;
    world_open(&w);
    secure_open_in(&w, &first, w.trust);
    struct slice hello = tls_output(first.tls);
    client_send(&w.toy, &first.raw, hello.ptr, 20); // begun, not whole
    toy_until(&w.toy, w.toy.core.tls.shaking == 1);
    w.toy.core.tls.shaking = LIMIT_HANDSHAKES; // as if the others were somebody else's
    secure_open_in(&w, &second, w.trust);
    secure_flush(&w, &second);
    client_until_eof(&w.toy, &second.raw);
    assert_int_equal(failures(&w, TLS_FAILURE_OVERLOAD), 1);
    client_send(&w.toy, &first.raw, hello.ptr + 20, hello.len - 20);
    tls_output_sent(first.tls, hello.len);
    secure_until(&w, &first, tls_ready(first.tls));
    secure_say(&w, &first, POST("/echo", 2) "ok");
    secure_until(&w, &first, secure_has(&first, "\r\n\r\nok"));
    assert_int_equal(w.toy.core.tls.shaking, LIMIT_HANDSHAKES - 1);
    w.toy.core.tls.shaking = 0;
    secure_close(&first);
    secure_close(&second);
    world_close(&w);
}

static void sessions_are_resumed_and_contexts_swapped(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    struct toy_cert fresh;
    world_open_one(&w, &s);
    secure_say(&w, &s, POST("/echo", 2) "ok");
    secure_until(&w, &s, secure_has(&s, "\r\n\r\nok")); // two tickets came with it
    toy_cert_make(&fresh, TOY_NAME);
    struct tls_context *next = toy_listener_context(&fresh);
    net_tls_use(&w.toy.core, next);
    secure_say(&w, &s, POST("/echo", 4) "same"); // keeps what it has
    secure_until(&w, &s, secure_has(&s, "\r\n\r\nsame"));
    secure_close(&s);
    secure_open(&w, &s); // trusts the old certificate only: resumption shows none
    assert_true(tls_resumed(s.tls));
    toy_until(&w.toy, counter_get(&w.toy.core.stats.tls_resumptions) == 1);
    secure_close(&s);
    struct tls_context *trust = toy_client_context(w.cert.ca_pem, false);
    secure_open_in(&w, &s, trust);
    secure_flush(&w, &s);
    secure_until(&w, &s, s.err != 0);
    assert_int_equal(s.err, ERR_TLS_VERIFY);
    secure_close(&s);
    tls_context_put(trust);
    tls_context_put(next);
    toy_cert_done(&fresh);
    world_close(&w);
}

// A core that begins with the keys of the process before it opens tickets of both of them.
static void inherited_keys_open_tickets(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    struct tls_ticket_key first, second, third;
    assert_int_equal(tls_ticket_key_make(&first) + tls_ticket_key_make(&second) +
                         tls_ticket_key_make(&third),
                     0);
    const struct net_options cores[] = {
        {.ticket_key = &first},
        {.ticket_key = &second, .ticket_key_before = &first},
        {.ticket_key = &second},
        {.ticket_key = &third},
    };
    static const bool resumed[] = {false, true, true, false};
    world_open_with(&w, cores[0]);
    for (unsigned i = 0; i < ARRAY_LEN(cores); i++) {
        if (i > 0) {
            struct net_options o = cores[i];
            toy_stop(&w.toy);
            o.tls = w.server;
            toy_start_on(&w.toy, &o, NULL, 0, "127.0.0.1", false);
        }
        secure_open(&w, &s);
        assert_int_equal(tls_resumed(s.tls), resumed[i]);
        secure_say(&w, &s, POST("/echo", 2) "ok"); // tickets come with it
        secure_until(&w, &s, secure_has(&s, "\r\n\r\nok"));
        secure_close(&s);
    }
    world_close(&w);
}

static void tls_1_2_is_served(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    world_open(&w);
    toy_limit_to_1_2(w.trust);
    for (unsigned i = 0; i < 2; i++) {
        secure_open(&w, &s);
        assert_int_equal(tls_resumed(s.tls), i == 1);
        secure_say(&w, &s, POST("/echo", 2) "ok" POST("/echo", 2) "go");
        secure_until(&w, &s, secure_has(&s, "\r\n\r\ngo"));
        secure_close(&s);
    }
    world_close(&w);
}

// The request comes in one go with the client's Finished (RFC 7918), before ours has left: it
// waits, sealed, until it has.
static void a_false_start_is_served(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    static const char request[] = POST("/echo", 5) "early";
    int rc = ERR_MORE;
    world_open(&w);
    toy_limit_to_1_2(w.trust);
    SSL_CTX_set_mode(w.trust->ctx, SSL_MODE_ENABLE_FALSE_START);
    secure_open_in(&w, &s, w.trust);
    secure_flush(&w, &s);
    while (rc == ERR_MORE) {
        toy_until(&w.toy, (client_poll(&s.raw), s.raw.len > 0));
        tls_feed(s.tls, slice_of(s.raw.in, s.raw.len));
        rc = tls_handshake(s.tls);
        client_forget(&s.raw);
    }
    assert_int_equal(rc, 0);
    assert_true(SSL_in_false_start(s.tls->ssl));
    assert_int_equal(SSL_write(s.tls->ssl, request, sizeof(request) - 1), sizeof(request) - 1);
    secure_flush(&w, &s); // one page: one write
    secure_until(&w, &s, secure_has(&s, "\r\n\r\nearly"));
    world_close_one(&w, &s);
}

// An idle connection is told with its next answer, and a handshake may go on to the deadline.
static void draining_tells_and_aborting_closes(void **state)
{
    (void)state;
    struct world w;
    struct secure asks, idle;
    struct toy_client shaking;
    world_open(&w);
    secure_open(&w, &asks);
    secure_open(&w, &idle);
    toy_until(&w.toy, counter_get(&w.toy.core.stats.tls_handshakes) == 2);
    client_open(&shaking, w.toy.port);
    client_send(&w.toy, &shaking, "\x16\x03\x01\x02\x00\x01", 6);
    toy_until(&w.toy, w.toy.core.tls.shaking == 1);
    net_drain(&w.toy.core);
    secure_say(&w, &asks, POST("/echo", 3) "tls");
    secure_until(&w, &asks, asks.notified && asks.raw.eof);
    assert_true(secure_has(&asks, "Connection: close\r\n"));
    assert_int_equal(w.toy.core.tls.shaking, 1);
    net_abort(&w.toy.core);
    client_until_eof(&w.toy, &shaking);
    secure_until(&w, &idle, idle.notified && idle.raw.eof);
    assert_int_equal(idle.raw.error, 0);
    client_close(&shaking);
    secure_close(&asks);
    secure_close(&idle);
    world_close(&w);
}

static void plain_is_served_beside_it(void **state)
{
    (void)state;
    struct world w;
    struct secure s;
    struct toy_client c;
    world_open_at(&w, (struct net_options){0}, true);
    assert_true(w.toy.plain_port > 0);
    assert_int_not_equal(w.toy.plain_port, w.toy.port);
    client_open(&c, w.toy.plain_port);
    client_say(&w.toy, &c, POST("/echo", 5) "plain");
    client_until(&w.toy, &c, "\r\n\r\nplain");
    client_close(&c);
    secure_open(&w, &s);
    secure_say(&w, &s, POST("/echo", 3) "tls");
    secure_until(&w, &s, secure_has(&s, "\r\n\r\ntls"));
    world_close_one(&w, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_serves_many_and_an_idle_one_owns_nothing),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(large_bodies_go_both_ways),
        cmocka_unit_test(a_write_is_a_record),
        cmocka_unit_test(expectations_and_refusals_are_answered),
        cmocka_unit_test(the_last_answer_brings_close_notify),
        cmocka_unit_test(an_idle_connection_is_closed_with_notice),
        cmocka_unit_test(half_an_answer_has_no_close_notify),
        cmocka_unit_test(a_cut_body_is_not_a_body),
        cmocka_unit_test(a_client_that_leaves_cancels_the_fiber),
        cmocka_unit_test(a_client_that_never_reads_is_reset),
        cmocka_unit_test(plain_http_gets_400_in_clear),
        cmocka_unit_test(garbage_is_told_and_closed),
        cmocka_unit_test(silence_and_slowness_end_in_time),
        cmocka_unit_test(an_endless_hello_is_cut_off),
        cmocka_unit_test(a_burst_of_hellos_waits_its_turns),
        cmocka_unit_test(those_who_leave_while_shaking_are_counted),
        cmocka_unit_test(too_many_handshakes_close_the_newest),
        cmocka_unit_test(sessions_are_resumed_and_contexts_swapped),
        cmocka_unit_test(inherited_keys_open_tickets),
        cmocka_unit_test(tls_1_2_is_served),
        cmocka_unit_test(a_false_start_is_served),
        cmocka_unit_test(draining_tells_and_aborting_closes),
        cmocka_unit_test(plain_is_served_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
