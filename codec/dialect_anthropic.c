// SPDX-License-Identifier: Apache-2.0
//
// dialect_anthropic.c: the wire formats of the Anthropic API: the rows, and how the native relay
// reads them. Their translating halves are in anthropic_*.c.
//
// Three rows: messages, the older text completions, and the counting of tokens. Every event names
// itself twice, in its `event:` line and in the data's `type`. The line decides; without one the
// data is walked. So a content delta costs the comparison of its name and nothing else.
//
// Usage comes in two events of a stream: message_start tells the input, message_delta the output so
// far and, with the newer models, the input again. Each gives the parts that it has and
// dialect_usage_update puts them together. What the caches had to do with is beside `input_tokens`
// here, and part of it in struct dialect_usage. Completions tell no usage at all.
//
// Counting tokens uses none: its answer is the count, and is not charged as usage.
//
// Sources: platform.claude.com/docs/en/api/messages, messages-count-tokens, complete;
// docs/en/build-with-claude/streaming.

#include "base/container.h"
#include "codec/anthropic_internal.h"

// ---- Members ---------------------------------------------------------------------------------

#define SHARED_MEMBERS                                                                             \
    [DIALECT_MODEL] = SLICE("model"), [DIALECT_STREAM] = SLICE("stream"),                          \
    [DIALECT_STREAM_OPTIONS] = SLICE("stream_options"), [DIALECT_FALLBACKS] = SLICE("fallbacks"),  \
    [DIALECT_SERVICE_TIER] = SLICE("service_tier")

// Messages and the counting of their tokens.
static const struct slice messages_members[DIALECT_MEMBER_COUNT] = {
    SHARED_MEMBERS,
    [DIALECT_INPUT] = SLICE("messages"),
    [DIALECT_TOKENS_LIMIT] = SLICE("max_tokens"),
    [DIALECT_TOKENS_LIMIT_OLD] = SLICE("max_completion_tokens"),
};

static const struct slice complete_members[DIALECT_MEMBER_COUNT] = {
    SHARED_MEMBERS,
    [DIALECT_INPUT] = SLICE("prompt"),
    [DIALECT_TOKENS_LIMIT] = SLICE("max_tokens_to_sample"),
    [DIALECT_TOKENS_LIMIT_OLD] = SLICE("max_tokens"),
};

// ---- Usage -----------------------------------------------------------------------------------

static void messages_answer_usage(struct slice text, struct dialect_usage *ret)
{
    static const struct slice names[] = {SLICE("usage")};
    struct json_scanner scan;
    struct dialect_usage parts = {0};

    *ret = (struct dialect_usage){0};
    if (json_scan(&scan, text, names, ARRAY_LEN(names), 0) == 0 &&
        scan.member[0].type == JSON_OBJECT)
        anthropic__read_usage_parts(scan.member[0].value, &parts);
    if (parts.known)
        dialect_usage_update(ret, &parts);
}

static void no_usage(struct slice text, struct dialect_usage *ret)
{
    (void)text;
    *ret = (struct dialect_usage){0};
}

// ---- Events ----------------------------------------------------------------------------------

// An event with data that looks like an object.
static bool begin_event(const struct sse_event *event, struct dialect_event *ret,
                        struct slice *ret_data)
{
    *ret = (struct dialect_event){.kind = DIALECT_EVENT_OTHER};
    if (!event->has_data)
        return false;
    struct slice data = literal_trim(event->data);
    if (data.len < 2 || data.ptr[0] != '{' || data.ptr[data.len - 1] != '}')
        return false;
    ret->is_object = true;
    *ret_data = data;
    return true;
}

// The name of an event: its line's, else the data's `type`, else what its members make of it; empty
// when it has none.
static struct slice event_name(const struct sse_event *event, struct slice data,
                               struct dialect_event *ret)
{
    enum { TYPE, ERROR, WANTED };
    static const struct slice names[WANTED] = {[TYPE] = SLICE("type"), [ERROR] = SLICE("error")};
    struct json_scanner scan;

    if (event->type.len > 0)
        return event->type;
    if (json_scan(&scan, data, names, WANTED, 0) != 0) {
        ret->is_object = false;
        return SLICE_EMPTY;
    }
    const struct json_member *m = scan.member;
    if (m[TYPE].type == JSON_STRING)
        return slice_of(m[TYPE].value.ptr + 1, m[TYPE].value.len - 2);
    return m[ERROR].type == JSON_OBJECT ? SLICE("error") : SLICE_EMPTY;
}

// `usage` of the data, or of its member `inside`.
static void walk_usage(struct slice data, struct slice inside, struct dialect_event *ret)
{
    const struct slice names[] = {inside};
    struct json_scanner scan;

    if (json_scan(&scan, data, names, ARRAY_LEN(names), 0) != 0) {
        ret->is_object = false;
        return;
    }
    struct json_member usage = scan.member[0];
    if (usage.type == JSON_OBJECT && slice_eq(inside, SLICE("message")))
        usage = json_object_get(usage.value, SLICE("usage"));
    if (usage.type == JSON_OBJECT)
        anthropic__read_usage_parts(usage.value, &ret->usage);
    ret->usage.opening = slice_eq(inside, SLICE("message"));
}

static void messages_event(const struct sse_event *event, struct dialect_event *ret)
{
    static const struct {
        struct slice name;
        enum dialect_event_kind kind;
        struct slice usage_in; // empty: there is none
    } kinds[] = {
        {SLICE("content_block_delta"), DIALECT_EVENT_DELTA, SLICE_EMPTY}, // most of them
        {SLICE("message_start"), DIALECT_EVENT_DELTA, SLICE("message")},
        {SLICE("message_delta"), DIALECT_EVENT_DELTA, SLICE("usage")},
        {SLICE("message_stop"), DIALECT_EVENT_END, SLICE_EMPTY},
        {SLICE("error"), DIALECT_EVENT_ERROR, SLICE_EMPTY},
        {SLICE("content_block_start"), DIALECT_EVENT_DELTA, SLICE_EMPTY},
        {SLICE("content_block_stop"), DIALECT_EVENT_DELTA, SLICE_EMPTY},
    };
    struct slice data;

    if (!begin_event(event, ret, &data))
        return;
    struct slice name = event_name(event, data, ret);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (slice_eq(name, kinds[i].name)) {
            ret->kind = kinds[i].kind;
            if (kinds[i].usage_in.len > 0)
                walk_usage(data, kinds[i].usage_in, ret);
            return;
        }
}

// The last completion says why it stopped; in the others stop_reason is null.
static void complete_event(const struct sse_event *event, struct dialect_event *ret)
{
    static const struct slice names[] = {SLICE("stop_reason")};
    struct json_scanner scan;
    struct slice data;

    if (!begin_event(event, ret, &data))
        return;
    struct slice name = event_name(event, data, ret);
    if (slice_eq(name, SLICE("error")))
        ret->kind = DIALECT_EVENT_ERROR;
    if (!slice_eq(name, SLICE("completion")))
        return;
    ret->kind = DIALECT_EVENT_DELTA;
    if (json_scan(&scan, data, names, ARRAY_LEN(names), 0) != 0)
        ret->is_object = false;
    else if (scan.member[0].type == JSON_STRING)
        ret->kind = DIALECT_EVENT_END;
}

static void no_event(const struct sse_event *event, struct dialect_event *ret)
{
    struct slice data;
    begin_event(event, ret, &data);
}

// ---- Rows ------------------------------------------------------------------------------------

static const struct dialect_translation messages_translation = {
    .read_request = anthropic__read_request,
    .write_request = anthropic__write_request,
    .read_answer = anthropic__read_answer,
    .write_answer = anthropic__write_answer,
    .read_event = anthropic__read_event,
    .write_event = anthropic__write_event,
};

static const struct dialect_translation count_translation = {
    .read_request = anthropic__read_count_request,
    .write_request = anthropic__write_count_request,
    .read_answer = anthropic__read_count,
    .write_answer = anthropic__write_count,
};

const struct dialect dialect_anthropic_messages = {
    .name = SLICE("anthropic_messages"),
    .members = messages_members,
    .streams = true,
    .named_events = true,
    .answer_usage = messages_answer_usage,
    .event = messages_event,
    .translation = &messages_translation,
};

const struct dialect dialect_anthropic_complete = {
    .name = SLICE("anthropic_complete"),
    .members = complete_members,
    .streams = true,
    .named_events = true,
    .answer_usage = no_usage,
    .event = complete_event,
    .translation = &anthropic__complete_translation,
};

const struct dialect dialect_anthropic_count_tokens = {
    .name = SLICE("anthropic_count_tokens"),
    .members = messages_members,
    .answer_usage = no_usage,
    .event = no_event,
    .translation = &count_translation,
};
