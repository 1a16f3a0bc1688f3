// SPDX-License-Identifier: Apache-2.0
//
// answer_test.c: answers on the wire: what is copied, what waits for a window, who goes first.
#include "toy_h2.h"

static struct toy_h2 toy;
static char large[200000];

// A client that has asked for `n` things with this initial window; 0: the default.
static void ask(unsigned n, uint32_t window)
{
    toy_open(&toy, NULL, true);
    if (window) {
        nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
        assert_int_equal(nghttp2_submit_settings(toy.client, 0, &e, 1), 0);
        assert_int_equal(nghttp2_session_set_local_window_size(toy.client, 0, 0, 100 * 1024 * 1024),
                         0);
    }
    for (unsigned i = 0; i < n; i++)
        (void)toy_request(&toy, "GET", "/", NULL);
    toy_pump(&toy);
    buf_reset(&toy.log);
    buf_reset(&toy.client_log);
    toy.outputs = toy.borrowed = toy.lent = 0;
}

static struct h2_stream *stream(int32_t id)
{
    struct toy_stream *x = toy_stream(&toy, id);
    assert_non_null(x);
    return &x->s;
}

static void head_and_event_leave_together(void **state)
{
    (void)state;
    const struct h2_field fields[] = {{SLICE("content-type"), SLICE("text/event-stream")}};
    struct slice event = SLICE("data: 1\n\n");
    ask(1, 0);
    assert_int_equal(h2_stream_answer(stream(1), 200, fields, 1, &event, 1, false), 0);
    toy_pump(&toy);
    assert_int_equal(toy.outputs, 1);
    assert_int_equal(toy.borrowed, 0);
    assert_client(&toy, "head 1 200|content-type: text/event-stream|data 1 9|");
    assert_server(&toy, "taken 1|");
    // The next event does not wait for anything either.
    assert_int_equal(h2_stream_write(stream(1), &event, 1, false), 0);
    toy_pump(&toy);
    assert_int_equal(h2_stream_write(stream(1), NULL, 0, true), 0);
    toy_pump(&toy);
    assert_client(&toy, "head 1 200|content-type: text/event-stream|data 1 9|data 1 9|data 1 0|"
                        "close 1 0|");
    assert_server(&toy, "taken 1|taken 1|taken 1|close 1 0|");
    toy_close(&toy);
}

static void a_head_alone_is_taken(void **state)
{
    (void)state;
    ask(1, 0);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, NULL, 0, false), 0);
    toy_pump(&toy);
    assert_client(&toy, "head 1 200|");
    assert_server(&toy, "taken 1|");
    toy_close(&toy);
}

static void large_bodies_are_not_copied(void **state)
{
    (void)state;
    struct slice spans[3] = {slice_of(large, 100000), slice_of(large, 100), slice_of(large, 9000)};
    ask(1, 1u << 20);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, spans, 3, true), 0);
    toy_drain(&toy);
    assert_true(toy.borrowed >= 7); // 16 kB frames of 109 kB
    assert_int_equal(toy.lent, toy.borrowed);
    // One output holds it all: 64 entries point at it.
    assert_int_equal(toy.outputs, 1);
    assert_server(&toy, "taken 1|close 1 0|");
    assert_non_null(strstr(toy_text(&toy.client_log), "data 1 16384|"));
    toy_close(&toy);
}

static void many_small_spans_become_few_entries(void **state)
{
    (void)state;
    struct slice spans[72];
    for (unsigned i = 0; i < 72; i++)
        spans[i] = slice_of(large, 600);
    ask(1, 1u << 20);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, spans, 72, true), 0);
    toy_pump(&toy);
    assert_int_equal(toy.borrowed, 0);
    assert_true(toy.outputs >= 3); // `bytes` has 16 kB
    assert_server(&toy, "taken 1|close 1 0|");
    toy_close(&toy);
}

static void the_bytes_are_those_given(void **state)
{
    (void)state;
    struct slice spans[9];
    struct buf want, got;
    struct toy_seen seen;
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 7 + i / 251);
    buf_init(&want, 1u << 20);
    buf_init(&got, 1u << 20);
    toy_start_raw(&toy, NULL);
    static const size_t sizes[] = {1, 1024, 1025, 0, 40000, 3, 16384, 700, 2000};
    size_t at = 0;
    for (unsigned i = 0; i < 9; at += sizes[i++]) {
        spans[i] = slice_of(large + at, sizes[i]);
        buf_add(&want, spans[i]);
    }
    assert_int_equal(toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM), 0);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, spans, 9, true), 0);
    toy_drain(&toy);
    for (unsigned n = 0; toy_saw(&toy, NGHTTP2_DATA, n, &seen); n++)
        buf_add(&got, slice_of(seen.payload, seen.len));
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.ptr, want.ptr, want.len);
    buf_done(&want);
    buf_done(&got);
    toy_close(&toy);
}

static void a_closed_window_holds_only_its_stream(void **state)
{
    (void)state;
    struct slice body = slice_of(large, 1000), small = slice_of(large, 50);
    ask(2, 100);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, &body, 1, true), 0);
    toy_drain(&toy);
    assert_client(&toy, "head 1 200|data 1 100|");
    assert_false(h2_session_wants_output(&toy.server));
    assert_int_equal(h2_stream_answer(stream(3), 200, NULL, 0, &small, 1, true), 0);
    toy_drain(&toy);
    assert_non_null(strstr(toy_text(&toy.client_log), "data 3 50|close 3 0|"));
    toy_pump(&toy); // the client's updates
    assert_non_null(strstr(toy_text(&toy.log), "taken 1|close 1 0|"));
    toy_close(&toy);
}

static void streams_take_turns(void **state)
{
    (void)state;
    struct slice body = slice_of(large, 60000), small = slice_of(large, 10);
    ask(3, 1u << 20);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, &body, 1, true), 0);
    assert_int_equal(h2_stream_answer(stream(3), 200, NULL, 0, &body, 1, true), 0);
    assert_int_equal(h2_stream_answer(stream(5), 200, NULL, 0, &small, 1, true), 0);
    toy_pump(&toy);
    const char *log = toy_text(&toy.client_log);
    // The small one does not wait for the large ones to end.
    assert_true(strstr(log, "close 5 0|") < strstr(log, "close 1 0|"));
    assert_true(strstr(log, "data 3 16384|") < strstr(log, "close 1 0|"));
    toy_close(&toy);
}

static void a_stalled_write_is_reset(void **state)
{
    (void)state;
    struct h2_options o = {.write_ms = 1000};
    struct slice body = slice_of(large, 1000);
    toy_open(&toy, &o, true);
    nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    assert_int_equal(nghttp2_submit_settings(toy.client, 0, &e, 1), 0);
    (void)toy_request(&toy, "GET", "/", NULL);
    toy_pump(&toy);
    buf_reset(&toy.log);
    assert_int_equal(h2_session_deadline(&toy.server).ns, MONO_NEVER.ns);
    toy.now = mono_add_ms(toy.now, 60000); // long after the session was last heard of
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, &body, 1, true), 0);
    toy_pump(&toy);
    assert_int_equal(h2_session_deadline(&toy.server).ns, mono_add_ms(toy.now, 1000).ns);
    h2_session_expire(&toy.server, mono_add_ms(toy.now, 999));
    toy_pump(&toy);
    assert_server(&toy, "");
    h2_session_expire(&toy.server, mono_add_ms(toy.now, 1000));
    toy_pump(&toy);
    assert_server(&toy, "close 1 8|");
    assert_int_equal(toy_hits(&toy, H2_LIMIT_STALLED), 1);
    assert_int_equal(h2_session_deadline(&toy.server).ns, MONO_NEVER.ns);
    toy_close(&toy);
}

// One byte now and then is no progress: a window wants its rate.
static void a_dribbling_reader_is_reset_too(void **state)
{
    (void)state;
    struct h2_options o = {.write_ms = 1000, .write_rate = 100};
    struct slice body = slice_of(large, 1000);
    toy_start_raw(&toy, &o);
    assert_int_equal(toy_frame(&toy, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\1", 6), 0);
    assert_int_equal(toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM), 0);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, &body, 1, true), 0);
    toy_drain(&toy);
    for (int i = 0; i < 9; i++) {
        toy.now = mono_add_ms(toy.now, 100);
        assert_int_equal(toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4), 0);
        toy_drain(&toy);
        h2_session_expire(&toy.server, toy.now);
    }
    assert_null(strstr(toy_text(&toy.log), "close"));
    toy.now = mono_add_ms(toy.now, 100);
    h2_session_expire(&toy.server, toy.now);
    assert_reset(&toy, 1, H2_CANCEL);
    toy_close(&toy);
}

// Ten windows for one write, at the rate asked for; then a window short of one byte.
static void a_slow_reader_that_keeps_its_pace_is_not(void **state)
{
    (void)state;
    struct h2_options o = {.write_ms = 1000, .write_rate = 100};
    struct slice body = slice_of(large, 2000);
    toy_start_raw(&toy, &o);
    assert_int_equal(toy_frame(&toy, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6), 0);
    assert_int_equal(toy_get(&toy, 1, NGHTTP2_FLAG_END_STREAM), 0);
    assert_int_equal(toy_get(&toy, 3, NGHTTP2_FLAG_END_STREAM), 0);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, &body, 1, true), 0);
    toy_drain(&toy);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\x64", 4), 0);
        toy_drain(&toy);
        toy.now = mono_add_ms(toy.now, 1000);
        h2_session_expire(&toy.server, toy.now);
        assert_null(strstr(toy_text(&toy.log), "close"));
    }
    // Another write that begins now is judged in its own time.
    assert_int_equal(h2_stream_answer(stream(3), 200, NULL, 0, &body, 1, true), 0);
    toy_drain(&toy);
    assert_int_equal(h2_session_deadline(&toy.server).ns, mono_add_ms(toy.now, 1000).ns);
    assert_int_equal(toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\x63", 4), 0);
    assert_int_equal(toy_frame(&toy, NGHTTP2_WINDOW_UPDATE, 0, 3, "\0\0\0\x64", 4), 0);
    toy_drain(&toy);
    toy.now = mono_add_ms(toy.now, 1000);
    h2_session_expire(&toy.server, toy.now);
    assert_reset(&toy, 1, H2_CANCEL);
    assert_int_equal(toy_hits(&toy, H2_LIMIT_STALLED), 1);
    toy_close(&toy);
}

static void an_early_answer_ends_the_request(void **state)
{
    (void)state;
    struct toy_seen seen;
    toy_start_raw(&toy, NULL);
    assert_int_equal(toy_get(&toy, 1, 0), 0); // a body would follow
    assert_int_equal(h2_stream_answer(stream(1), 413, NULL, 0, NULL, 0, true), 0);
    assert_reset(&toy, 1, H2_NO_ERROR);
    assert_true(toy_saw(&toy, NGHTTP2_HEADERS, 0, &seen));
    assert_server(&toy, "head 1 GET /|taken 1|close 1 0|");
    assert_int_equal(toy_hits(&toy, H2_RATE_PROVOKED), 0);
    toy_close(&toy);
}

static void an_interim_head_comes_first(void **state)
{
    (void)state;
    ask(1, 0);
    assert_int_equal(h2_stream_interim(stream(1), 100), 0);
    toy_pump(&toy);
    assert_int_equal(h2_stream_answer(stream(1), 204, NULL, 0, NULL, 0, true), 0);
    toy_pump(&toy);
    assert_client(&toy, "head 1 100|head 1 204|close 1 0|");
    toy_close(&toy);
}

static void what_was_not_taken_can_be_taken_back(void **state)
{
    (void)state;
    struct slice body = slice_of(large, 1000);
    ask(1, 100);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, &body, 1, true), 0);
    toy_drain(&toy);
    h2_stream_unwrite(stream(1));
    h2_stream_reset(stream(1), H2_INTERNAL_ERROR);
    toy_pump(&toy);
    assert_client(&toy, "head 1 200|data 1 100|reset 1 2|close 1 2|");
    toy_close(&toy);
}

static void nothing_is_written_to_a_stream_that_is_gone(void **state)
{
    (void)state;
    struct slice body = slice_of(large, 10);
    ask(1, 0);
    h2_stream_reset(stream(1), H2_CANCEL);
    assert_int_equal(h2_stream_answer(stream(1), 200, NULL, 0, &body, 1, true), ERR_CLIENT_GONE);
    assert_int_equal(h2_stream_interim(stream(1), 100), ERR_CLIENT_GONE);
    struct h2_stream closed = {0};
    assert_int_equal(h2_stream_write(&closed, &body, 1, true), ERR_CLIENT_GONE);
    h2_stream_reset(&closed, H2_CANCEL);
    h2_stream_consume(&closed, 5);
    h2_stream_widen(&closed, 5);
    h2_stream_detach(&closed);
    toy_close(&toy);
}

// A head of 60 kB does not fit into one output: it goes on in the next.
static void a_long_head_spans_outputs(void **state)
{
    (void)state;
    static char value[3000];
    struct h2_field fields[20];
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (char)('A' + i % 26);
    for (unsigned i = 0; i < 20; i++)
        fields[i] = (struct h2_field){SLICE("x-long"), slice_of(value, sizeof(value) - i)};
    ask(1, 0);
    assert_int_equal(h2_stream_answer(stream(1), 200, fields, 20, NULL, 0, true), 0);
    toy_pump(&toy);
    assert_true(toy.outputs > 1);
    assert_non_null(strstr(toy_text(&toy.client_log), "close 1 0|"));
    toy_close(&toy);
}

// One that HTTP/2 cannot carry is an error of that stream, and never a client that waits.
static void a_head_too_long_to_send_is_reset(void **state)
{
    (void)state;
    struct h2_field field = {SLICE("x-long"), slice_of(large, 100000)};
    memset(large, 'v', sizeof(large));
    ask(1, 0);
    assert_int_equal(h2_stream_answer(stream(1), 200, &field, 1, NULL, 0, true), 0);
    toy_pump(&toy);
    assert_client(&toy, "reset 1 2|close 1 2|");
    toy_close(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_and_event_leave_together),
        cmocka_unit_test(a_head_alone_is_taken),
        cmocka_unit_test(large_bodies_are_not_copied),
        cmocka_unit_test(many_small_spans_become_few_entries),
        cmocka_unit_test(the_bytes_are_those_given),
        cmocka_unit_test(a_closed_window_holds_only_its_stream),
        cmocka_unit_test(streams_take_turns),
        cmocka_unit_test(a_stalled_write_is_reset),
        cmocka_unit_test(a_dribbling_reader_is_reset_too),
        cmocka_unit_test(a_slow_reader_that_keeps_its_pace_is_not),
        cmocka_unit_test(an_early_answer_ends_the_request),
        cmocka_unit_test(an_interim_head_comes_first),
        cmocka_unit_test(what_was_not_taken_can_be_taken_back),
        cmocka_unit_test(nothing_is_written_to_a_stream_that_is_gone),
        cmocka_unit_test(a_long_head_spans_outputs),
        cmocka_unit_test(a_head_too_long_to_send_is_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
