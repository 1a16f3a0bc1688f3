// SPDX-License-Identifier: Apache-2.0
//
// anthropic_stream.c: canonical events become a client's events of messages. Called by
// canon_translate through the row.
//
//   START            message_start
//   BLOCK_START …    content_block_start, content_block_delta…, content_block_stop
//   STOP, USAGE      remembered
//   END              message_delta, message_stop
//
// The end of a message carries its stop and its usage in one event, and other dialects tell usage
// last, so that event waits for END. A block that has no place here (a search, what only its own
// dialect knows) is not written and takes no index. A redacted thought starts with its data.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

struct state {
    bool started;
    bool in_block; // a content_block_start was written, its stop not yet
    bool custom;   // the open block is a custom tool's call: its text goes into an object
    bool refused;  // some text was a refusal
    unsigned index;
    enum canon_stop stop;
    struct slice stop_sequence; // in the arena
    struct canon_usage usage;
};

_Static_assert(sizeof(struct state) <= CANON_STATE_BYTES, "a stream remembers no more");

static struct state *state_of(struct canon_writer *w)
{
    return (struct state *)(void *)w->state;
}

static void open_event(struct json_writer *out, struct slice type)
{
    canon_event_open(out, type);
    json_object(out);
    json_member_string(out, SLICE("type"), type);
}

static void close_event(struct json_writer *out)
{
    json_object_end(out);
    canon_event_close(out);
}

// ---- The frame ---------------------------------------------------------------------------------

static int on_start(struct canon_writer *w, const struct canon_event *e)
{
    struct json_writer *out = w->out;

    ASSERT(!state_of(w)->started);
    state_of(w)->started = true;
    state_of(w)->usage = e->usage;
    open_event(out, SLICE("message_start"));
    json_key(out, SLICE("message"));
    json_object(out);
    anthropic__write_frame(out, e->id, e->model, &w->context);
    json_member(out, SLICE("content"), SLICE("[]"));
    json_member(out, SLICE("stop_reason"), SLICE("null"));
    json_member(out, SLICE("stop_sequence"), SLICE("null"));
    anthropic__write_usage(out, &e->usage);
    json_object_end(out);
    close_event(out);
    return 0;
}

static int on_stop(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);

    s->stop = e->stop;
    if (e->stop_sequence.len == 0)
        return 0;
    s->stop_sequence = arena_copy(w->arena, e->stop_sequence);
    return s->stop_sequence.ptr ? 0 : ERR_NOMEM;
}

static int on_usage(struct canon_writer *w, const struct canon_event *e)
{
    state_of(w)->usage = e->usage;
    return 0;
}

static int on_end(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);
    struct json_writer *out = w->out;

    (void)e;
    ASSERT(s->started && !s->in_block);
    open_event(out, SLICE("message_delta"));
    json_key(out, SLICE("delta"));
    json_object(out);
    anthropic__write_stop(out, s->stop, s->stop_sequence, s->refused);
    json_object_end(out);
    anthropic__write_usage(out, &s->usage);
    close_event(out);
    open_event(out, SLICE("message_stop"));
    close_event(out);
    return 0;
}

// ---- Blocks ------------------------------------------------------------------------------------

static void open_block(struct canon_writer *w)
{
    state_of(w)->in_block = true;
    open_event(w->out, SLICE("content_block_start"));
    json_member_number(w->out, SLICE("index"), state_of(w)->index);
    json_key(w->out, SLICE("content_block"));
}

static void open_call(struct canon_writer *w, const struct canon_event *e)
{
    static const struct slice empty = SLICE("\"\"");

    state_of(w)->custom = e->tool == CANON_TOOL_CUSTOM;
    open_block(w);
    json_object(w->out);
    json_member(w->out, SLICE("type"), SLICE("\"tool_use\""));
    json_member(w->out, SLICE("id"), e->id.len > 0 ? e->id : empty);
    json_member(w->out, SLICE("name"), e->name.len > 0 ? e->name : empty);
    json_member(w->out, SLICE("input"), SLICE("{}"));
    json_object_end(w->out);
    close_event(w->out);
}

// The event of a delta is written whole, without the writer's book-keeping: it is what a stream
// consists of.
static void write_delta(struct canon_writer *w, struct slice type_and_name, struct slice literal)
{
    char index[20];
    size_t len = fmt_u64(index, state_of(w)->index);

    json_plain(w->out, SLICE("event: content_block_delta\n"
                             "data: {\"type\":\"content_block_delta\",\"index\":"));
    json_plain(w->out, slice_of(index, len));
    json_plain(w->out, SLICE(",\"delta\":{\"type\":"));
    json_plain(w->out, type_and_name);
    json_plain(w->out, literal);
    json_plain(w->out, SLICE("}}\n\n"));
}

#define INPUT_DELTA SLICE("\"input_json_delta\",\"partial_json\":")

// A custom tool's text is a string inside an object, the object's text a string again.
static int write_custom_delta(struct canon_writer *w, struct slice inner)
{
    struct json_writer text;
    struct slice literal;

    json_writer_init(&text, w->arena, inner.len + inner.len / 4 + 2);
    json_string(&text, inner);
    int rc = json_writer_done(&text, &literal);
    if (rc == 0)
        write_delta(w, INPUT_DELTA, literal);
    return rc;
}

static int on_block_start(struct canon_writer *w, const struct canon_event *e)
{
    static const struct slice blocks[CANON_BLOCK_KIND_COUNT] = {
        [CANON_TEXT] = SLICE("{\"type\":\"text\",\"text\":\"\"}"),
        [CANON_REFUSAL] = SLICE("{\"type\":\"text\",\"text\":\"\"}"),
        [CANON_THINKING] = SLICE("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"),
    };

    ASSERT(state_of(w)->started && !state_of(w)->in_block);
    state_of(w)->custom = false;
    state_of(w)->refused |= e->block == CANON_REFUSAL;
    if (e->block == CANON_TOOL_CALL) {
        open_call(w, e);
        return state_of(w)->custom ? write_custom_delta(w, SLICE("{\"input\":\"")) : 0;
    }
    if (blocks[e->block].len == 0)
        return 0;
    open_block(w);
    json_raw(w->out, blocks[e->block]);
    close_event(w->out);
    return 0;
}

static void start_redacted(struct canon_writer *w, struct slice data)
{
    open_block(w);
    json_object(w->out);
    json_member(w->out, SLICE("type"), SLICE("\"redacted_thinking\""));
    json_member(w->out, SLICE("data"), data);
    json_object_end(w->out);
    close_event(w->out);
}

static int on_text(struct canon_writer *w, const struct canon_event *e)
{
    static const struct slice deltas[CANON_BLOCK_KIND_COUNT] = {
        [CANON_TEXT] = SLICE("\"text_delta\",\"text\":"),
        [CANON_REFUSAL] = SLICE("\"text_delta\",\"text\":"),
        [CANON_THINKING] = SLICE("\"thinking_delta\",\"thinking\":"),
        [CANON_TOOL_CALL] = INPUT_DELTA,
    };

    if (state_of(w)->custom)
        return write_custom_delta(w, literal_inner(e->text));
    if (deltas[e->block].len > 0)
        write_delta(w, deltas[e->block], e->text);
    return 0;
}

static int on_block_delta(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);

    if (literal_is_empty(e->text))
        return 0;
    if (e->delta == CANON_DELTA_DATA && e->block == CANON_REDACTED_THINKING) {
        if (!s->in_block)
            start_redacted(w, e->text);
        return 0;
    }
    if (!s->in_block)
        return 0;
    if (e->delta == CANON_DELTA_TEXT)
        return on_text(w, e);
    if (e->delta == CANON_DELTA_SIGNATURE && e->block == CANON_THINKING)
        write_delta(w, SLICE("\"signature_delta\",\"signature\":"), e->text);
    return 0; // citations and probabilities of others have no place
}

static int on_block_stop(struct canon_writer *w, const struct canon_event *e)
{
    struct state *s = state_of(w);

    (void)e;
    if (!s->in_block)
        return 0;
    int rc = s->custom ? write_custom_delta(w, SLICE("\"}")) : 0;
    if (rc)
        return rc;
    open_event(w->out, SLICE("content_block_stop"));
    json_member_number(w->out, SLICE("index"), s->index);
    close_event(w->out);
    s->in_block = false;
    s->index++;
    return 0;
}

// ---- Events ------------------------------------------------------------------------------------

int anthropic__write_event(struct canon_writer *w, const struct canon_event *e)
{
    static int (*const on[])(struct canon_writer *, const struct canon_event *) = {
        [CANON_START] = on_start,
        [CANON_BLOCK_START] = on_block_start,
        [CANON_BLOCK_DELTA] = on_block_delta,
        [CANON_BLOCK_STOP] = on_block_stop,
        [CANON_STOP] = on_stop,
        [CANON_USAGE] = on_usage,
        [CANON_END] = on_end,
    };

    ASSERT(e->kind < ARRAY_LEN(on));
    int rc = on[e->kind](w, e);
    return rc ? rc : w->out->err;
}
