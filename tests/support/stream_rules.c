// SPDX-License-Identifier: Apache-2.0
//
// stream_rules.c: see stream_rules.h. One walk over the events, and a small machine for chat and
// one for messages; responses have a file of their own.
#include "tests/support/stream_rules.h"
#include "tests/support/stream_walk.h"

#include "base/container.h"
#include "base/err.h"
#include "codec/sse.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// ---- Walk ---------------------------------------------------------------------------------------

bool stream_broke(struct stream_walk *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->verdict->why, sizeof(w->verdict->why), format, args);
    va_end(args);
    return false;
}

const char *stream_str(yyjson_val *object, const char *name)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, name));
    return text ? text : "";
}

bool stream_null(yyjson_val *object, const char *name)
{
    yyjson_val *value = yyjson_obj_get(object, name);
    return !value || yyjson_is_null(value);
}

void stream_add(struct buf *text, yyjson_val *piece)
{
    if (yyjson_is_str(piece))
        buf_add(text, slice_of(yyjson_get_str(piece), yyjson_get_len(piece)));
}

bool stream_text_is(const struct buf *text, yyjson_val *value)
{
    return yyjson_is_str(value) &&
           slice_eq(buf_slice(text), slice_of(yyjson_get_str(value), yyjson_get_len(value)));
}

// A call's arguments, put together, are an object; nothing at all is for the dialect to allow.
static bool is_object(const struct buf *text)
{
    yyjson_doc *doc = yyjson_read(text->ptr, text->len, 0);
    bool is = doc && yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return is;
}

static bool walk_event(struct stream_walk *w, const struct sse_event *event)
{
    struct stream_event e = {.type = event->type};
    if (!event->has_data)
        return event->type.len == 0 || stream_broke(w, "an event without data");
    if (sse_is_done_marker(event->data)) {
        e.marker = true;
        return w->step(w, &e);
    }
    yyjson_doc *doc = yyjson_read(event->data.ptr, event->data.len, 0);
    e.data = doc ? yyjson_doc_get_root(doc) : NULL;
    e.name = stream_str(e.data, "type");
    bool legal;
    if (!yyjson_is_obj(e.data))
        legal = stream_broke(w, "the data is no object");
    else if (w->named && !slice_eq(event->type, slice_str(e.name)))
        legal = stream_broke(w, "the event line says %.*s, the data %s", SLICE_ARG(event->type),
                             e.name);
    else if (!w->named && event->type.len > 0)
        legal = stream_broke(w, "an event line");
    else
        legal = w->step(w, &e);
    yyjson_doc_free(doc);
    return legal;
}

bool stream_walk(struct stream_walk *w, struct slice text, bool whole)
{
    struct sse_splitter splitter;
    struct sse_event event;
    bool legal = true;
    sse_init(&splitter);
    sse_feed(&splitter, text);
    while (legal && sse_next(&splitter, &event) == 0) {
        legal = walk_event(w, &event);
        w->verdict->event += legal;
    }
    if (legal && sse_partial(&splitter))
        legal = stream_broke(w, "half an event");
    if (legal && whole && !w->ended)
        legal = stream_broke(w, "it does not end as it must");
    sse_done(&splitter);
    return legal;
}

// ---- Chat ---------------------------------------------------------------------------------------

//   ROLE ──first chunk──► OPEN ──finish_reason──► FINISHED ──usage──► COUNTED ──[DONE]──► ended
//                                                     └────────────[DONE]──────────────────┘
enum chat_phase { CHAT_ROLE, CHAT_OPEN, CHAT_FINISHED, CHAT_COUNTED };

struct chat {
    struct stream_walk walk;
    enum chat_phase phase;
    char id[16384], model[16384];
    uint64_t created;
    unsigned calls;
    struct buf arguments; // of the last call
    bool arguments_bad;   // of one of the calls
};

static void chat_close_call(struct chat *c)
{
    if (c->calls > 0 && !is_object(&c->arguments))
        c->arguments_bad = true;
    buf_reset(&c->arguments);
}

static bool chat_call(struct chat *c, yyjson_val *call)
{
    yyjson_val *function = yyjson_obj_get(call, "function");
    uint64_t index = yyjson_get_uint(yyjson_obj_get(call, "index"));
    bool has_head = stream_str(call, "id")[0] && stream_str(function, "name")[0];
    bool has_some = yyjson_obj_get(call, "id") || yyjson_obj_get(function, "name");

    if (!yyjson_is_uint(yyjson_obj_get(call, "index")))
        return stream_broke(&c->walk, "a call without index");
    if (index == c->calls) {
        chat_close_call(c);
        c->calls++;
        if (!has_head || strcmp(stream_str(call, "type"), "function") != 0)
            return stream_broke(&c->walk, "a call begins without id, type and name");
    } else if (index + 1 != c->calls) {
        return stream_broke(&c->walk, "a piece for a call that is not the last");
    } else if (has_some) {
        return stream_broke(&c->walk, "a call begins twice");
    }
    stream_add(&c->arguments, yyjson_obj_get(function, "arguments"));
    return true;
}

static bool chat_finish(struct chat *c, const char *reason)
{
    bool cut = strcmp(reason, "length") == 0 || strcmp(reason, "content_filter") == 0;
    chat_close_call(c);
    if (c->arguments_bad && !cut)
        return stream_broke(&c->walk, "arguments that are no object");
    if (strcmp(reason, "tool_calls") == 0 && c->calls == 0)
        return stream_broke(&c->walk, "tool_calls without a call");
    c->phase = CHAT_FINISHED;
    return true;
}

static bool chat_choice(struct chat *c, yyjson_val *choice)
{
    yyjson_val *delta = yyjson_obj_get(choice, "delta");
    if (c->phase >= CHAT_FINISHED)
        return stream_broke(&c->walk, "a choice behind finish_reason");
    if (yyjson_get_uint(yyjson_obj_get(choice, "index")) != 0 || !yyjson_is_obj(delta))
        return stream_broke(&c->walk, "a choice that is not the first, or without delta");
    bool has_role = strcmp(stream_str(delta, "role"), "assistant") == 0;
    if (has_role != (c->phase == CHAT_ROLE))
        return stream_broke(&c->walk, "the role is in the first chunk and in no other");
    c->phase = CHAT_OPEN;
    yyjson_val *call;
    yyjson_arr_iter calls = yyjson_arr_iter_with(yyjson_obj_get(delta, "tool_calls"));
    while ((call = yyjson_arr_iter_next(&calls))) {
        if (!chat_call(c, call))
            return false;
    }
    if (!stream_null(choice, "finish_reason"))
        return chat_finish(c, stream_str(choice, "finish_reason"));
    return true;
}

// Every chunk of a stream bears the same id, model and time.
static bool chat_frame(struct chat *c, yyjson_val *chunk)
{
    uint64_t created = yyjson_get_uint(yyjson_obj_get(chunk, "created"));
    if (strcmp(stream_str(chunk, "object"), "chat.completion.chunk") != 0)
        return stream_broke(&c->walk, "an object that is no chunk");
    if (c->phase == CHAT_ROLE) {
        snprintf(c->id, sizeof(c->id), "%s", stream_str(chunk, "id"));
        snprintf(c->model, sizeof(c->model), "%s", stream_str(chunk, "model"));
        c->created = created;
    }
    if (!c->id[0] || !c->model[0] || created == 0)
        return stream_broke(&c->walk, "a chunk without id, model or time");
    if (strcmp(c->id, stream_str(chunk, "id")) != 0 || created != c->created ||
        strcmp(c->model, stream_str(chunk, "model")) != 0)
        return stream_broke(&c->walk, "id, model or time differ from the first chunk's");
    return true;
}

static bool chat_step(struct stream_walk *w, const struct stream_event *e)
{
    struct chat *c = container_of(w, struct chat, walk);
    if (w->ended)
        return stream_broke(w, "something behind [DONE]");
    if (e->marker) {
        w->ended = true;
        return c->phase >= CHAT_FINISHED || stream_broke(w, "[DONE] before finish_reason");
    }
    if (!chat_frame(c, e->data))
        return false;
    yyjson_val *choices = yyjson_obj_get(e->data, "choices");
    if (!yyjson_is_arr(choices) || yyjson_arr_size(choices) > 1)
        return stream_broke(w, "choices are no array of one or none");
    if (yyjson_arr_size(choices) == 1) {
        if (!stream_null(e->data, "usage"))
            return stream_broke(w, "usage beside a choice");
        return chat_choice(c, yyjson_arr_get_first(choices));
    }
    if (c->phase != CHAT_FINISHED)
        return stream_broke(w, "usage comes once, behind finish_reason");
    if (!yyjson_is_obj(yyjson_obj_get(e->data, "usage")))
        return stream_broke(w, "a chunk without a choice and without usage");
    c->phase = CHAT_COUNTED;
    return true;
}

bool stream_rules_chat(struct slice text, bool whole, struct stream_verdict *ret)
{
    struct chat c = {.walk = {.step = chat_step, .verdict = ret}};
    *ret = (struct stream_verdict){0};
    buf_init(&c.arguments, STREAM_TEXT_MAX);
    bool legal = stream_walk(&c.walk, text, whole);
    buf_done(&c.arguments);
    return legal;
}

// ---- Messages -----------------------------------------------------------------------------------

//   NEW ──message_start──► OPEN ──message_delta──► CLOSED ──message_stop──► ended
//                          │  ▲
//       content_block_start ▼  │ content_block_stop
//                         BLOCK ──content_block_delta──► BLOCK
enum messages_phase { MESSAGES_NEW, MESSAGES_OPEN, MESSAGES_BLOCK, MESSAGES_CLOSED };

struct messages {
    struct stream_walk walk;
    enum messages_phase phase;
    uint64_t blocks; // begun
    char block[64];  // type of the open one
    bool is_signed;
    struct buf input;
    bool input_bad;
};

// Which deltas a block takes; of other blocks none.
static const char *const block_deltas[][2] = {
    {"text", "text_delta"},           {"text", "citations_delta"},
    {"thinking", "thinking_delta"},   {"thinking", "signature_delta"},
    {"tool_use", "input_json_delta"}, {"server_tool_use", "input_json_delta"},
};

static bool messages_start(struct messages *m, yyjson_val *data)
{
    yyjson_val *message = yyjson_obj_get(data, "message");
    if (m->phase != MESSAGES_NEW)
        return stream_broke(&m->walk, "message_start twice");
    if (yyjson_arr_size(yyjson_obj_get(message, "content")) != 0 ||
        !yyjson_is_null(yyjson_obj_get(message, "stop_reason")))
        return stream_broke(&m->walk, "a message that starts with content or a stop_reason");
    m->phase = MESSAGES_OPEN;
    return true;
}

static bool messages_block_start(struct messages *m, yyjson_val *data)
{
    yyjson_val *block = yyjson_obj_get(data, "content_block");
    if (m->phase != MESSAGES_OPEN)
        return stream_broke(&m->walk, "a block begins in another, or behind message_delta");
    if (yyjson_get_uint(yyjson_obj_get(data, "index")) != m->blocks)
        return stream_broke(&m->walk, "block indices do not rise by one from 0");
    if (stream_str(block, "text")[0] || stream_str(block, "thinking")[0] ||
        yyjson_obj_size(yyjson_obj_get(block, "input")) != 0)
        return stream_broke(&m->walk, "a block that starts with content");
    m->blocks++;
    m->phase = MESSAGES_BLOCK;
    m->is_signed = false;
    snprintf(m->block, sizeof(m->block), "%s", stream_str(block, "type"));
    buf_reset(&m->input);
    return true;
}

static bool messages_block_delta(struct messages *m, yyjson_val *data)
{
    yyjson_val *delta = yyjson_obj_get(data, "delta");
    const char *type = stream_str(delta, "type");
    bool fits = false;
    if (m->phase != MESSAGES_BLOCK ||
        yyjson_get_uint(yyjson_obj_get(data, "index")) + 1 != m->blocks)
        return stream_broke(&m->walk, "a delta of a block that is not open");
    for (size_t i = 0; i < sizeof(block_deltas) / sizeof(block_deltas[0]); i++)
        fits |= strcmp(block_deltas[i][0], m->block) == 0 && strcmp(block_deltas[i][1], type) == 0;
    if (!fits)
        return stream_broke(&m->walk, "a %s in a %s block", type, m->block);
    if (m->is_signed)
        return stream_broke(&m->walk, "a thought goes on behind its signature");
    m->is_signed = strcmp(type, "signature_delta") == 0;
    stream_add(&m->input, yyjson_obj_get(delta, "partial_json"));
    return true;
}

static bool messages_block_stop(struct messages *m, yyjson_val *data)
{
    if (m->phase != MESSAGES_BLOCK ||
        yyjson_get_uint(yyjson_obj_get(data, "index")) + 1 != m->blocks)
        return stream_broke(&m->walk, "a block stops that is not open");
    if (m->input.len > 0 && !is_object(&m->input))
        m->input_bad = true;
    m->phase = MESSAGES_OPEN;
    return true;
}

static bool messages_delta(struct messages *m, yyjson_val *data)
{
    const char *reason = stream_str(yyjson_obj_get(data, "delta"), "stop_reason");
    yyjson_val *usage = yyjson_obj_get(data, "usage");
    bool cut = strcmp(reason, "max_tokens") == 0 || strcmp(reason, "refusal") == 0 ||
               strcmp(reason, "model_context_window_exceeded") == 0;
    if (m->phase != MESSAGES_OPEN)
        return stream_broke(&m->walk, "message_delta twice, or in a block");
    if (!reason[0] || !yyjson_is_uint(yyjson_obj_get(usage, "output_tokens")))
        return stream_broke(&m->walk, "message_delta without stop_reason or output_tokens");
    if (m->input_bad && !cut)
        return stream_broke(&m->walk, "an input that is no object");
    m->phase = MESSAGES_CLOSED;
    return true;
}

static bool messages_stop(struct messages *m, yyjson_val *data)
{
    (void)data;
    if (m->phase != MESSAGES_CLOSED)
        return stream_broke(&m->walk, "message_stop before message_delta");
    m->walk.ended = true;
    return true;
}

static const struct {
    const char *name;
    bool (*step)(struct messages *m, yyjson_val *data);
} messages_steps[] = {
    {"message_start", messages_start},
    {"content_block_start", messages_block_start},
    {"content_block_delta", messages_block_delta},
    {"content_block_stop", messages_block_stop},
    {"message_delta", messages_delta},
    {"message_stop", messages_stop},
};

static bool messages_step(struct stream_walk *w, const struct stream_event *e)
{
    struct messages *m = container_of(w, struct messages, walk);
    if (w->ended)
        return stream_broke(w, "something behind message_stop");
    if (e->marker)
        return stream_broke(w, "[DONE] in a dialect without it");
    if (m->phase == MESSAGES_NEW && strcmp(e->name, "message_start") != 0)
        return stream_broke(w, "it does not begin with message_start");
    if (strcmp(e->name, "ping") == 0)
        return true;
    for (size_t i = 0; i < sizeof(messages_steps) / sizeof(messages_steps[0]); i++) {
        if (strcmp(messages_steps[i].name, e->name) == 0)
            return messages_steps[i].step(m, e->data);
    }
    return stream_broke(w, "an event named %s", e->name);
}

bool stream_rules_messages(struct slice text, bool whole, struct stream_verdict *ret)
{
    struct messages m = {.walk = {.named = true, .step = messages_step, .verdict = ret}};
    *ret = (struct stream_verdict){0};
    buf_init(&m.input, STREAM_TEXT_MAX);
    bool legal = stream_walk(&m.walk, text, whole);
    buf_done(&m.input);
    return legal;
}
