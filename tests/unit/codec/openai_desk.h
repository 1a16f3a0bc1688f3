// SPDX-License-Identifier: Apache-2.0
//
// openai_desk.h: what the tests of the OpenAI dialects share: texts with single quotes in place of
// double ones, canonical values written down as a line one can read, and a memory that runs out.
//
// A message is `user{text:'Hi'}`, an event `[0 call 'c1' 'f'`, ` '{}'`, `]`: see describe_.
#ifndef RINGGATE_TESTS_OPENAI_DESK_H
#define RINGGATE_TESTS_OPENAI_DESK_H

#include "base/err.h"
#include "codec/openai_internal.h"
#include "tests/unit/base/cm.h"
#include <stdio.h>

#define TEXT_BYTES 16384

struct desk {
    struct block_pool pool;
    struct arena arena;
    struct canon_request r;
    struct canon_answer a;
    struct json_writer w;
    char said[TEXT_BYTES]; // what was described, or written, with single quotes
    size_t len;
};

static inline void desk_open(struct desk *d, size_t bytes_max)
{
    memset(d, 0, sizeof(*d));
    block_pool_init(&d->pool, 0);
    arena_init(&d->arena, &d->pool, bytes_max);
    d->r.arena = &d->arena;
    d->a.arena = &d->arena;
    json_writer_init(&d->w, &d->arena, 0);
}

static inline void desk_close(struct desk *d)
{
    arena_done(&d->arena);
    block_pool_done(&d->pool);
}

// A copy with " for ', as long as the desk's arena.
static inline struct slice quoted(struct desk *d, const char *text)
{
    size_t len = strlen(text);
    char *copy = arena_bytes(&d->arena, len + 1);
    assert_non_null(copy);
    for (size_t i = 0; i <= len; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    return slice_of(copy, len);
}

static inline void say(struct desk *d, struct slice s)
{
    assert_true(d->len + s.len < TEXT_BYTES);
    for (size_t i = 0; i < s.len; i++)
        d->said[d->len++] = s.ptr[i] == '"' ? '\'' : s.ptr[i];
    d->said[d->len] = '\0';
}

static inline void say_member(struct desk *d, const char *name, struct slice value)
{
    if (value.len == 0)
        return;
    say(d, slice_str(name));
    say(d, value);
}

static inline void expect_said(struct desk *d, const char *text)
{
    assert_string_equal(d->said, text);
    d->len = 0;
    d->said[0] = '\0';
}

static inline void expect_written(struct desk *d, const char *text)
{
    struct slice got;
    assert_int_equal(json_writer_done(&d->w, &got), 0);
    say(d, got);
    expect_said(d, text);
}

// ---- Canonical values ---------------------------------------------------------------------------

static inline void describe_blocks(struct desk *d, const struct canon_block *b)
{
    static const char *const kinds[CANON_BLOCK_KIND_COUNT] = {
        [CANON_TEXT] = "text",          [CANON_REFUSAL] = "refusal",
        [CANON_IMAGE] = "image",        [CANON_FILE] = "file",
        [CANON_AUDIO] = "audio",        [CANON_THINKING] = "think",
        [CANON_TOOL_CALL] = "call",     [CANON_REDACTED_THINKING] = "sealed",
        [CANON_TOOL_RESULT] = "result", [CANON_WEB_SEARCH] = "search",
        [CANON_OPAQUE] = "opaque",
    };
    for (const struct canon_block *first = b; b; b = b->next) {
        say(d, b == first ? SLICE("") : SLICE(" "));
        say(d, slice_str(kinds[b->kind]));
        say_member(d, ":", b->text);
        say_member(d, " id:", b->id);
        say_member(d, " name:", b->name);
        if (b->kind == CANON_TOOL_CALL && b->tool == CANON_TOOL_CUSTOM)
            say(d, SLICE(" custom"));
        say_member(d, b->arguments_quoted ? " args:" : " object:", b->arguments);
        say_member(d, " sig:", b->signature);
        say_member(d, " url:", b->url);
        say_member(d, " type:", b->media_type);
        say_member(d, " data:", b->data);
        say_member(d, " file:", b->file_id);
        say_member(d, " detail:", b->detail);
        say_member(d, " cache:", b->cache_control);
        say_member(d, " cites:", b->citations);
        say_member(d, " raw:", b->raw);
        if (b->content) {
            say(d, SLICE(" ("));
            describe_blocks(d, b->content);
            say(d, SLICE(")"));
        }
    }
}

static inline void describe_messages(struct desk *d)
{
    static const char *const roles[] = {
        [CANON_SYSTEM] = "system",       [CANON_DEVELOPER] = "developer", [CANON_USER] = "user",
        [CANON_ASSISTANT] = "assistant", [CANON_TOOL] = "tool",
    };
    for (const struct canon_message *m = d->r.messages; m; m = m->next) {
        say(d, m == d->r.messages ? SLICE("") : SLICE(" "));
        say(d, slice_str(roles[m->role]));
        say_member(d, "@", m->name);
        say(d, m->plain ? SLICE("={") : SLICE("{"));
        describe_blocks(d, m->blocks);
        say(d, SLICE("}"));
    }
}

static inline void describe_dropped(struct desk *d)
{
    for (const struct canon_member *m = d->r.dropped; m; m = m->next) {
        say(d, m->name);
        say(d, m->next ? SLICE(",") : SLICE_EMPTY);
    }
}

// ---- Requests -----------------------------------------------------------------------------------

static inline int desk_read(struct desk *d, const struct dialect *dialect, const char *text)
{
    struct slice request = quoted(d, text);
    struct json_scanner scan;
    assert_int_equal(json_scan(&scan, request, NULL, 0, 0), 0);
    return dialect->translation->read_request(&d->r, request);
}

// Reads a chat request and writes it for a provider; `from` says which dialect it is to have come
// from. What was dropped follows behind a bar.
static inline int desk_rewrite(struct desk *d, const struct dialect *from, const struct dialect *to,
                               const char *text)
{
    assert_int_equal(desk_read(d, &dialect_openai_chat, text), 0);
    d->r.from = from;
    d->r.keep_thoughts = true; // the provider's the most that there is
    return to->translation->write_request(&d->r, SLICE("m"), &d->w);
}

static inline void expect_rewritten(const struct dialect *from, const char *text, const char *want)
{
    struct desk d;
    struct slice got;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_rewrite(&d, from, &dialect_openai_chat, text), 0);
    assert_int_equal(json_writer_done(&d.w, &got), 0);
    say(&d, got);
    if (d.r.dropped)
        say(&d, SLICE("|"));
    describe_dropped(&d);
    expect_said(&d, want);
    desk_close(&d);
}

static inline void expect_refused(const struct dialect *dialect, const char *text, int err,
                                  const char *param)
{
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_read(&d, dialect, text), err);
    say(&d, d.r.refusal.param);
    expect_said(&d, param);
    assert_true(d.r.refusal.message.len > 0);
    desk_close(&d);
}

#define STARVE_BYTES (8 * BLOCK_BYTES)

static inline size_t fill(struct desk *d, size_t pieces_max)
{
    size_t n = 0;
    desk_open(d, STARVE_BYTES);
    while (n < pieces_max && arena_alloc(&d->arena, 16))
        n++;
    return n;
}

// Runs `step` with more and more memory: it must say ERR_NOMEM, then succeed, and nothing else.
static inline void starve(int (*step)(struct desk *d))
{
    struct desk d;
    size_t pieces = fill(&d, SIZE_MAX);
    int rc = ERR_NOMEM;
    desk_close(&d);
    assert_true(pieces > 0);
    for (size_t left = 0; left <= pieces; left++) {
        fill(&d, pieces - left);
        rc = step(&d);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_true(rc == ERR_NOMEM || left > 0);
        desk_close(&d);
    }
    assert_int_equal(rc, 0);
}

// ---- Events -------------------------------------------------------------------------------------

struct stream_desk {
    struct desk d;
    struct canon_sink sink;
    struct canon_reader reader;
    struct canon_writer writer;
};

static inline void describe_event(struct desk *d, const struct canon_event *e)
{
    static const char *const blocks[CANON_BLOCK_KIND_COUNT] = {
        [CANON_TEXT] = "text",      [CANON_REFUSAL] = "refusal",
        [CANON_THINKING] = "think", [CANON_REDACTED_THINKING] = "sealed",
        [CANON_TOOL_CALL] = "call",
    };
    static const char *const deltas[] = {
        [CANON_DELTA_TEXT] = " ",
        [CANON_DELTA_SIGNATURE] = " sig:",
        [CANON_DELTA_DATA] = " data:",
        [CANON_DELTA_CITATION] = " cite:",
        [CANON_DELTA_LOGPROBS] = " logprobs:",
    };
    static const char *const stops[CANON_STOP_COUNT] = {
        "unset", "end", "sequence", "length", "tool", "filter", "pause", "context",
    };
    char text[256];
    switch (e->kind) {
    case CANON_START:
        snprintf(text, sizeof(text), "start(%.*s,%.*s,%llu)", SLICE_ARG(e->id), SLICE_ARG(e->model),
                 (unsigned long long)e->created_s);
        break;
    case CANON_BLOCK_START:
        snprintf(text, sizeof(text), " [%u %s%s", e->index, blocks[e->block],
                 e->block == CANON_TOOL_CALL && e->tool == CANON_TOOL_CUSTOM ? " custom" : "");
        say(d, slice_str(text));
        say_member(d, " ", e->id);
        say_member(d, " ", e->name);
        return;
    case CANON_BLOCK_DELTA:
        say(d, slice_str(deltas[e->delta]));
        say(d, e->text);
        return;
    case CANON_BLOCK_STOP:
        snprintf(text, sizeof(text), "]");
        break;
    case CANON_STOP:
        snprintf(text, sizeof(text), " stop:%s", stops[e->stop]);
        break;
    case CANON_USAGE:
        snprintf(text, sizeof(text), " usage:%llu/%llu", (unsigned long long)e->usage.input_tokens,
                 (unsigned long long)e->usage.output_tokens);
        break;
    case CANON_END:
        snprintf(text, sizeof(text), " end");
        break;
    case CANON_ERROR:
        snprintf(text, sizeof(text), " error:%u/%.*s/%.*s/%.*s", e->error.status,
                 SLICE_ARG(e->error.type), SLICE_ARG(e->error.code), SLICE_ARG(e->error.message));
        break;
    }
    say(d, slice_str(text));
}

static inline int take_event(struct canon_sink *self, const struct canon_event *e)
{
    struct stream_desk *s =
        (struct stream_desk *)((char *)self - offsetof(struct stream_desk, sink));
    describe_event(&s->d, e);
    return 0;
}

static inline void stream_open(struct stream_desk *s, const struct dialect *dialect)
{
    memset(s, 0, sizeof(*s));
    desk_open(&s->d, 1 << 20);
    s->sink.take = take_event;
    s->reader.dialect = dialect;
    s->reader.arena = &s->d.arena;
    s->writer.dialect = dialect;
    s->writer.arena = &s->d.arena;
    s->writer.context =
        (struct canon_context){.now_s = 7, .model = SLICE("sent-model"), .id = SLICE("req-1")};
    s->writer.out = &s->d.w;
}

static inline void stream_close(struct stream_desk *s)
{
    desk_close(&s->d);
}

static inline int stream_feed(struct stream_desk *s, const char *data)
{
    struct sse_event event = {.data = quoted(&s->d, data), .has_data = true};
    return s->reader.dialect->translation->read_event(&s->reader, &event, &s->sink);
}

// What a chunk with this delta gives.
static inline int stream_delta(struct stream_desk *s, const char *delta)
{
    char text[2048];
    snprintf(text, sizeof(text),
             "{'id':'x','model':'m','created':1,'choices':[{'index':0,"
             "'delta':%s,'finish_reason':null}]}",
             delta);
    return stream_feed(s, text);
}

#endif
