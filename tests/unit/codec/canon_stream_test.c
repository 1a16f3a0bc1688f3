// SPDX-License-Identifier: Apache-2.0
//
// canon_stream_test.c: what the translator itself promises, with two dialects of one letter each.
#include "codec/canon_stream.h"

#include "base/err.h"
#include "codec/dialect.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// Reads: each letter of the data is one canonical event.
static int read_letters(struct canon_reader *r, const struct sse_event *event,
                        struct canon_sink *sink)
{
    (void)r;
    for (size_t i = 0; i < event->data.len; i++) {
        struct canon_event e = {.kind = CANON_BLOCK_DELTA,
                                .text = slice_of(&event->data.ptr[i], 1)};
        if (event->data.ptr[i] == '.')
            e.kind = CANON_END;
        if (event->data.ptr[i] == '!') {
            e.kind = CANON_ERROR;
            e.error = (struct canon_error){.status = 529, .message = SLICE("overloaded")};
        }
        int rc = sink->take(sink, &e);
        if (rc)
            return rc;
    }
    return 0;
}

// Writes: a letter an event.
static int write_letter(struct canon_writer *w, const struct canon_event *e)
{
    canon_event_open(w->out, e->kind == CANON_END ? SLICE("end") : SLICE_EMPTY);
    json_plain(w->out, e->kind == CANON_END ? SLICE("END") : e->text);
    canon_event_close(w->out);
    return 0;
}

static const struct dialect_translation letters = {.read_event = read_letters,
                                                   .write_event = write_letter};
static const struct dialect dialect_letters = {.streams = true, .translation = &letters};

struct desk {
    struct block_pool pool;
    struct arena arena;
    struct canon_translator t;
    struct json_writer out;
};

static void desk_open(struct desk *d)
{
    struct canon_context context = {.now_s = 7};
    block_pool_init(&d->pool, 0);
    arena_init(&d->arena, &d->pool, 1 << 20);
    canon_translator_init(&d->t, &dialect_letters, &dialect_letters, &d->arena, &context);
    json_writer_init(&d->out, &d->arena, 0);
}

static void desk_close(struct desk *d)
{
    arena_done(&d->arena);
    block_pool_done(&d->pool);
}

static int feed(struct desk *d, const char *data)
{
    struct sse_event event = {.data = slice_str(data), .has_data = true};
    return canon_translate(&d->t, &event, &d->out);
}

static void expect(struct desk *d, const char *text)
{
    struct slice got;
    assert_int_equal(json_writer_done(&d->out, &got), 0);
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.ptr, text, got.len);
}

static void events_are_written_as_they_are_read(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    assert_int_equal(feed(&d, "ab"), 0);
    expect(&d, "data: a\n\ndata: b\n\n");
    assert_int_equal(feed(&d, ""), 0);
    assert_false(d.t.ended);
    assert_int_equal(feed(&d, "c."), 0);
    assert_true(d.t.ended);
    expect(&d, "data: a\n\ndata: b\n\ndata: c\n\nevent: end\ndata: END\n\n");
    desk_close(&d);
}

static void nothing_follows_the_end(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    assert_int_equal(feed(&d, "."), 0);
    assert_int_equal(feed(&d, "a"), ERR_BAD_SSE);
    expect(&d, "event: end\ndata: END\n\n");
    desk_close(&d);
}

static void an_error_is_kept_and_not_written(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d);
    assert_int_equal(feed(&d, "a!b"), ERR_UPSTREAM_PROTOCOL);
    expect(&d, "data: a\n\n");
    assert_true(d.t.failed);
    assert_int_equal(d.t.error.status, 529);
    assert_true(slice_eq(d.t.error.message, SLICE("overloaded")));
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_written_as_they_are_read),
        cmocka_unit_test(nothing_follows_the_end),
        cmocka_unit_test(an_error_is_kept_and_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
