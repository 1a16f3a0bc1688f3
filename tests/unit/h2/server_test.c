// SPDX-License-Identifier: Apache-2.0
//
// server_test.c: requests become events, bounds end connections, connections end in order.
#include "toy_h2.h"

static struct toy_h2 toy; // too large for a stack under sanitizers

// ---- Requests --------------------------------------------------------------------------------

static void a_request_and_its_answer(void **state)
{
    (void)state;
    struct toy_body body = {.left = 5};
    toy_start(&toy, NULL);
    toy.echo = true;
    int32_t id = toy_request(&toy, "POST", "/a?b", &body);
    assert_int_equal(id, 1);
    toy_pump(&toy);
    assert_server(&toy, "head 1 POST /a?b|end 1 5|taken 1|close 1 0|");
    assert_client(&toy, "head 1 200|data 1 5|close 1 0|");
    assert_int_equal(counter_get(&toy.counts.streams), 1);
    toy_close(&toy);
}

static void any_cut_gives_the_same_events(void **state)
{
    (void)state;
    struct toy_body body = {.left = 300};
    toy_start(&toy, NULL);
    toy.echo = true;
    (void)toy_request(&toy, "POST", "/a", &body);
    (void)toy_request(&toy, "GET", "/b", NULL);
    toy_pump(&toy);
    struct buf sent = toy.sent;
    buf_init(&toy.sent, 64u << 20);
    toy_close(&toy);
    for (size_t step = 1; step < 40; step += 6) {
        toy_open(&toy, NULL, false);
        toy.echo = true;
        for (size_t i = 0; i < sent.len; i += step)
            assert_int_equal(
                toy_feed(&toy, sent.ptr + i, sent.len - i < step ? sent.len - i : step), 0);
        assert_server(&toy, "head 1 POST /a|head 3 GET /b|end 3 0|end 1 300|");
        toy_drain(&toy);
        toy_close(&toy);
    }
    buf_done(&sent);
}

static void the_head_is_what_was_sent(void **state)
{
    (void)state;
    char block[512];
    toy_start_raw(&toy, NULL);
    size_t n = toy_block(block, (const char *const[]){GET_PAIRS, "x-one", "1", "cookie", "a=b",
                                                      "cookie", "c=d", "content-length", "7", "te",
                                                      "trailers", NULL});
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n), 0);
    const struct h2_head *h = &toy_stream(&toy, 1)->s.head;
    assert_true(slice_eq(h->method, SLICE("GET")) && slice_eq(h->scheme, SLICE("http")));
    assert_true(slice_eq(h->authority, SLICE("a")) && slice_eq(h->path, SLICE("/")));
    assert_int_equal(h->content_length, 7);
    assert_false(h->whole);
    assert_int_equal(h->count, 5);
    assert_true(slice_eq(h->fields[2].name, SLICE("cookie")));
    assert_true(slice_eq(h->fields[2].value, SLICE("c=d")));
    toy_close(&toy);
}

static void trailers_are_read_and_dropped(void **state)
{
    (void)state;
    char block[64];
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, 0), 0);
    assert_int_equal(toy_frame(&toy, NGHTTP2_DATA, 0, 1, "abc", 3), 0);
    size_t n = toy_literal(block, "x-sum", "1");
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS,
                               NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block, n),
                     0);
    assert_server(&toy, "head 1 GET /|end 1 3|");
    assert_int_equal(toy_stream(&toy, 1)->s.head.count, 0);
    toy_close(&toy);
}

static void a_pseudo_field_in_trailers_is_malformed(void **state)
{
    (void)state;
    char block[64];
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, 0), 0);
    size_t n = toy_literal(block, ":path", "/");
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS,
                               NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block, n),
                     0);
    assert_reset(&toy, 1, H2_PROTOCOL_ERROR);
    assert_server(&toy, "head 1 GET /|close 1 1|");
    toy_close(&toy);
}

// H2.CL: a body longer or shorter than the length the next hop is told.
static void a_body_of_another_length_is_malformed(void **state)
{
    (void)state;
    char block[256];
    for (int longer = 0; longer < 2; longer++) {
        toy_start_raw(&toy, NULL);
        size_t n = toy_block(block, (const char *const[]){GET_PAIRS, "content-length", "4", NULL});
        assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block, n),
                         0);
        assert_int_equal(
            toy_frame(&toy, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "12345", longer ? 5 : 3), 0);
        assert_reset(&toy, 1, H2_PROTOCOL_ERROR);
        assert_null(strstr(toy_text(&toy.log), "end"));
        toy_close(&toy);
    }
}

static void a_reset_is_an_event_at_once(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM), 0);
    assert_int_equal(toy_frame(&toy, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x8", 4), 0);
    assert_server(&toy, "head 1 GET /|end 1 0|close 1 8|");
    toy_close(&toy);
}

static void an_owner_may_refuse(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    toy.refuse = true;
    assert_int_equal(toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM), 0);
    assert_reset(&toy, 1, H2_REFUSED_STREAM);
    assert_server(&toy, "");
    // The next is served: nothing of the first is left.
    toy.refuse = false;
    assert_int_equal(toy_get(&toy, 3, NGHTTP2_FLAG_END_STREAM), 0);
    assert_server(&toy, "head 3 GET /|end 3 0|");
    toy_close(&toy);
}

static void an_owner_may_let_go(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, 0), 0);
    struct toy_stream *x = toy_stream(&toy, 1);
    h2_stream_reset(&x->s, H2_INTERNAL_ERROR);
    h2_stream_detach(&x->s);
    assert_null(x->s.session);
    toy_free_stream(x);
    assert_int_equal(toy_frame(&toy, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "abc", 3), 0);
    assert_reset(&toy, 1, H2_INTERNAL_ERROR);
    assert_server(&toy, "head 1 GET /|");
    toy_close(&toy);
}

static void an_unread_stream_stops_only_itself(void **state)
{
    (void)state;
    struct toy_body first = {.left = 10u << 20}, second = {.left = 2u << 20};
    toy_start(&toy, NULL);
    int32_t one = toy_request(&toy, "POST", "/unread", &first);
    toy_pump(&toy);
    // As much as its window, and not a byte more.
    assert_int_equal(toy_stream(&toy, one)->body.len, H2_STREAM_WINDOW);
    toy.consume = true;
    int32_t two = toy_request(&toy, "POST", "/read", &second);
    toy_pump(&toy);
    assert_int_equal(toy_stream(&toy, two)->body.len, 2u << 20);
    assert_int_equal(toy_stream(&toy, one)->body.len, H2_STREAM_WINDOW);
    // It is pulled at last.
    h2_stream_consume(&toy_stream(&toy, one)->s, H2_STREAM_WINDOW);
    h2_stream_widen(&toy_stream(&toy, one)->s, 1u << 20);
    toy_pump(&toy);
    assert_int_equal(toy_stream(&toy, one)->body.len, 10u << 20);
    toy_close(&toy);
}

static void widening_does_not_need_consumption(void **state)
{
    (void)state;
    struct toy_body body = {.left = 10u << 20};
    toy_start(&toy, NULL);
    int32_t id = toy_request(&toy, "POST", "/", &body);
    toy_pump(&toy);
    h2_stream_widen(&toy_stream(&toy, id)->s, 1u << 20);
    h2_stream_widen(&toy_stream(&toy, id)->s, 1000); // never narrower
    toy_pump(&toy);
    assert_int_equal(toy_stream(&toy, id)->body.len, 1u << 20);
    toy_close(&toy);
}

// ---- Sizes -----------------------------------------------------------------------------------

static void a_head_too_large_is_for_the_owner(void **state)
{
    (void)state;
    struct h2_options o = {.head_bytes_max = 400};
    char block[512];
    toy_start_raw(&toy, &o);
    size_t n =
        toy_block(block, (const char *const[]){GET_PAIRS, "x-a", "1", "x-b", "2", "x-c", "3", "x-d",
                                               "4", "x-e", "5", "x-f", "6", "x-g", "7", NULL});
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, 5, 1, block, n), 0);
    assert_server(&toy, "head 1 HEAD_TOO_LARGE|end 1 0|");
    assert_int_equal(toy_hits(&toy, H2_LIMIT_HEAD), 1);
    // It is answered, and the connection goes on: HPACK's state is that of the client.
    assert_int_equal(h2_stream_answer(&toy_stream(&toy, 1)->s, 431, NULL, 0, NULL, 0, true), 0);
    assert_int_equal(toy_get(&toy, 3, NGHTTP2_FLAG_END_STREAM), 0);
    toy_drain(&toy);
    assert_non_null(strstr(toy_text(&toy.log), "taken 1|close 1 0|"));
    assert_non_null(strstr(toy_text(&toy.log), "head 3 GET /|"));
    toy_close(&toy);
}

static void too_many_fields_are_too_large(void **state)
{
    (void)state;
    char block[2048];
    toy_start_raw(&toy, NULL);
    size_t n = toy_block(block, (const char *const[]){GET_PAIRS, NULL});
    for (unsigned i = 0; i <= H2_HEAD_FIELDS_MAX; i++)
        n += toy_literal(block + n, "x", "y");
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, 5, 1, block, n), 0);
    assert_server(&toy, "head 1 HEAD_TOO_LARGE|end 1 0|");
    toy_close(&toy);
}

// One 4 kB entry in the dynamic table, then a byte for each copy of it.
static void an_hpack_bomb_ends_the_connection(void **state)
{
    (void)state;
    char block[16384];
    toy_start_raw(&toy, NULL);
    size_t n = toy_block(block, (const char *const[]){GET_PAIRS, NULL});
    block[n++] = 0x40; // literal with incremental indexing, new name
    block[n++] = 1;
    block[n++] = 'x';
    block[n++] = 0x7f; // 4000 = 127 + 3873
    block[n++] = (char)(0x80 | (3873 & 0x7f));
    block[n++] = (char)(3873 >> 7);
    memset(block + n, 'v', 4000);
    n += 4000;
    memset(block + n, 0xbe, 10000); // index 62: that entry
    n += 10000;
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, 5, 1, block, n), ERR_LIMIT);
    assert_goaway(&toy, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(toy_hits(&toy, H2_LIMIT_BOMB), 1);
    assert_true(toy.server.memory.bytes < 100 * 1024);
    toy_close(&toy);
}

static void a_continuation_flood_ends_the_connection(void **state)
{
    (void)state;
    char block[256];
    toy_start_raw(&toy, NULL);
    size_t n = toy_block(block, (const char *const[]){GET_PAIRS, NULL});
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, 0, 1, block, n), 0);
    assert_true(h2_session_head_open(&toy.server));
    n = toy_literal(block, "x", "y");
    int rc = 0;
    unsigned frames = 0;
    for (; !rc && frames < 1000; frames++)
        rc = toy_frame(&toy, NGHTTP2_CONTINUATION, 0, 1, block, n);
    assert_int_equal(rc, ERR_LIMIT);
    assert_int_equal(frames, H2_CONTINUATIONS_MAX + 1);
    assert_goaway(&toy, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(toy_hits(&toy, H2_LIMIT_CONTINUATION), 1);
    toy_close(&toy);
}

// Before the client has acknowledged our SETTINGS it may not know better.
static void streams_beyond_the_bound_are_refused(void **state)
{
    (void)state;
    struct h2_options o = {.streams_max = 3};
    struct toy_seen seen;
    toy_open(&toy, &o, false);
    assert_int_equal(toy_feed(&toy, H2_PREFACE.ptr, H2_PREFACE.len), 0);
    assert_int_equal(toy_frame(&toy, NGHTTP2_SETTINGS, 0, 0, NULL, 0), 0);
    for (unsigned id = 1; id <= 9; id += 2)
        assert_int_equal(toy_get(&toy, id, NGHTTP2_FLAG_END_STREAM), 0);
    toy_drain(&toy);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(toy_saw(&toy, NGHTTP2_RST_STREAM, i, &seen));
        assert_int_equal(seen.id, 7 + 2 * i);
        assert_int_equal(toy_u32(seen.payload), H2_REFUSED_STREAM);
    }
    assert_false(toy_saw(&toy, NGHTTP2_RST_STREAM, 2, &seen));
    assert_int_equal(counter_get(&toy.counts.streams), 3);
    toy_close(&toy);
}

static void a_client_that_knows_the_bound_and_breaks_it_is_cut_off(void **state)
{
    (void)state;
    struct h2_options o = {.streams_max = 3};
    toy_start_raw(&toy, &o);
    for (unsigned id = 1; id <= 7; id += 2)
        (void)toy_get(&toy, id, NGHTTP2_FLAG_END_STREAM);
    assert_goaway(&toy, H2_PROTOCOL_ERROR);
    assert_int_equal(counter_get(&toy.counts.streams), 3);
    toy_close(&toy);
}

static void refusals_are_a_rate(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    toy.refuse = true;
    unsigned n = 0;
    for (; !h2_session_over(&toy.server) && n < 20000; n++) {
        (void)toy_get(&toy, 2 * n + 1, NGHTTP2_FLAG_END_STREAM);
        toy_drain(&toy);
    }
    assert_int_equal(n, 1025);
    assert_int_equal(toy_hits(&toy, H2_RATE_REFUSED), 1);
    assert_goaway(&toy, H2_ENHANCE_YOUR_CALM);
    toy_close(&toy);
}

// ---- Rates -----------------------------------------------------------------------------------

struct flood {
    enum h2_rate_name rate;
    unsigned burst; // by limit.h
    unsigned type, flags, id;
    const char *payload;
    size_t len;
};

static void floods_end_the_connection(void **state)
{
    (void)state;
    static const struct flood floods[] = {
        {H2_RATE_SETTINGS, 32, NGHTTP2_SETTINGS, 0, 0, NULL, 0},
        {H2_RATE_PING, 64, NGHTTP2_PING, 0, 0, "12345678", 8},
        {H2_RATE_EMPTY_DATA, 64, NGHTTP2_DATA, 0, 1, NULL, 0},
        {H2_RATE_EMPTY_DATA, 64, NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\3\0\0\0", 4},
        {H2_RATE_WINDOW, 4096, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4},
        {H2_RATE_PRIORITY, 256, NGHTTP2_PRIORITY, 0, 7, "\0\0\0\0\x10", 5},
        {H2_RATE_PRIORITY, 256, NGHTTP2_PRIORITY_UPDATE, 0, 0, "\0\0\0\1u=1", 7},
        {H2_RATE_OTHER, 64, 0x77, 0, 0, "x", 1},
        {H2_RATE_OTHER, 64, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678", 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        const struct flood *f = &floods[i];
        toy_start_raw(&toy, NULL);
        assert_int_equal(toy_get(&toy, 1, 0), 0);
        unsigned spent = f->rate == H2_RATE_SETTINGS ? 1 : f->rate == H2_RATE_OTHER ? 1 : 0;
        for (unsigned n = spent; n < f->burst; n++) {
            assert_int_equal(toy_frame(&toy, f->type, f->flags, f->id, f->payload, f->len), 0);
            toy_drain(&toy); // the answers leave: what is bounded is not our queue
        }
        assert_int_equal(toy_hits(&toy, f->rate), 0);
        assert_int_equal(toy_frame(&toy, f->type, f->flags, f->id, f->payload, f->len), ERR_LIMIT);
        assert_int_equal(toy_hits(&toy, f->rate), 1);
        assert_goaway(&toy, H2_ENHANCE_YOUR_CALM);
        toy_close(&toy);
    }
}

static void a_rate_recovers_with_time(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    for (unsigned second = 0; second < 20; second++) {
        for (unsigned n = 0; n < 4; n++)
            assert_int_equal(toy_frame(&toy, NGHTTP2_PING, 0, 0, "12345678", 8), 0);
        toy.now = mono_add_ms(toy.now, 1000);
        toy_drain(&toy);
    }
    assert_int_equal(toy_hits(&toy, H2_RATE_PING), 0);
    toy_close(&toy);
}

static void what_we_send_may_be_acknowledged(void **state)
{
    (void)state;
    struct slice body = SLICE("data");
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM), 0);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4), 0);
    assert_int_equal(h2_stream_answer(&toy_stream(&toy, 1)->s, 200, NULL, 0, &body, 1, true), 0);
    toy_drain(&toy); // one DATA frame
    for (int i = 0; i < 2; i++)
        assert_int_equal(toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4), 0);
    assert_int_equal(toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4), ERR_LIMIT);
    toy_close(&toy);
}

static void rapid_reset_ends_the_connection(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    int rc = 0;
    unsigned id = 1;
    for (; !rc && id < 20000; id += 2) {
        rc = toy_get(&toy, id, NGHTTP2_FLAG_END_STREAM);
        if (!rc)
            rc = toy_frame(&toy, NGHTTP2_RST_STREAM, 0, id, "\0\0\0\x8", 4);
        toy_drain(&toy);
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_int_equal(counter_get(&toy.counts.streams), 257);
    assert_int_equal(toy_hits(&toy, H2_RATE_RESET), 1);
    assert_goaway(&toy, H2_ENHANCE_YOUR_CALM);
    toy_close(&toy);
}

// The client resets nothing: it makes us do it, by a window beyond 2^31 - 1.
static void provoked_resets_end_the_connection(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    unsigned id = 1;
    for (; !h2_session_over(&toy.server) && id < 20000; id += 2) {
        (void)toy_get(&toy, id, NGHTTP2_FLAG_END_STREAM);
        (void)toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, id, "\x7f\xff\xff\xff", 4);
        toy_drain(&toy);
    }
    assert_int_equal(counter_get(&toy.counts.streams), 65);
    assert_int_equal(toy_hits(&toy, H2_RATE_PROVOKED), 1);
    assert_goaway(&toy, H2_ENHANCE_YOUR_CALM);
    toy_close(&toy);
}

static void malformed_requests_are_a_rate_too(void **state)
{
    (void)state;
    char block[256];
    toy_start_raw(&toy, NULL);
    size_t n = toy_block(block, (const char *const[]){GET_PAIRS, "host", "b", NULL});
    for (unsigned id = 1; !h2_session_over(&toy.server) && id < 20000; id += 2) {
        (void)toy_frame(&toy, NGHTTP2_HEADERS, 5, id, block, n);
        toy_drain(&toy);
    }
    assert_int_equal(counter_get(&toy.counts.malformed), 65);
    assert_int_equal(toy_hits(&toy, H2_RATE_PROVOKED), 1);
    toy_close(&toy);
}

// ---- Ends ------------------------------------------------------------------------------------

static void what_is_not_http2_ends_at_once(void **state)
{
    (void)state;
    toy_open(&toy, NULL, false);
    assert_int_equal(toy_feed(&toy, "GET / HTTP/1.1\r\n\r\n", 18), ERR_BAD_HEAD);
    assert_true(h2_session_over(&toy.server));
    toy_close(&toy);
}

static void bad_frames_are_answered_with_goaway(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    (void)toy_frame(&toy, NGHTTP2_DATA, 0, 1, "abc", 3); // on an idle stream
    assert_goaway(&toy, H2_PROTOCOL_ERROR);
    toy_close(&toy);
}

static void an_id_that_was_passed_over_is_a_bad_frame(void **state)
{
    (void)state;
    for (unsigned gap = 2; gap < 1100; gap += 366) {
        toy_start_raw(&toy, NULL);
        assert_int_equal(toy_get(&toy, 1 + gap, NGHTTP2_FLAG_END_STREAM), 0);
        (void)toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM);
        if (gap < 2 * H2_OPENED_IDS)
            assert_goaway(&toy, H2_PROTOCOL_ERROR);
        else // too long ago to tell from one that was opened and is over
            assert_false(h2_session_over(&toy.server));
        toy_close(&toy);
    }
}

static void late_trailers_are_ignored(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, 0), 0);
    assert_int_equal(toy_get(&toy, 3, 0), 0);
    assert_int_equal(h2_stream_answer(&toy_stream(&toy, 1)->s, 413, NULL, 0, NULL, 0, true), 0);
    toy_drain(&toy);
    assert_null(toy_stream(&toy, 1));
    char block[64];
    size_t n = toy_literal(block, "x-sum", "1");
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, 5, 1, block, n), 0);
    assert_false(h2_session_over(&toy.server));
    toy_close(&toy);
}

static void a_priority_of_no_stream_is_a_bad_frame(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    (void)toy_frame(&toy, NGHTTP2_PRIORITY, 0, 0, "\0\0\0\0\x10", 5);
    assert_goaway(&toy, H2_PROTOCOL_ERROR);
    toy_close(&toy);
}

static void a_graceful_close_serves_what_is_on_its_way(void **state)
{
    (void)state;
    toy_start(&toy, NULL);
    int32_t one = toy_request(&toy, "GET", "/one", NULL);
    toy_pump(&toy);
    h2_session_shutdown(&toy.server);
    assert_int_equal(toy.server.state, H2_NOTICE);
    // This one crosses the notice.
    const uint8_t *bytes;
    int32_t two = toy_request(&toy, "GET", "/two", NULL);
    ssize_t n = nghttp2_session_mem_send(toy.client, &bytes);
    assert_true(n > 0);
    (void)toy_feed(&toy, bytes, (size_t)n);
    toy_pump(&toy);
    assert_int_equal(toy.server.state, H2_LAST); // the ping came back
    assert_false(h2_session_over(&toy.server));
    assert_client(&toy, "goaway 2147483647 0|goaway 3 0|");
    assert_int_equal(h2_stream_answer(&toy_stream(&toy, one)->s, 204, NULL, 0, NULL, 0, true), 0);
    assert_int_equal(h2_stream_answer(&toy_stream(&toy, two)->s, 204, NULL, 0, NULL, 0, true), 0);
    toy_pump(&toy);
    assert_true(h2_session_over(&toy.server));
    assert_non_null(strstr(toy_text(&toy.client_log), "head 3 204|close 3 0|"));
    toy_close(&toy);
}

static void a_second_shutdown_does_not_wait(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    h2_session_shutdown(&toy.server);
    toy_drain(&toy);
    assert_false(h2_session_over(&toy.server));
    h2_session_shutdown(&toy.server);
    toy_drain(&toy);
    assert_true(h2_session_over(&toy.server));
    toy_close(&toy);
}

static void a_clients_goaway_lets_streams_finish(void **state)
{
    (void)state;
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM), 0);
    assert_int_equal(toy_frame(&toy, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8), 0);
    assert_false(h2_session_over(&toy.server));
    assert_int_equal(h2_stream_answer(&toy_stream(&toy, 1)->s, 204, NULL, 0, NULL, 0, true), 0);
    toy_drain(&toy);
    assert_true(h2_session_over(&toy.server));
    toy_close(&toy);
}

static void an_open_head_is_known(void **state)
{
    (void)state;
    char block[256];
    toy_start_raw(&toy, NULL);
    size_t n = toy_block(block, (const char *const[]){GET_PAIRS, NULL});
    assert_int_equal(toy_frame(&toy, NGHTTP2_HEADERS, 1, 1, block, 10), 0);
    assert_true(h2_session_head_open(&toy.server));
    assert_int_equal(toy_frame(&toy, NGHTTP2_CONTINUATION, 4, 1, block + 10, n - 10), 0);
    assert_false(h2_session_head_open(&toy.server));
    assert_server(&toy, "head 1 GET /|end 1 0|");
    toy_close(&toy);
}

// What tests here send is what fuzzing begins with: RINGGATE_H2_CORPUS=tests/fuzz/corpus/h2_server.
static void the_corpus_is_made_by_nghttp2(void **state)
{
    (void)state;
    const char *folder = getenv("RINGGATE_H2_CORPUS");
    for (unsigned i = 0; i < 4; i++) {
        struct toy_body body = {.left = 10 + 5000 * i};
        toy_start(&toy, NULL);
        toy.echo = toy.consume = true;
        int32_t id = toy_request(&toy, i & 1 ? "POST" : "GET", "/v1/models", i & 1 ? &body : NULL);
        toy_pump(&toy);
        if (i & 2) {
            id = toy_request(&toy, "POST", "/b", &body);
            (void)nghttp2_submit_rst_stream(toy.client, 0, id, NGHTTP2_CANCEL);
            (void)nghttp2_submit_ping(toy.client, 0, NULL);
            (void)nghttp2_submit_goaway(toy.client, 0, 0, 0, NULL, 0);
        }
        toy_pump(&toy);
        assert_true(toy.sent.len > 24);
        if (folder) {
            char name[512];
            (void)snprintf(name, sizeof(name), "%s/client%u", folder, i);
            FILE *f = fopen(name, "wb");
            assert_non_null(f);
            static const char modes[4] = {0x09, 0x49, 0x1f, (char)0x8b}; // of the fuzz target
            assert_int_equal(fwrite(&modes[i], 1, 1, f), 1);
            assert_int_equal(fwrite(toy.sent.ptr, 1, toy.sent.len, f), toy.sent.len);
            assert_int_equal(fclose(f), 0);
        }
        toy_close(&toy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer),
        cmocka_unit_test(any_cut_gives_the_same_events),
        cmocka_unit_test(the_head_is_what_was_sent),
        cmocka_unit_test(trailers_are_read_and_dropped),
        cmocka_unit_test(a_pseudo_field_in_trailers_is_malformed),
        cmocka_unit_test(a_body_of_another_length_is_malformed),
        cmocka_unit_test(a_reset_is_an_event_at_once),
        cmocka_unit_test(an_owner_may_refuse),
        cmocka_unit_test(an_owner_may_let_go),
        cmocka_unit_test(an_unread_stream_stops_only_itself),
        cmocka_unit_test(widening_does_not_need_consumption),
        cmocka_unit_test(a_head_too_large_is_for_the_owner),
        cmocka_unit_test(too_many_fields_are_too_large),
        cmocka_unit_test(an_hpack_bomb_ends_the_connection),
        cmocka_unit_test(a_continuation_flood_ends_the_connection),
        cmocka_unit_test(streams_beyond_the_bound_are_refused),
        cmocka_unit_test(a_client_that_knows_the_bound_and_breaks_it_is_cut_off),
        cmocka_unit_test(refusals_are_a_rate),
        cmocka_unit_test(floods_end_the_connection),
        cmocka_unit_test(a_rate_recovers_with_time),
        cmocka_unit_test(what_we_send_may_be_acknowledged),
        cmocka_unit_test(rapid_reset_ends_the_connection),
        cmocka_unit_test(provoked_resets_end_the_connection),
        cmocka_unit_test(malformed_requests_are_a_rate_too),
        cmocka_unit_test(what_is_not_http2_ends_at_once),
        cmocka_unit_test(bad_frames_are_answered_with_goaway),
        cmocka_unit_test(an_id_that_was_passed_over_is_a_bad_frame),
        cmocka_unit_test(late_trailers_are_ignored),
        cmocka_unit_test(a_priority_of_no_stream_is_a_bad_frame),
        cmocka_unit_test(a_graceful_close_serves_what_is_on_its_way),
        cmocka_unit_test(a_second_shutdown_does_not_wait),
        cmocka_unit_test(a_clients_goaway_lets_streams_finish),
        cmocka_unit_test(an_open_head_is_known),
        cmocka_unit_test(the_corpus_is_made_by_nghttp2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
