// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_chunks.c: canonical events become the chunks a client gets, for chat and for text.
//
// What every chunk repeats is written once, at the start, and copied from then on; a delta of text
// costs three copies. Usage is gathered and written behind the end, as OpenAI does, whenever the
// provider told it; who did not ask for it is spared the chunk by the gateway.
//
// Citations have no chunk (docs/translation.md); text completions have nothing but text.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/openai_internal.h"

// The states follow the order of canon.h.
enum phase { FRESH, BETWEEN, INSIDE, STOPPED, ENDED };

struct writing {
    enum phase phase;
    bool is_text;
    unsigned block; // index of the open block, or of the next one
    unsigned calls, thoughts;
    bool called;        // the open call has arguments
    struct slice frame; // `{"id":…,"choices":`
    struct canon_usage usage;
};

_Static_assert(sizeof(struct writing) <= CANON_STATE_BYTES, "the state fits its room");

// What a later usage does not name stays.
static void keep_usage(struct writing *st, const struct canon_usage *usage)
{
    struct canon_usage before = st->usage;

    if (!usage->known)
        return;
    st->usage = *usage;
    if (!usage->cached_known) {
        st->usage.cached_known = before.cached_known;
        st->usage.cached_read_tokens = before.cached_read_tokens;
        st->usage.cached_write_tokens = before.cached_write_tokens;
    }
    if (!usage->reasoning_known) {
        st->usage.reasoning_known = before.reasoning_known;
        st->usage.reasoning_tokens = before.reasoning_tokens;
    }
}

// ---- Chunks ------------------------------------------------------------------------------------

#define CHOICE     "[{\"index\":0,"
#define CHAT_BEGIN CHOICE "\"delta\":"
#define UNFINISHED ",\"logprobs\":null,\"finish_reason\":null}]}"

static void open_chunk(struct canon_writer *w, struct slice begin)
{
    const struct writing *st = (const struct writing *)w->state;
    canon_event_open(w->out, SLICE_EMPTY);
    json_plain(w->out, st->frame);
    json_plain(w->out, begin);
}

static void close_chunk(struct canon_writer *w, struct slice end)
{
    json_plain(w->out, end);
    canon_event_close(w->out);
}

// `{"member":text}`
static void write_delta(struct canon_writer *w, struct slice before, struct slice text)
{
    open_chunk(w, SLICE(CHAT_BEGIN "{"));
    json_plain(w->out, before);
    json_plain(w->out, text);
    close_chunk(w, SLICE("}" UNFINISHED));
}

static void write_finish(struct canon_writer *w, enum canon_stop stop)
{
    const struct writing *st = (const struct writing *)w->state;
    struct slice reason = openai__write_stop(stop);

    if (st->is_text && stop == CANON_STOP_TOOL)
        reason = SLICE("\"stop\"");
    open_chunk(w, st->is_text ? SLICE(CHOICE "\"text\":\"\",\"logprobs\":null,\"finish_reason\":")
                              : SLICE(CHAT_BEGIN "{},\"logprobs\":null,\"finish_reason\":"));
    json_plain(w->out, reason);
    close_chunk(w, SLICE("}]}"));
}

// ---- Start and end -----------------------------------------------------------------------------

static int write_start(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;
    struct canon_answer a = {
        .id = e->id,
        .model = e->model,
        .created_s = e->created_s,
    };
    struct json_writer frame;

    ASSERT(st->phase == FRESH);
    st->phase = BETWEEN;
    st->is_text = w->dialect == &dialect_openai_text;
    json_writer_init(&frame, w->arena, 0);
    json_object(&frame);
    openai__write_frame(&a, &w->context, &frame, st->is_text ? SLICE("cmpl-") : SLICE("chatcmpl-"),
                        st->is_text ? SLICE("text_completion") : SLICE("chat.completion.chunk"));
    json_member(&frame, SLICE("service_tier"), e->service_tier);
    json_member(&frame, SLICE("system_fingerprint"), e->system_fingerprint);
    json_key(&frame, SLICE("choices"));
    keep_usage(st, &e->usage);
    if (json_writer_done(&frame, &st->frame) != 0)
        return ERR_NOMEM;
    if (!st->is_text)
        write_delta(w, SLICE("\"role\":\"assistant\",\"content\":"), SLICE("\"\""));
    return 0;
}

static int write_stop(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;

    ASSERT(st->phase == BETWEEN);
    st->phase = STOPPED;
    write_finish(w, e->stop);
    return 0;
}

static int write_usage(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;

    ASSERT(st->phase != FRESH && st->phase != ENDED);
    keep_usage(st, &e->usage);
    return 0;
}

static int write_end(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;

    (void)e;
    ASSERT(st->phase == BETWEEN || st->phase == STOPPED);
    if (st->phase == BETWEEN)
        write_finish(w, CANON_STOP_END);
    st->phase = ENDED;
    if (st->usage.known) {
        open_chunk(w, SLICE("[],\"usage\":"));
        openai__write_usage(w->out, &st->usage);
        close_chunk(w, SLICE("}"));
    }
    canon_event_open(w->out, SLICE_EMPTY);
    close_chunk(w, SLICE("[DONE]"));
    return 0;
}

// ---- Blocks ------------------------------------------------------------------------------------

static void open_call(struct canon_writer *w, uint64_t index)
{
    open_chunk(w, SLICE(CHAT_BEGIN "{\"tool_calls\":[{\"index\":"));
    json_number(w->out, index);
}

static void begin_call(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;
    bool custom = e->tool == CANON_TOOL_CUSTOM;

    st->called = false;
    open_call(w, st->calls++);
    json_member(w->out, SLICE("id"), e->id);
    json_plain(w->out, custom ? SLICE(",\"type\":\"custom\",\"custom\":{")
                              : SLICE(",\"type\":\"function\",\"function\":{"));
    json_member(w->out, SLICE("name"), e->name);
    json_plain(w->out, custom ? SLICE(",\"input\":\"\"}}]}") : SLICE(",\"arguments\":\"\"}}]}"));
    close_chunk(w, SLICE(UNFINISHED));
}

static void write_call(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;
    bool custom = e->tool == CANON_TOOL_CUSTOM;

    st->called = true;
    open_call(w, st->calls - 1);
    json_plain(w->out,
               custom ? SLICE(",\"custom\":{\"input\":") : SLICE(",\"function\":{\"arguments\":"));
    json_plain(w->out, e->text);
    close_chunk(w, SLICE("}}]}" UNFINISHED));
}

// A piece of a thought: `before` names the member that holds it.
static void write_detail(struct canon_writer *w, struct slice kind, struct slice text)
{
    const struct writing *st = (const struct writing *)w->state;

    json_plain(w->out, SLICE("\"reasoning_details\":[{\"index\":"));
    json_number(w->out, st->thoughts - 1);
    json_plain(w->out, SLICE(",\"type\":"));
    json_plain(w->out, kind);
    json_plain(w->out, text);
    close_chunk(w, SLICE("}]}" UNFINISHED));
}

static void write_thought(struct canon_writer *w, const struct canon_event *e)
{
    open_chunk(w, SLICE(CHAT_BEGIN "{"));
    if (e->delta == CANON_DELTA_DATA) {
        write_detail(w, SLICE("\"reasoning.encrypted\",\"data\":"), e->text);
    } else if (e->delta == CANON_DELTA_SIGNATURE) {
        write_detail(w, SLICE("\"reasoning.text\",\"signature\":"), e->text);
    } else {
        json_plain(w->out, SLICE("\"reasoning\":"));
        json_plain(w->out, e->text);
        json_plain(w->out, SLICE(","));
        write_detail(w, SLICE("\"reasoning.text\",\"text\":"), e->text);
    }
}

static void write_logprobs(struct canon_writer *w, struct slice logprobs)
{
    bool list = slice_starts(logprobs, SLICE("[")); // of responses
    open_chunk(w, SLICE(CHAT_BEGIN "{},\"logprobs\":"));
    json_plain(w->out, list ? SLICE("{\"content\":") : SLICE_EMPTY);
    json_plain(w->out, logprobs);
    json_plain(w->out, list ? SLICE(",\"refusal\":null}") : SLICE_EMPTY);
    close_chunk(w, SLICE(",\"finish_reason\":null}]}"));
}

static void write_chat(struct canon_writer *w, const struct canon_event *e)
{
    switch (e->block) {
    case CANON_TEXT:
        if (e->delta == CANON_DELTA_TEXT)
            write_delta(w, SLICE("\"content\":"), e->text);
        else if (e->delta == CANON_DELTA_LOGPROBS)
            write_logprobs(w, e->text);
        return;
    case CANON_REFUSAL:
        if (e->delta == CANON_DELTA_TEXT)
            write_delta(w, SLICE("\"refusal\":"), e->text);
        return;
    case CANON_THINKING:
    case CANON_REDACTED_THINKING:
        write_thought(w, e);
        return;
    case CANON_TOOL_CALL:
        write_call(w, e);
        return;
    default: // nothing of it crosses
        return;
    }
}

static void write_text(struct canon_writer *w, const struct canon_event *e)
{
    if ((e->block != CANON_TEXT && e->block != CANON_REFUSAL) || e->delta != CANON_DELTA_TEXT)
        return;
    open_chunk(w, SLICE(CHOICE "\"text\":"));
    json_plain(w->out, e->text);
    close_chunk(w, SLICE(UNFINISHED));
}

static int begin_block(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;

    ASSERT(st->phase == BETWEEN && e->index == st->block);
    st->phase = INSIDE;
    if (e->block == CANON_THINKING || e->block == CANON_REDACTED_THINKING)
        st->thoughts++;
    if (e->block == CANON_TOOL_CALL && !st->is_text)
        begin_call(w, e);
    return 0;
}

static int write_piece(struct canon_writer *w, const struct canon_event *e)
{
    const struct writing *st = (const struct writing *)w->state;

    ASSERT(st->phase == INSIDE && e->index == st->block);
    if (literal_is_empty(e->text))
        return 0;
    if (st->is_text)
        write_text(w, e);
    else
        write_chat(w, e);
    return 0;
}

static int end_block(struct canon_writer *w, const struct canon_event *e)
{
    struct writing *st = (struct writing *)w->state;

    ASSERT(st->phase == INSIDE && e->index == st->block);
    st->phase = BETWEEN;
    st->block++;
    if (e->block == CANON_TOOL_CALL && e->tool != CANON_TOOL_CUSTOM && !st->called &&
        !st->is_text) {
        // No arguments are an empty object.
        struct canon_event none = *e;
        none.text = SLICE("\"{}\"");
        write_call(w, &none);
    }
    return 0;
}

int openai__write_event(struct canon_writer *w, const struct canon_event *e)
{
    static int (*const writers[])(struct canon_writer *, const struct canon_event *) = {
        [CANON_START] = write_start,       [CANON_BLOCK_START] = begin_block,
        [CANON_BLOCK_DELTA] = write_piece, [CANON_BLOCK_STOP] = end_block,
        [CANON_STOP] = write_stop,         [CANON_USAGE] = write_usage,
        [CANON_END] = write_end,
    };
    ASSERT(e->kind < ARRAY_LEN(writers));
    int rc = writers[e->kind](w, e);
    return rc ? rc : w->out->err;
}
