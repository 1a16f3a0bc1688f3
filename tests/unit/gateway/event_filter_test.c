// SPDX-License-Identifier: Apache-2.0
//
// event_filter_test.c: what a client sees of a stream, however the bytes were cut on their way.
//
// The stream goes through the real splitter in random spans, each in memory of its own that is
// overwritten afterwards, as ring buffers are: what the filter gave must have been sent by then.

#include "base/buf.h"
#include "base/container.h"
#include "base/err.h"
#include "base/prng.h"
#include "gateway/event_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above.
#include <cmocka.h>

#define CUTS     10000
#define PREFIX   "\"extra_fields\":{\"request_type\":\"chat_completion_stream\",\"latency\":"
#define EXTRA(n) PREFIX "2,\"chunk_index\":" #n "}"

#define ROLE    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}],\"usage\":null}"
#define COMMENT ": keep-alive"
#define DELTA   "data: {\"choices\":[{\"delta\":{\"content\":\"h\xc3\xa9 \\\"usage\\\" }\"}}]}"
#define FINISH  "data: {\"choices\":[{\"finish_reason\":\"stop\"}] }"
#define USAGE                                                                                      \
    "data: {\"choices\":[],\"usage\":{\"total_tokens\":12,\"prompt_tokens_details\":"              \
    "{\"cached_tokens\":8}}}"
#define DONE "data: [DONE]"

static const char before_usage[] = ROLE "\n\n" COMMENT "\n\n" DELTA "\r\n\r\n" FINISH "\n\n";
static const char usage_event[] = USAGE "\n\n";
static const char after_usage[] = DONE "\n\n";

struct run {
    struct block_pool pool;
    struct arena arena;
    struct sse_splitter splitter;
    struct event_filter filter;
    struct gather gather;
    struct buf out;
    unsigned runs; // events that were taken in runs
};

static void run_begin(struct run *r, bool withhold, const char *prefix)
{
    block_pool_init(&r->pool, 8);
    arena_init(&r->arena, &r->pool, 1 << 20);
    sse_init(&r->splitter);
    r->filter = (struct event_filter){.dialect = &dialect_openai_chat,
                                      .arena = &r->arena,
                                      .withhold = withhold,
                                      .prefix = slice_str(prefix)};
    r->runs = 0;
    gather_reset(&r->gather);
    buf_init(&r->out, 1 << 20);
}

static void run_end(struct run *r)
{
    sse_done(&r->splitter);
    arena_done(&r->arena);
    block_pool_done(&r->pool);
    buf_done(&r->out);
}

static void flush(struct run *r)
{
    for (unsigned i = 0; i < r->gather.count; i++)
        buf_add(&r->out, r->gather.slice[i]);
    gather_reset(&r->gather);
}

static void feed(struct run *r, struct slice span)
{
    struct sse_event event;
    struct slice run;

    sse_feed(&r->splitter, span);
    for (;;) {
        r->runs += event_filter_add_run(&r->filter, &r->gather, &r->splitter, &run);
        if (sse_next(&r->splitter, &event) != 0)
            break;
        enum event_verdict v;
        while ((v = event_filter_add(&r->filter, &r->gather, &event, span, 2)) == EVENT_FULL)
            flush(r);
        assert_true(v == EVENT_PASSED || v == EVENT_WITHHELD || v == EVENT_URGENT ||
                    v == EVENT_KEPT);
        r->filter.committed = r->filter.committed || v != EVENT_KEPT;
        if (v == EVENT_URGENT)
            flush(r);
    }
}

static void feed_in_cuts(struct run *r, struct slice text, struct prng *prng)
{
    while (text.len > 0) {
        size_t n = 1 + (size_t)prng_below(prng, prng_below(prng, 4) ? 60 : 3);
        struct slice part = slice_take(text, n);
        char *copy = malloc(part.len);
        memcpy(copy, part.ptr, part.len);
        feed(r, slice_of(copy, part.len));
        flush(r); // the write of this pull
        memset(copy, '#', part.len);
        free(copy);
        text = slice_skip(text, part.len);
    }
    if (sse_owes_lf(&r->splitter) && !r->filter.withheld)
        buf_add(&r->out, SLICE("\n"));
}

static void check_cuts(bool withhold, const char *prefix, const char *stream, const char *want)
{
    struct prng prng;
    prng_seed(&prng, 42);
    for (unsigned i = 0; i < CUTS; i++) {
        struct run r;
        run_begin(&r, withhold, prefix);
        feed_in_cuts(&r, slice_str(stream), &prng);
        if (!slice_eq(buf_slice(&r.out), slice_str(want)))
            fail_msg("cut %u gave:\n%.*s", i, SLICE_ARG(buf_slice(&r.out)));
        assert_true(r.filter.ended);
        assert_false(r.filter.failed);
        assert_int_equal(r.filter.usage.total_tokens, 12);
        run_end(&r);
    }
}

static char *joined(const char *a, const char *b, const char *c)
{
    size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
    char *s = malloc(n);
    snprintf(s, n, "%s%s%s", a, b, c);
    return s;
}

static void asked_usage_means_equal_bytes(void **state)
{
    char *stream = joined(before_usage, usage_event, after_usage);
    (void)state;
    check_cuts(false, "", stream, stream);
    free(stream);
}

static void unasked_usage_means_one_event_less(void **state)
{
    char *stream = joined(before_usage, usage_event, after_usage);
    char *want = joined(before_usage, "", after_usage);
    (void)state;
    check_cuts(true, "", stream, want);
    free(stream);
    free(want);
}

// A cut between CR and LF brings the LF with the next event; it stays or goes with its own.
static void half_a_line_end_follows_its_event(void **state)
{
#define CRLF "\r\n\r\n"
    static const char stream[] = DELTA CRLF USAGE CRLF DONE CRLF;
    static const char want[] = DELTA CRLF DONE CRLF;
    (void)state;
    check_cuts(true, "", stream, want);
    check_cuts(false, "", stream, stream);
    check_cuts(true, "", DELTA "\r\r" USAGE "\r\r" DONE "\r\r", DELTA "\r\r" DONE "\r\r");
    // A blank line of the provider's is nobody's half.
    check_cuts(true, "", DELTA "\n\n" USAGE "\n\n\n" DONE "\n\n", DELTA "\n\n\n" DONE "\n\n");
}

static void unified_events_carry_extra_fields(void **state)
{
    static const char want[] =
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}],\"usage\":null," EXTRA(
            0) "}\n\n" COMMENT "\n\n"
               "data: {\"choices\":[{\"delta\":{\"content\":\"h\xc3\xa9 \\\"usage\\\" "
               "}\"}}]," EXTRA(1) "}\r\n\r\n"
                                  "data: {\"choices\":[{\"finish_reason\":\"stop\"}] ," EXTRA(
                                      2) "}\n\n"
                                         "data: "
                                         "{\"choices\":[],\"usage\":{\"total_tokens\":12,\"prompt_"
                                         "tokens_details\":"
                                         "{\"cached_tokens\":8,\"cached_read_tokens\":8}}," EXTRA(
                                             3) "}\n\n" DONE "\n\n";
    char *stream = joined(before_usage, usage_event, after_usage);
    (void)state;
    check_cuts(false, PREFIX, stream, want);
    free(stream);
}

static void one_event(const char *prefix, const char *raw, const char *want)
{
    struct run r;
    run_begin(&r, true, prefix);
    feed(&r, slice_str(raw));
    flush(&r);
    buf_add_char(&r.out, '\0');
    assert_string_equal(r.out.ptr, want);
    run_end(&r);
}

static void odd_events_are_spliced_or_pass(void **state)
{
    (void)state;
    one_event(PREFIX, "data: {}\n\n", "data: {" EXTRA(0) "}\n\n");
    one_event(PREFIX, "data:{ }\n\n", "data:{ " EXTRA(0) "}\n\n");
    one_event(PREFIX, "data: [1]\n\n", "data: [1]\n\n");
    one_event(PREFIX, "data: {\"extra_fields\":{\"of\":\"another\"},\"a\":1}\n\n",
              "data: {" EXTRA(0) ",\"a\":1}\n\n");
    one_event(PREFIX, "id: 1\ndata: {\"a\":1}\nretry: 3\n\n",
              "id: 1\ndata: {\"a\":1," EXTRA(0) "}\nretry: 3\n\n");
    one_event(PREFIX, "data: {\"a\":\ndata: 1}\n\n", "data: {\"a\": 1," EXTRA(0) "}\n\n");
    // Usage beside content, and an event that only looks like the usage event, are not withheld.
    one_event("", "data: {\"choices\":[{}],\"usage\":{\"total_tokens\":1}}\n\n",
              "data: {\"choices\":[{}],\"usage\":{\"total_tokens\":1}}\n\n");
    one_event("", "data: {\"choices\":[],\"usage\":null}\n\n",
              "data: {\"choices\":[],\"usage\":null}\n\n");
}

static void an_error_first_is_refused_later_it_passes(void **state)
{
    static const char raw[] = "data: {\"error\":{\"message\":\"no\"}}\n\n";
    struct run r;
    struct sse_event event;
    (void)state;
    run_begin(&r, false, "");
    sse_feed(&r.splitter, slice_str(raw));
    assert_int_equal(sse_next(&r.splitter, &event), 0);
    assert_int_equal(event_filter_add(&r.filter, &r.gather, &event, slice_str(raw), 0),
                     EVENT_REFUSED);
    assert_int_equal(r.gather.count, 0);
    r.filter.committed = true;
    assert_int_equal(event_filter_add(&r.filter, &r.gather, &event, slice_str(raw), 0),
                     EVENT_PASSED);
    assert_true(r.filter.failed);
    run_end(&r);
}

// Usage and errors end a run, wherever they stand; before the commit and on /v1 there is none.
static void runs_hold_only_what_passes(void **state)
{
    static const char stream[] =
        ROLE "\n\n" ROLE "\n\n" DELTA "\n\n" USAGE "\n\n" DELTA "\n\n" DELTA "\n\n"
             "data: {\"error\":{\"code\":500}}\n\n" DELTA "\n\n" DONE "\n\n" DELTA "\n\n";
    struct run r;
    char *copy = strdup(stream);
    (void)state;
    run_begin(&r, true, "");
    feed(&r, slice_str(copy));
    flush(&r);
    assert_int_equal(r.runs, 5); // not the first, usage, the error, the end and what is behind it
    assert_int_equal(r.filter.events, 10);
    assert_true(r.filter.failed && r.filter.ended);
    assert_int_equal(r.filter.usage.total_tokens, 12);
    assert_int_equal(r.out.len, strlen(stream) - strlen(usage_event));
    run_end(&r);
    run_begin(&r, true, PREFIX);
    feed(&r, slice_str(copy));
    assert_int_equal(r.runs, 0);
    flush(&r);
    run_end(&r);
    free(copy);
}

static void neighbours_become_one_slice(void **state)
{
    char *stream = joined(before_usage, "", after_usage);
    struct run r;
    (void)state;
    run_begin(&r, true, "");
    feed(&r, slice_str(stream));
    assert_int_equal(r.gather.count, 1);
    assert_ptr_equal(r.gather.slice[0].ptr, stream);
    assert_int_equal(r.gather.bytes, strlen(stream));
    run_end(&r);
    free(stream);
}

// Messages tell the input first and the output last: both are in the end known.
static void usage_told_in_parts_is_whole_in_the_end(void **state)
{
    static const char stream[] =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"
        "{\"input_tokens\":25,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n"
        "event: ping\ndata: {\"type\":\"ping\"}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
        "\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    struct run r;
    (void)state;
    run_begin(&r, true, "");
    r.filter.dialect = &dialect_anthropic_messages;
    feed(&r, slice_str(stream));
    flush(&r);
    assert_true(slice_eq(buf_slice(&r.out), slice_str(stream)));
    assert_true(r.filter.ended);
    assert_true(r.filter.usage.known);
    assert_int_equal(r.filter.usage.input_tokens, 30);
    assert_int_equal(r.filter.usage.cached_read_tokens, 5);
    assert_int_equal(r.filter.usage.output_tokens, 15);
    assert_int_equal(r.filter.usage.total_tokens, 45);
    run_end(&r);
}

static void comments_in_front_wait_for_the_first_event(void **state)
{
    static const char front[] = COMMENT "\n\n"
                                        "retry: 3\r\n\r\n"
                                        "event: nothing\r\n\r\n";
    char *stream = joined(front, before_usage, usage_event);
    char *whole = joined(stream, after_usage, "");
    struct run r;
    (void)state;
    check_cuts(false, "", whole, whole);
    run_begin(&r, false, "");
    feed(&r, slice_str(front));
    assert_int_equal(r.gather.count, 0);
    assert_false(r.filter.committed);
    feed(&r, slice_str(before_usage));
    flush(&r);
    assert_int_equal(r.out.len, strlen(front) + strlen(before_usage));
    run_end(&r);
    free(whole);
    free(stream);
}

// More than is kept: what is dropped is whole, its late line end included.
static void comments_in_front_are_bounded(void **state)
{
    static const char comment[] = ": waiting\r\n\r\n";
    static const char *const line_end[] = {"\r\n", "\n"};
    static char many[1000 * (sizeof(comment) - 1)];
    struct prng prng;
    size_t kept = COMMENTS_KEPT_BYTES / strlen(comment) * strlen(comment);
    (void)state;
    prng_seed(&prng, 1);
    for (size_t i = 0; i < sizeof(many); i += strlen(comment))
        memcpy(many + i, comment, strlen(comment));
    for (size_t k = 0; k < 2 * ARRAY_LEN(line_end); k++) {
        char event[64];
        struct run r;
        int n = snprintf(event, sizeof(event), "data: 1%s%s", line_end[k / 2], line_end[k / 2]);
        run_begin(&r, false, "");
        if (k % 2)
            feed_in_cuts(&r, slice_of(many, sizeof(many)), &prng);
        else
            feed(&r, slice_of(many, sizeof(many)));
        assert_int_equal(r.out.len, 0);
        feed(&r, slice_of(event, (size_t)n));
        flush(&r);
        if (k % 2 == 0)
            assert_int_equal(r.out.len, kept + (size_t)n);
        assert_memory_equal(r.out.ptr, comment, strlen(comment));
        assert_memory_equal(r.out.ptr + r.out.len - n - 4, "\r\n\r\n", 4);
        assert_memory_equal(r.out.ptr + r.out.len - n, event, (size_t)n);
        run_end(&r);
    }
}

// An event bigger than the scratch that came in two spans is to be sent at once.
static void a_big_cut_event_is_urgent(void **state)
{
    size_t size = 3 * GATHER_SCRATCH;
    char *raw = malloc(size);
    struct run r;
    (void)state;
    memset(raw, 'x', size);
    memcpy(raw, "data: ", 6);
    memcpy(raw + size - 2, "\n\n", 2);
    run_begin(&r, false, "");
    feed(&r, SLICE("data: first\n\n"));
    feed(&r, slice_of(raw, size / 2));
    feed(&r, slice_of(raw + size / 2, size - size / 2));
    assert_int_equal(r.gather.count, 0); // flushed
    assert_int_equal(r.out.len, 13 + size);
    run_end(&r);
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_usage_means_equal_bytes),
        cmocka_unit_test(unasked_usage_means_one_event_less),
        cmocka_unit_test(half_a_line_end_follows_its_event),
        cmocka_unit_test(unified_events_carry_extra_fields),
        cmocka_unit_test(odd_events_are_spliced_or_pass),
        cmocka_unit_test(an_error_first_is_refused_later_it_passes),
        cmocka_unit_test(runs_hold_only_what_passes),
        cmocka_unit_test(neighbours_become_one_slice),
        cmocka_unit_test(usage_told_in_parts_is_whole_in_the_end),
        cmocka_unit_test(comments_in_front_wait_for_the_first_event),
        cmocka_unit_test(comments_in_front_are_bounded),
        cmocka_unit_test(a_big_cut_event_is_urgent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
