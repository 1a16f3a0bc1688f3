// SPDX-License-Identifier: Apache-2.0
//
// translate_answer_test.c: answers and events turned, by toy dialects on either side.
//
// The provider's event is a word: `say:…` is a piece of text, `end` the end, `bad` malformed, `err`
// an error, `ping` nothing. The client's is `data: {"say":"…"}`, the end `data: [DONE]`.
#include "tests/unit/gateway/fixture.h"

#include "codec/dialect.h"
#include "gateway/translate.h"
#include "ring/work.h"
#include <pthread.h>

static struct {
    int read_err;
    pthread_t by;
} toy;

static int toy_read_answer(struct canon_answer *a, struct slice text)
{
    toy.by = pthread_self();
    a->model = slice_take(text, 4);
    return toy.read_err;
}

static int toy_write_answer(const struct canon_answer *a, const struct canon_context *c,
                            struct json_writer *w)
{
    json_object(w);
    json_member_string(w, SLICE("said"), a->model);
    json_member_string(w, SLICE("id"), c->id);
    json_object_end(w);
    return 0;
}

static int toy_read_event(struct canon_reader *r, const struct sse_event *event,
                          struct canon_sink *sink)
{
    struct canon_event e = {.kind = CANON_BLOCK_DELTA, .text = slice_skip(event->data, 4)};
    (void)r;
    if (slice_eq(event->data, SLICE("bad")))
        return ERR_BAD_SSE;
    if (slice_eq(event->data, SLICE("ping")))
        return 0;
    if (slice_eq(event->data, SLICE("end")))
        e.kind = CANON_END;
    if (slice_eq(event->data, SLICE("err"))) {
        e.kind = CANON_ERROR;
        e.error = (struct canon_error){.type = SLICE("overloaded_error"), .message = SLICE("busy")};
    }
    return sink->take(sink, &e);
}

static int toy_write_event(struct canon_writer *w, const struct canon_event *e)
{
    canon_event_open(w->out, SLICE(""));
    if (e->kind == CANON_END) {
        json_plain(w->out, SLICE("[DONE]"));
    } else {
        json_object(w->out);
        json_member_string(w->out, SLICE("say"), e->text);
        json_object_end(w->out);
    }
    canon_event_close(w->out);
    return 0;
}

static void toy_event(const struct sse_event *event, struct dialect_event *ret)
{
    *ret = (struct dialect_event){.kind = DIALECT_EVENT_DELTA};
    ret->usage.known = slice_starts(event->data, SLICE("say:"));
    ret->usage.output_tokens = event->data.len;
}

static void toy_usage(struct slice text, struct dialect_usage *ret)
{
    *ret = (struct dialect_usage){.known = true, .output_tokens = text.len};
}

static const struct dialect_translation from_half = {.read_answer = toy_read_answer,
                                                     .read_event = toy_read_event};
static const struct dialect_translation to_half = {.write_answer = toy_write_answer,
                                                   .write_event = toy_write_event};
static const struct dialect from = {
    .translation = &from_half, .event = toy_event, .answer_usage = toy_usage};
static const struct dialect to = {.translation = &to_half};
static struct translated translated = {.context = {.id = {"id-7", 4}}};

static struct fake *open_toy(void)
{
    struct fake *f = fake_open();
    memset(&toy, 0, sizeof(toy));
    f->x.dialect = &to;
    f->x.upstream_dialect = &from;
    f->x.translated = &translated;
    return f;
}

// ---- Whole -----------------------------------------------------------------------------------

static struct translate_answer answer;
static int result;

static void turn(struct fake *f, struct fiber *self)
{
    result = translate_answer_await(&f->x, self, &answer);
}

static void assert_pieces(const char *want)
{
    struct buf all;
    buf_init(&all, 1 << 20);
    for (unsigned i = 0; i < answer.count; i++)
        buf_add(&all, slice_of(answer.piece[i].iov_base, answer.piece[i].iov_len));
    assert_int_equal(all.len, answer.bytes);
    ASSERT_TEXT(&all, want);
    buf_done(&all);
}

static void an_answer_is_turned(void **state)
{
    (void)state;
    struct fake *f = open_toy();
    answer = (struct translate_answer){.text = SLICE("hello")};
    fake_run(f, turn);
    assert_int_equal(result, 0);
    assert_pieces("{\"said\":\"hell\",\"id\":\"id-7\"}");
    assert_int_equal(answer.usage.output_tokens, 5);
    translate_answer_done(&answer);
    answer = (struct translate_answer){.text = SLICE("hello"),
                                       .member = SLICE("\"extra_fields\":{\"a\":1}")};
    fake_run(f, turn);
    assert_pieces("{\"said\":\"hell\",\"id\":\"id-7\",\"extra_fields\":{\"a\":1}}");
    translate_answer_done(&answer);
    fake_close(f);
}

static void a_stream_is_turned_as_the_answer_it_would_have_been(void **state)
{
    (void)state;
    struct fake *f = open_toy();
    struct failure failure;
    // The toy opens no blocks: that the end is seen is what is shown here.
    answer =
        (struct translate_answer){.text = SLICE("data: ping\n\ndata: end\n\n"), .events = true};
    fake_run(f, turn);
    assert_int_equal(result, 0);
    assert_pieces("{\"said\":\"\",\"id\":\"id-7\"}");
    translate_answer_done(&answer);
    answer = (struct translate_answer){.text = SLICE("data: ping\n\n"), .events = true};
    fake_run(f, turn);
    assert_int_equal(result, ERR_UPSTREAM_PROTOCOL);
    translate_answer_failure(&answer, &f->stream.arena, result, &failure);
    assert_int_equal(failure.status, 502);
    translate_answer_done(&answer);
    answer = (struct translate_answer){.text = SLICE("data: err\n\n"), .events = true};
    fake_run(f, turn);
    assert_int_equal(result, ERR_UPSTREAM_PROTOCOL);
    translate_answer_failure(&answer, &f->stream.arena, result, &failure);
    assert_true(slice_eq(failure.message, SLICE("busy")));
    assert_true(slice_eq(failure.type, SLICE("overloaded_error")));
    translate_answer_done(&answer);
    fake_close(f);
}

static void what_is_no_answer_is_the_providers_fault(void **state)
{
    static const int errors[][2] = {
        {ERR_BAD_JSON, ERR_UPSTREAM_PROTOCOL},
        {ERR_BAD_TYPE, ERR_UPSTREAM_PROTOCOL},
        {ERR_UPSTREAM_PROTOCOL, ERR_UPSTREAM_PROTOCOL},
        {ERR_LIMIT, ERR_UPSTREAM_FOREIGN},
        {ERR_NOMEM, ERR_NOMEM},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct fake *f = open_toy();
        toy.read_err = errors[i][0];
        answer = (struct translate_answer){.text = SLICE("hello")};
        fake_run(f, turn);
        assert_int_equal(result, errors[i][1]);
        translate_answer_done(&answer);
        fake_close(f);
    }
}

static void a_large_answer_is_another_threads_work(void **state)
{
    (void)state;
    char *text = malloc(TRANSLATE_TURN_BYTES + 1);
    assert_non_null(text);
    memset(text, 'x', TRANSLATE_TURN_BYTES + 1);
    for (size_t over = 0; over < 2; over++) {
        struct fake *f = open_toy();
        assert_int_equal(work_pool_new(1, &f->gateway.work), 0);
        answer = (struct translate_answer){.text = slice_of(text, TRANSLATE_TURN_BYTES + over)};
        fake_run(f, turn);
        assert_int_equal(result, 0);
        assert_int_equal(pthread_equal(toy.by, pthread_self()) == 0, over == 1);
        assert_pieces("{\"said\":\"xxxx\",\"id\":\"id-7\"}");
        translate_answer_done(&answer);
        work_pool_leave(f->gateway.work);
        work_pool_free(f->gateway.work);
        fake_close(f);
    }
    free(text);
}

// ---- Streams ---------------------------------------------------------------------------------

static struct sse_event event_of(const char *word)
{
    return (struct sse_event){.data = slice_str(word), .has_data = true};
}

static void assert_turned(struct translate_stream *s, const char *word, const char *want)
{
    struct sse_event e = event_of(word);
    struct slice text;
    assert_int_equal(translate_event(s, &e, &text), 0);
    if (!slice_eq(text, slice_str(want)))
        fail_msg("%s: %.*s", word, SLICE_ARG(text));
}

static void each_event_gives_its_own_at_once(void **state)
{
    (void)state;
    struct fake *f = open_toy();
    struct translate_stream *s = translate_stream_new(&f->x);
    assert_non_null(s);
    assert_turned(s, "ping", "");
    assert_turned(s, "say:a", "data: {\"say\":\"a\"}\n\n");
    assert_turned(s, "say:bcd", "data: {\"say\":\"bcd\"}\n\n");
    assert_int_equal(s->usage.output_tokens, 7); // the provider's, the last one told
    translate_stream_rest(s);
    assert_int_equal(s->texts.bytes, 0);
    assert_turned(s, "end", "data: [DONE]\n\n");
    assert_turned(s, "say:behind the end", "");
    assert_turned(s, "bad", "");
    translate_stream_done(s);
    translate_stream_done(NULL);
    fake_close(f);
}

// Short ones stand behind each other; those of any length stay where they are until the rest.
static void the_events_of_a_pull_live_together(void **state)
{
    static const size_t lengths[] = {1, 40, 300, 1500, 1, 9000, 5, 9000, 700, 700, 700, 1, 2};
    struct slice text[ARRAY_LEN(lengths)];
    char word[16384] = "say:";
    struct fake *f = open_toy();
    struct translate_stream *s = translate_stream_new(&f->x);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        memset(word + 4, 'a' + (int)i, lengths[i]);
        word[4 + lengths[i]] = '\0';
        struct sse_event e = event_of(word);
        assert_int_equal(translate_event(s, &e, &text[i]), 0);
    }
    assert_ptr_equal(text[0].ptr + text[0].len, text[1].ptr);
    assert_ptr_equal(text[1].ptr + text[1].len, text[2].ptr);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        size_t frame = strlen("data: {\"say\":\"\"}\n\n");
        assert_int_equal(text[i].len, lengths[i] + frame);
        for (size_t at = 0; at < lengths[i]; at++)
            assert_int_equal(text[i].ptr[strlen("data: {\"say\":\"") + at], 'a' + (int)i);
    }
    translate_stream_done(s);
    fake_close(f);
}

// What a worker translates takes its memory where the core does not.
static void a_long_event_moves_the_stream(void **state)
{
    static char word[TRANSLATE_TURN_BYTES + 64] = "say:";
    struct block_pool far;
    struct fake *f = open_toy();
    struct translate_stream *s = translate_stream_new(&f->x);

    (void)state;
    block_pool_init(&far, 0);
    assert_turned(s, "say:a", "data: {\"say\":\"a\"}\n\n");
    memset(word + 4, 'b', TRANSLATE_TURN_BYTES - 4);
    struct sse_event e = event_of(word);
    e.raw = e.data;
    assert_false(translate_is_long(s, &e));
    word[TRANSLATE_TURN_BYTES] = 'b';
    e = event_of(word);
    e.raw = e.data;
    assert_true(translate_is_long(s, &e));
    size_t live = f->core.net.blocks.live_count;
    translate_stream_move(s, &far);
    assert_true(f->core.net.blocks.live_count < live);
    live = f->core.net.blocks.live_count;
    struct slice text;
    assert_int_equal(translate_event(s, &e, &text), 0);
    assert_int_equal(text.len, TRANSLATE_TURN_BYTES + 1 - 4 + strlen("data: {\"say\":\"\"}\n\n"));
    assert_turned(s, "say:c", "data: {\"say\":\"c\"}\n\n");
    translate_stream_rest(s);
    assert_turned(s, "say:d", "data: {\"say\":\"d\"}\n\n");
    assert_int_equal(f->core.net.blocks.live_count, live);
    translate_stream_done(s);
    block_pool_done(&far); // asserts that nothing is live
    fake_close(f);
}

// Short events that end what a responses client is told again, once that is long.
static void what_repeats_a_long_stream_is_long(void **state)
{
    struct translate_stream s = {.repeats = true, .said = TRANSLATE_TURN_BYTES};
    struct sse_event e = event_of("{}");

    (void)state;
    e.type = SLICE("content_block_stop");
    assert_false(translate_is_long(&s, &e));
    s.said++;
    assert_true(translate_is_long(&s, &e));
    e.type = SLICE("message_delta");
    assert_true(translate_is_long(&s, &e));
    e.type = SLICE_EMPTY; // chat: any may be the end of something
    assert_true(translate_is_long(&s, &e));
    e.type = SLICE("content_block_delta");
    assert_false(translate_is_long(&s, &e));
    s.repeats = false;
    e.type = SLICE("content_block_stop");
    assert_false(translate_is_long(&s, &e));
}

static void what_went_wrong_is_told_as_far_as_it_was_said(void **state)
{
    (void)state;
    struct failure failure;
    struct sse_event bad = event_of("bad"), err = event_of("err");
    struct slice text;
    struct fake *f = open_toy();
    struct translate_stream *s = translate_stream_new(&f->x);
    int rc = translate_event(s, &bad, &text);
    assert_int_equal(rc, ERR_BAD_SSE);
    translate_failure(s, &f->x.stream->arena, rc, &failure);
    assert_int_equal(failure.err, ERR_BAD_SSE);
    assert_int_equal(failure.status, 502);
    translate_failure(s, &f->x.stream->arena, ERR_LIMIT, &failure);
    assert_int_equal(failure.err, ERR_UPSTREAM_FOREIGN);
    translate_stream_done(s);

    s = translate_stream_new(&f->x);
    rc = translate_event(s, &err, &text);
    assert_int_equal(rc, ERR_UPSTREAM_PROTOCOL);
    translate_failure(s, &f->x.stream->arena, rc, &failure);
    assert_int_equal(failure.err, 0);
    assert_int_equal(failure.status, 529); // by its type
    assert_true(failure.foreign);
    translate_stream_done(s);
    assert_true(slice_eq(failure.message, SLICE("busy"))); // it outlives the stream
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_turned),
        cmocka_unit_test(a_stream_is_turned_as_the_answer_it_would_have_been),
        cmocka_unit_test(what_is_no_answer_is_the_providers_fault),
        cmocka_unit_test(a_large_answer_is_another_threads_work),
        cmocka_unit_test(each_event_gives_its_own_at_once),
        cmocka_unit_test(the_events_of_a_pull_live_together),
        cmocka_unit_test(a_long_event_moves_the_stream),
        cmocka_unit_test(what_repeats_a_long_stream_is_long),
        cmocka_unit_test(what_went_wrong_is_told_as_far_as_it_was_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
