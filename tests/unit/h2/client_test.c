// SPDX-License-Identifier: Apache-2.0
//
// client.c: a client's session against nghttp2's server, and against frames no good server sends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "h2/h2_internal.h"
#include <stdio.h>

#define ASKS 300

struct ask {
    struct h2_stream s;
    struct buf body;
    unsigned closed; // on_close
    uint32_t code;
    int head_err;
    bool whole;
};

struct desk {
    struct h2_session client;
    struct h2_counts counts;
    struct block_pool blocks;
    struct arena arena;
    struct ask ask[ASKS];
    struct mono now;
    struct buf log;       // the client's events
    nghttp2_session *far; // the provider; NULL: by hand
    struct buf far_log;
    struct buf wire; // what the client sent, by hand only
    bool consume, detach_on_head;
};

static struct desk *desk_of(struct h2_session *h)
{
    return container_of(h, struct desk, client);
}

static struct ask *ask_of(struct h2_stream *s)
{
    return container_of(s, struct ask, s);
}

static void on_head(struct h2_session *h, struct h2_stream *s, int err)
{
    struct desk *d = desk_of(h);
    ask_of(s)->head_err = err;
    buf_printf(&d->log, err ? "head %d !|" : "head %d %u|", s->id, s->head.status);
    if (d->detach_on_head)
        h2_stream_detach(s);
}

static void on_data(struct h2_session *h, struct h2_stream *s, struct slice bytes)
{
    buf_add(&ask_of(s)->body, bytes);
    if (desk_of(h)->consume)
        h2_stream_consume(s, bytes.len);
}

static void on_end(struct h2_session *h, struct h2_stream *s)
{
    ask_of(s)->whole = true;
    buf_printf(&desk_of(h)->log, "end %d|", s->id);
}

static void on_lend(struct h2_session *h, struct h2_stream *s)
{
    assert_ptr_equal(s->session, h);
}

static void on_taken(struct h2_session *h, struct h2_stream *s)
{
    buf_printf(&desk_of(h)->log, "taken %d|", s->id);
}

static void on_close(struct h2_session *h, struct h2_stream *s, uint32_t code)
{
    struct ask *a = ask_of(s);
    assert_null(s->session);
    a->closed++;
    a->code = code;
    buf_printf(&desk_of(h)->log, "close %d %u|", s->id, code);
}

static const struct h2_events events = {.on_head = on_head,
                                        .on_data = on_data,
                                        .on_end = on_end,
                                        .on_lend = on_lend,
                                        .on_taken = on_taken,
                                        .on_close = on_close};

// ---- nghttp2's server ------------------------------------------------------------------------

static int far_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                      void *user)
{
    struct desk *d = user;
    (void)session;
    (void)frame;
    buf_printf(&d->far_log, "%.*s=%.*s%s|", (int)name_len, name, (int)value_len, value,
               flags & NGHTTP2_NV_FLAG_NO_INDEX ? " never" : "");
    return 0;
}

static int far_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct desk *d = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_DATA)
        buf_printf(&d->far_log, "data %d %zu|", frame->hd.stream_id, frame->hd.length);
    else if (frame->hd.type == NGHTTP2_RST_STREAM)
        buf_printf(&d->far_log, "reset %d %u|", frame->hd.stream_id, frame->rst_stream.error_code);
    else if (frame->hd.type == NGHTTP2_GOAWAY)
        buf_printf(&d->far_log, "goaway %u|", frame->goaway.error_code);
    if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        buf_printf(&d->far_log, "whole %d|", frame->hd.stream_id);
    return 0;
}

#define NV(n, v)                                                                                   \
    {                                                                                              \
        (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE                 \
    }

static ssize_t far_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    size_t *left = source->ptr, n = *left < room ? *left : room;
    (void)session;
    (void)id;
    (void)user;
    memset(out, 'y', n);
    *left -= n;
    if (*left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

// `left` NULL: without a body. `length` NULL: not announced.
static void far_answer(struct desk *d, int32_t id, size_t *left, const char *length)
{
    nghttp2_nv head[] = {NV(":status", "200"), NV("content-length", length ? length : "")};
    nghttp2_data_provider data = {.source = {.ptr = left}, .read_callback = far_body};
    assert_int_equal(nghttp2_submit_response(d->far, id, head, length ? 2 : 1, left ? &data : NULL),
                     0);
}

// ---- The desk --------------------------------------------------------------------------------

static void open_desk(struct desk *d, bool far, unsigned streams_max)
{
    struct h2_options options = {.counts = &d->counts};
    memset(d, 0, sizeof(*d));
    d->now = (struct mono){.ns = NS_PER_S};
    d->consume = true;
    block_pool_init(&d->blocks, 64);
    arena_init(&d->arena, &d->blocks, 8u << 20);
    buf_init(&d->log, 1u << 20);
    buf_init(&d->far_log, 8u << 20);
    buf_init(&d->wire, 8u << 20);
    for (unsigned i = 0; i < ASKS; i++)
        buf_init(&d->ask[i].body, 8u << 20);
    assert_int_equal(h2_client_init(&d->client, &events, &options), 0);
    if (!far)
        return;
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_settings_entry ours = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams_max};
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, far_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, far_frame);
    assert_int_equal(nghttp2_session_server_new(&d->far, callbacks, d), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(d->far, 0, &ours, streams_max ? 1 : 0), 0);
}

static void close_desk(struct desk *d)
{
    assert_true(d->client.memory.bytes <= H2_MEMORY_MAX);
    h2_session_done(&d->client);
    nghttp2_session_del(d->far);
    for (unsigned i = 0; i < ASKS; i++)
        buf_done(&d->ask[i].body);
    buf_done(&d->log);
    buf_done(&d->far_log);
    buf_done(&d->wire);
    arena_done(&d->arena);
    block_pool_done(&d->blocks);
}

static size_t output(struct desk *d)
{
    char bytes[16384];
    struct iovec iov[64];
    struct h2_output out = {.bytes = bytes, .bytes_max = sizeof(bytes), .iov = iov, .iov_max = 64};
    assert_int_equal(h2_session_output(&d->client, d->now, &out), 0);
    for (unsigned i = 0; i < out.count; i++) {
        if (!d->far)
            buf_add(&d->wire, slice_of(iov[i].iov_base, iov[i].iov_len));
        else if (nghttp2_session_mem_recv(d->far, iov[i].iov_base, iov[i].iov_len) < 0)
            fail();
    }
    return out.total;
}

static size_t input(struct desk *d)
{
    const uint8_t *bytes;
    size_t total = 0;
    for (ssize_t n; d->far && (n = nghttp2_session_mem_send(d->far, &bytes)) > 0;) {
        (void)h2_session_feed(&d->client, d->now, slice_of(bytes, (size_t)n));
        total += (size_t)n;
    }
    return total;
}

static void pump(struct desk *d)
{
    while (output(d) + input(d) > 0)
        ;
}

static struct ask *submit(struct desk *d, unsigned i, const struct slice *body, unsigned count)
{
    static const struct h2_field fields[] = {{{"content-type", 12}, {"text/plain", 10}},
                                             {{"x-api-key", 9}, {"k", 1}}};
    const struct h2_request r = {.method = count ? SLICE("POST") : SLICE("GET"),
                                 .scheme = SLICE("https"),
                                 .authority = SLICE("a.test"),
                                 .path = SLICE("/v1?x"),
                                 .fields = fields,
                                 .count = 2};
    d->ask[i].s.arena = &d->arena;
    assert_int_equal(h2_client_submit(&d->client, &d->ask[i].s, &r, body, count), 0);
    return &d->ask[i];
}

static const char *text(struct buf *b)
{
    buf_add_char(b, '\0');
    b->len--;
    return b->ptr;
}

// Connected, SETTINGS known.
static void start(struct desk *d, unsigned streams_max)
{
    open_desk(d, true, streams_max);
    pump(d);
    buf_reset(&d->far_log);
}

static void frame(struct desk *d, unsigned type, unsigned flags, unsigned id, const void *payload,
                  size_t len)
{
    char head[9] = {(char)(len >> 16), (char)(len >> 8), (char)len,       (char)type, (char)flags,
                    (char)(id >> 24),  (char)(id >> 16), (char)(id >> 8), (char)id};
    (void)h2_session_feed(&d->client, d->now, slice_of(head, 9));
    if (len > 0)
        (void)h2_session_feed(&d->client, d->now, slice_of(payload, len));
}

static void start_by_hand(struct desk *d)
{
    open_desk(d, false, 0);
    frame(d, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    (void)output(d);
}

static uint64_t hits(const struct desk *d, unsigned limit)
{
    return counter_get(&d->counts.hit[limit]);
}

// RFC 7541 C.6's index of ":status: 200".
#define STATUS_200 "\x88"

// ---- Requests and answers --------------------------------------------------------------------

static void a_request_goes_out_whole_and_its_answer_comes_back(void **state)
{
    (void)state;
    static struct desk d;
    static char large[40000];
    memset(large, 'b', sizeof(large));
    struct slice body[] = {SLICE("{}"), slice_of(large, sizeof(large))};
    size_t left = 100000;
    start(&d, 100);
    struct ask *a = submit(&d, 0, body, 2);
    pump(&d);
    assert_string_equal(text(&d.far_log), ":method=POST|:scheme=https|:authority=a.test|:path=/v1?x"
                                          "|content-type=text/plain|x-api-key=k never|"
                                          "data 1 16384|data 1 16384|data 1 7234|whole 1|");
    far_answer(&d, a->s.id, &left, "100000");
    pump(&d);
    assert_string_equal(text(&d.log), "taken 1|head 1 200|end 1|close 1 0|");
    assert_int_equal(a->body.len, 100000);
    assert_int_equal(a->s.head.content_length, 100000);
    assert_int_equal(counter_get(&d.counts.streams), 1);
    close_desk(&d);
}

static void a_request_without_a_body_ends_with_its_head(void **state)
{
    (void)state;
    static struct desk d;
    start(&d, 100);
    struct ask *a = submit(&d, 0, NULL, 0);
    pump(&d);
    assert_non_null(strstr(text(&d.far_log), "whole 1|"));
    far_answer(&d, a->s.id, NULL, NULL);
    pump(&d);
    assert_string_equal(text(&d.log), "taken 1|head 1 200|end 1|close 1 0|");
    assert_true(a->s.head.whole);
    close_desk(&d);
}

static void interim_heads_are_skipped_and_do_not_mix_with_the_final_one(void **state)
{
    (void)state;
    static struct desk d;
    nghttp2_nv hints[] = {NV(":status", "103"), NV("link", "</a>")};
    start(&d, 100);
    struct ask *a = submit(&d, 0, NULL, 0);
    pump(&d);
    for (unsigned i = 0; i < H2_INTERIM_MAX; i++)
        assert_int_equal(nghttp2_submit_headers(d.far, 0, 1, NULL, hints, 2, NULL), 0);
    far_answer(&d, 1, NULL, "0");
    pump(&d);
    assert_string_equal(text(&d.log), "taken 1|head 1 200|end 1|close 1 0|");
    assert_int_equal(a->s.head.count, 1);
    assert_int_equal(hits(&d, H2_LIMIT_INTERIM), 0);
    close_desk(&d);
}

static void interim_heads_without_end_are_refused(void **state)
{
    (void)state;
    static struct desk d;
    nghttp2_nv hints[] = {NV(":status", "103")};
    start(&d, 100);
    struct ask *a = submit(&d, 0, NULL, 0);
    pump(&d);
    for (unsigned i = 0; i <= H2_INTERIM_MAX; i++)
        assert_int_equal(nghttp2_submit_headers(d.far, 0, 1, NULL, hints, 1, NULL), 0);
    pump(&d);
    assert_int_equal(a->code, H2_PROTOCOL_ERROR);
    assert_true(a->s.malformed);
    assert_int_equal(hits(&d, H2_LIMIT_INTERIM), 1);
    assert_false(h2_session_over(&d.client));
    close_desk(&d);
}

static void trailers_end_an_answer(void **state)
{
    (void)state;
    static struct desk d;
    static const char trailers[] = "\x00\x01k\x01v"; // literal, new name
    start_by_hand(&d);
    struct ask *a = submit(&d, 0, NULL, 0);
    (void)output(&d);
    frame(&d, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, STATUS_200, 1);
    frame(&d, NGHTTP2_DATA, 0, 1, "hello", 5);
    assert_false(a->whole);
    frame(&d, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, trailers, 5);
    assert_string_equal(text(&d.log), "taken 1|head 1 200|end 1|close 1 0|");
    assert_int_equal(a->body.len, 5);
    assert_int_equal(a->s.head.count, 0);
    close_desk(&d);
}

// ---- Endings ---------------------------------------------------------------------------------

static void a_reset_is_an_ending_without_on_end(void **state)
{
    (void)state;
    static struct desk d;
    static const uint32_t codes[] = {H2_NO_ERROR, H2_INTERNAL_ERROR, H2_CANCEL, H2_REFUSED_STREAM};
    start(&d, 100);
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
        struct ask *a = submit(&d, i, NULL, 0);
        pump(&d);
        assert_int_equal(nghttp2_submit_rst_stream(d.far, 0, a->s.id, codes[i]), 0);
        pump(&d);
        assert_int_equal(a->closed, 1);
        assert_int_equal(a->code, codes[i]);
        assert_false(a->whole);
    }
    assert_false(h2_session_over(&d.client));
    assert_int_equal(d.client.streams_open, 0);
    close_desk(&d);
}

// A provider that has answered may say that it wants no more of the request (RFC 9113 8.1).
static void no_error_behind_a_whole_answer_is_a_whole_answer(void **state)
{
    (void)state;
    static struct desk d;
    static char large[200000]; // more than a stream's first window
    static const char code[4];
    struct slice body = slice_of(large, sizeof(large));
    start_by_hand(&d);
    struct ask *a = submit(&d, 0, &body, 1);
    (void)output(&d);
    frame(&d, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, STATUS_200,
          1);
    frame(&d, NGHTTP2_RST_STREAM, 0, 1, code, 4);
    assert_string_equal(text(&d.log), "head 1 200|end 1|close 1 0|");
    assert_true(a->whole);
    close_desk(&d);
}

static void another_length_than_announced_is_no_whole_answer(void **state)
{
    (void)state;
    static const char head[] = STATUS_200 "\x0f\x0d\x01\x35"; // content-length: 5
    static const char *const bodies[] = {"hell", "hello!"};
    for (unsigned i = 0; i < 2; i++) {
        static struct desk d;
        start_by_hand(&d);
        struct ask *a = submit(&d, 0, NULL, 0);
        (void)output(&d);
        frame(&d, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, head, 5);
        assert_int_equal(a->s.head.content_length, 5);
        frame(&d, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, bodies[i], strlen(bodies[i]));
        (void)output(&d);
        assert_false(a->whole);
        assert_int_equal(a->closed, 1);
        assert_int_equal(a->code, H2_PROTOCOL_ERROR);
        assert_true(a->s.malformed);
        assert_false(h2_session_over(&d.client));
        close_desk(&d);
    }
}

static void heads_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } heads[] = {
        {"\x00\x01k\x01v", 5},      // no status
        {STATUS_200 STATUS_200, 2}, // two of them
        {"\x48\x02\x32\x30", 4},    // "20"
        {STATUS_200 "\x82", 2},     // :method
        {STATUS_200 "\x00\x0a"
                    "connection"
                    "\x05"
                    "close",
         19},                                               // of another version
        {STATUS_200 "\x00\x01K\x01v", 6},                   // upper case
        {STATUS_200 "\x0f\x0d\x01\x35\x0f\x0d\x01\x36", 9}, // two lengths
        {"\x48\x03\x31\x30\x31", 5},                        // 101
    };
    for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
        static struct desk d;
        start_by_hand(&d);
        struct ask *a = submit(&d, 0, NULL, 0);
        (void)output(&d);
        frame(&d, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, heads[i].bytes, heads[i].len);
        (void)output(&d);
        assert_null(strstr(text(&d.log), "head 1"));
        assert_int_equal(a->code, H2_PROTOCOL_ERROR);
        assert_true(a->s.malformed);
        assert_int_equal(counter_get(&d.counts.malformed), 1);
        close_desk(&d);
    }
}

static void a_head_that_is_too_large_costs_its_stream_only(void **state)
{
    (void)state;
    static struct desk d;
    static char block[40 + 40000] = STATUS_200 "\x00\x01k\x7f\xc1\xb7\x02"; // 40,000 bytes
    size_t at = 8;
    start_by_hand(&d);
    struct ask *a = submit(&d, 0, NULL, 0);
    (void)output(&d);
    memset(block + at, 'v', 40000);
    frame(&d, NGHTTP2_HEADERS, 0, 1, block, 16000);
    frame(&d, NGHTTP2_CONTINUATION, 0, 1, block + 16000, 16000);
    frame(&d, NGHTTP2_CONTINUATION, 0, 1, block + 32000, at + 8000);
    frame(&d, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, "\x00\x01k\x01v", 5);
    assert_int_equal(a->head_err, 0);
    assert_string_equal(text(&d.log), "taken 1|head 1 200|");
    a = submit(&d, 1, NULL, 0);
    (void)output(&d);
    // The same twice in one head is beyond 64 kB.
    frame(&d, NGHTTP2_HEADERS, 0, 3, block, 16000);
    frame(&d, NGHTTP2_CONTINUATION, 0, 3, block + 16000, 16000);
    frame(&d, NGHTTP2_CONTINUATION, 0, 3, block + 32000, at + 8000);
    frame(&d, NGHTTP2_CONTINUATION, 0, 3, block + 1, 16000);
    frame(&d, NGHTTP2_CONTINUATION, 0, 3, block + 16001, 16000);
    frame(&d, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 3, block + 32001, at - 1 + 8000);
    (void)output(&d);
    assert_int_equal(a->head_err, ERR_HEAD_TOO_LARGE);
    assert_int_equal(a->code, H2_CANCEL);
    assert_int_equal(hits(&d, H2_LIMIT_HEAD), 1);
    assert_false(h2_session_over(&d.client));
    close_desk(&d);
}

// ---- Room, GOAWAY ----------------------------------------------------------------------------

static void room_is_one_until_the_settings_come_then_what_they_say(void **state)
{
    (void)state;
    static struct desk d;
    open_desk(&d, true, 3);
    assert_int_equal(h2_client_room(&d.client), 1);
    assert_int_equal(h2_client_limit(&d.client), 0);
    submit(&d, 0, NULL, 0);
    assert_int_equal(h2_client_room(&d.client), 0);
    pump(&d);
    assert_int_equal(h2_client_limit(&d.client), 3);
    assert_int_equal(h2_client_room(&d.client), 2);
    submit(&d, 1, NULL, 0);
    submit(&d, 2, NULL, 0);
    assert_int_equal(h2_client_room(&d.client), 0);
    pump(&d);
    far_answer(&d, 3, NULL, NULL);
    pump(&d);
    assert_int_equal(h2_client_room(&d.client), 1);
    // A stream that is taken back leaves its place when its reset is on the wire.
    h2_stream_reset(&d.ask[0].s, H2_CANCEL);
    pump(&d);
    assert_int_equal(h2_client_room(&d.client), 2);
    assert_non_null(strstr(text(&d.far_log), "reset 1 8|"));
    close_desk(&d);
}

static void our_own_limit_holds_when_the_provider_has_none(void **state)
{
    (void)state;
    static struct desk d;
    start(&d, 0);
    assert_int_equal(h2_client_room(&d.client), H2_CLIENT_STREAMS_MAX);
    close_desk(&d);
}

static void goaway_refuses_what_was_not_looked_at_and_lets_the_rest_finish(void **state)
{
    (void)state;
    static struct desk d;
    size_t left = 10;
    start(&d, 100);
    for (unsigned i = 0; i < 3; i++)
        submit(&d, i, NULL, 0);
    pump(&d);
    assert_int_equal(nghttp2_submit_goaway(d.far, 0, 3, H2_NO_ERROR, NULL, 0), 0);
    pump(&d);
    assert_int_equal(d.ask[2].closed, 1);
    assert_int_equal(d.ask[2].code, H2_REFUSED_STREAM);
    assert_int_equal(h2_client_room(&d.client), 0);
    assert_true(h2_client_is_ending(&d.client));
    assert_false(h2_session_over(&d.client));
    far_answer(&d, 1, &left, NULL);
    far_answer(&d, 3, NULL, NULL);
    pump(&d);
    assert_true(d.ask[0].whole && d.ask[1].whole);
    assert_int_equal(d.ask[0].body.len, 10);
    close_desk(&d);
}

static void what_did_not_get_out_before_a_goaway_is_refused_too(void **state)
{
    (void)state;
    static struct desk d;
    static const char last[8]; // stream 0, NO_ERROR
    start_by_hand(&d);
    struct ask *a = submit(&d, 0, NULL, 0), *taken_back = submit(&d, 1, NULL, 0);
    h2_stream_reset(&taken_back->s, H2_CANCEL);
    frame(&d, NGHTTP2_GOAWAY, 0, 0, last, 8);
    (void)output(&d);
    assert_int_equal(a->closed, 1);
    assert_int_equal(a->code, H2_REFUSED_STREAM);
    assert_int_equal(taken_back->closed, 1);
    assert_int_equal(taken_back->code, H2_CANCEL);
    assert_int_equal(d.client.streams_open, 0);
    close_desk(&d);
}

static void a_stream_that_was_let_go_of_says_nothing_more(void **state)
{
    (void)state;
    static struct desk d;
    size_t left = 1u << 20; // more than a window
    struct slice body = SLICE("{}");
    start(&d, 100);
    struct ask *a = submit(&d, 0, &body, 1), *b = submit(&d, 1, &body, 1);
    h2_stream_reset(&b->s, H2_CANCEL); // before its HEADERS are out
    h2_stream_detach(&b->s);
    pump(&d);
    far_answer(&d, 1, &left, NULL);
    (void)input(&d);
    h2_stream_reset(&a->s, H2_CANCEL);
    h2_stream_detach(&a->s);
    pump(&d);
    assert_int_equal(a->closed + b->closed, 0);
    assert_string_equal(text(&d.log), "taken 1|head 1 200|");
    assert_non_null(strstr(text(&d.far_log), "reset 1 8|"));
    assert_null(strstr(text(&d.far_log), "reset 3"));
    assert_int_equal(d.client.streams_open, 0);
    close_desk(&d);
}

// ---- Windows ---------------------------------------------------------------------------------

static void a_stream_that_is_not_read_stops_alone(void **state)
{
    (void)state;
    static struct desk d;
    size_t slow = 5u << 20, fast = 5u << 20;
    start(&d, 100);
    struct ask *a = submit(&d, 0, NULL, 0), *b = submit(&d, 1, NULL, 0);
    pump(&d);
    d.consume = false;
    far_answer(&d, 1, &slow, NULL);
    pump(&d);
    assert_int_equal(a->body.len, H2_CLIENT_STREAM_WINDOW);
    d.consume = true;
    far_answer(&d, 3, &fast, NULL);
    pump(&d);
    assert_true(b->whole);
    assert_int_equal(b->body.len, 5u << 20);
    assert_int_equal(a->body.len, H2_CLIENT_STREAM_WINDOW);
    h2_stream_consume(&a->s, a->body.len);
    pump(&d);
    assert_true(a->whole);
    assert_int_equal(a->body.len, 5u << 20);
    close_desk(&d);
}

// ---- Hostile providers -----------------------------------------------------------------------

static void nothing_is_pushed(void **state)
{
    (void)state;
    static struct desk d;
    static const char promise[] = "\0\0\0\2\x82\x84\x86\x41\x01x";
    start_by_hand(&d);
    submit(&d, 0, NULL, 0);
    (void)output(&d);
    frame(&d, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, promise, 10);
    (void)output(&d);
    assert_true(h2_session_over(&d.client));
    close_desk(&d);
}

static void floods_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        unsigned type, flags, id, len, limit;
    } floods[] = {
        {NGHTTP2_SETTINGS, 0, 0, 0, H2_RATE_SETTINGS},
        {NGHTTP2_PING, 0, 0, 8, H2_RATE_PING},
        {NGHTTP2_RST_STREAM, 0, 1, 4, H2_RATE_RESET}, // of a stream that has ended
        {NGHTTP2_DATA, 0, 3, 0, H2_RATE_EMPTY_DATA},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, 4, H2_RATE_WINDOW},
        {0x42, 0, 0, 0, H2_RATE_OTHER},
    };
    for (unsigned i = 0; i < ARRAY_LEN(floods); i++) {
        static struct desk d;
        const char payload[8] = {0, 0, 0, 1};
        unsigned n = 0;
        start_by_hand(&d);
        submit(&d, 0, NULL, 0);
        submit(&d, 1, NULL, 0);
        (void)output(&d);
        frame(&d, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
              STATUS_200, 1);
        frame(&d, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, STATUS_200, 1);
        for (; n < 10000 && !h2_session_over(&d.client); n++) {
            frame(&d, floods[i].type, floods[i].flags, floods[i].id, payload, floods[i].len);
            (void)output(&d);
        }
        assert_true(n < 10000);
        assert_int_equal(hits(&d, floods[i].limit), 1);
        close_desk(&d);
    }
}

static void resets_of_our_own_streams_are_no_flood(void **state)
{
    (void)state;
    static struct desk d;
    static const char code[4] = {0, 0, 0, H2_REFUSED_STREAM};
    start_by_hand(&d);
    for (unsigned i = 0; i < ASKS; i++) { // more than the burst of RESET
        struct ask *a = submit(&d, i, NULL, 0);
        (void)output(&d);
        frame(&d, NGHTTP2_RST_STREAM, 0, (unsigned)a->s.id, code, 4);
        assert_int_equal(a->code, H2_REFUSED_STREAM);
    }
    assert_false(h2_session_over(&d.client));
    close_desk(&d);
}

static void a_head_without_end_ends_the_connection(void **state)
{
    (void)state;
    static struct desk d;
    unsigned n = 0;
    start_by_hand(&d);
    submit(&d, 0, NULL, 0);
    (void)output(&d);
    frame(&d, NGHTTP2_HEADERS, 0, 1, STATUS_200, 1);
    for (; n < 100 && !h2_session_over(&d.client); n++)
        frame(&d, NGHTTP2_CONTINUATION, 0, 1, "\x00\x01k\x01v", 5);
    assert_int_equal(n, H2_CONTINUATIONS_MAX + 1);
    assert_int_equal(hits(&d, H2_LIMIT_CONTINUATION), 1);
    close_desk(&d);
}

static void a_server_of_another_version_is_noticed(void **state)
{
    (void)state;
    static struct desk d;
    open_desk(&d, false, 0);
    submit(&d, 0, NULL, 0);
    (void)output(&d);
    (void)h2_session_feed(&d.client, d.now, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
    (void)output(&d);
    assert_true(h2_session_over(&d.client));
    assert_false(d.client.settled);
    close_desk(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_out_whole_and_its_answer_comes_back),
        cmocka_unit_test(a_request_without_a_body_ends_with_its_head),
        cmocka_unit_test(interim_heads_are_skipped_and_do_not_mix_with_the_final_one),
        cmocka_unit_test(interim_heads_without_end_are_refused),
        cmocka_unit_test(trailers_end_an_answer),
        cmocka_unit_test(a_reset_is_an_ending_without_on_end),
        cmocka_unit_test(no_error_behind_a_whole_answer_is_a_whole_answer),
        cmocka_unit_test(another_length_than_announced_is_no_whole_answer),
        cmocka_unit_test(heads_that_are_none_are_refused),
        cmocka_unit_test(a_head_that_is_too_large_costs_its_stream_only),
        cmocka_unit_test(room_is_one_until_the_settings_come_then_what_they_say),
        cmocka_unit_test(our_own_limit_holds_when_the_provider_has_none),
        cmocka_unit_test(goaway_refuses_what_was_not_looked_at_and_lets_the_rest_finish),
        cmocka_unit_test(what_did_not_get_out_before_a_goaway_is_refused_too),
        cmocka_unit_test(a_stream_that_was_let_go_of_says_nothing_more),
        cmocka_unit_test(a_stream_that_is_not_read_stops_alone),
        cmocka_unit_test(nothing_is_pushed),
        cmocka_unit_test(floods_end_the_connection),
        cmocka_unit_test(resets_of_our_own_streams_are_no_flood),
        cmocka_unit_test(a_head_without_end_ends_the_connection),
        cmocka_unit_test(a_server_of_another_version_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
