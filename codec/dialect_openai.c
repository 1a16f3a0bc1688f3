// SPDX-License-Identifier: Apache-2.0
//
// dialect_openai.c: the wire formats of the OpenAI API, as the native relay reads them; how they
// are translated is in openai_*.c, the rows at the end join both.
//
// Five rows: chat completions, text completions, embeddings, responses and the count of their input
// tokens. What a row must find in an event (an empty `choices` with usage, an error, the end) is
// rare, so an event is first searched for the few words that could announce it and walked as JSON
// only when one of them is there. An ordinary delta costs one look for a quote with a `u` or an `e`
// behind it. A word inside a content string triggers a walk and nothing else: the walk decides.
//
// Usage is one shape under two sets of names (chat: prompt/completion, responses: input/output);
// one table reads both. Numbers that are absent or no integers are left at 0; nothing is invented.
//
// Sources: platform.openai.com/docs/api-reference, chat/streaming, responses-streaming.

#include "base/container.h"
#include "codec/dialect.h"
#include "codec/json_scan.h"
#include "codec/lanes.h"
#include "codec/openai_internal.h"
#include "codec/openai_responses_internal.h"

#include <stddef.h>

#include <stdlib.h>

// ---- Members ---------------------------------------------------------------------------------

#define SHARED_MEMBERS                                                                             \
    [DIALECT_MODEL] = SLICE("model"), [DIALECT_STREAM] = SLICE("stream"),                          \
    [DIALECT_STREAM_OPTIONS] = SLICE("stream_options"), [DIALECT_FALLBACKS] = SLICE("fallbacks"),  \
    [DIALECT_TOKENS_LIMIT_OLD] = SLICE("max_tokens"),                                              \
    [DIALECT_SERVICE_TIER] = SLICE("service_tier")

static const struct slice chat_members[DIALECT_MEMBER_COUNT] = {
    SHARED_MEMBERS,
    [DIALECT_INPUT] = SLICE("messages"),
    [DIALECT_TOKENS_LIMIT] = SLICE("max_completion_tokens"),
};

static const struct slice text_members[DIALECT_MEMBER_COUNT] = {
    SHARED_MEMBERS,
    [DIALECT_INPUT] = SLICE("prompt"),
    [DIALECT_TOKENS_LIMIT] = SLICE("max_completion_tokens"),
};

// Embeddings and responses.
static const struct slice input_members[DIALECT_MEMBER_COUNT] = {
    SHARED_MEMBERS,
    [DIALECT_INPUT] = SLICE("input"),
    [DIALECT_TOKENS_LIMIT] = SLICE("max_output_tokens"),
};

// ---- Usage -----------------------------------------------------------------------------------

struct number_name {
    struct slice name; // with quotes, as a member's key is given
    size_t offset;
    bool makes_known;
};

static const struct number_name usage_numbers[] = {
    {SLICE("\"prompt_tokens\""), offsetof(struct dialect_usage, input_tokens), true},
    {SLICE("\"input_tokens\""), offsetof(struct dialect_usage, input_tokens), true},
    {SLICE("\"completion_tokens\""), offsetof(struct dialect_usage, output_tokens), true},
    {SLICE("\"output_tokens\""), offsetof(struct dialect_usage, output_tokens), true},
    {SLICE("\"total_tokens\""), offsetof(struct dialect_usage, total_tokens), true},
    {SLICE("\"num_search_queries\""), offsetof(struct dialect_usage, searches), false},
};

static const struct number_name input_numbers[] = {
    {SLICE("\"cached_tokens\""), offsetof(struct dialect_usage, cached_read_tokens), false},
    {SLICE("\"cached_read_tokens\""), offsetof(struct dialect_usage, cached_read_tokens), false},
    {SLICE("\"cache_write_tokens\""), offsetof(struct dialect_usage, cached_write_tokens), false},
    {SLICE("\"cached_write_tokens\""), offsetof(struct dialect_usage, cached_write_tokens), false},
    {SLICE("\"audio_tokens\""), offsetof(struct dialect_usage, input_audio_tokens), false},
};

static const struct number_name output_numbers[] = {
    {SLICE("\"audio_tokens\""), offsetof(struct dialect_usage, output_audio_tokens), false},
    {SLICE("\"num_search_queries\""), offsetof(struct dialect_usage, searches), false},
};

// Objects inside usage.
static const struct {
    struct slice name; // with quotes
    const struct number_name *numbers;
    size_t count;
} details[] = {
    {SLICE("\"prompt_tokens_details\""), input_numbers, ARRAY_LEN(input_numbers)},
    {SLICE("\"input_tokens_details\""), input_numbers, ARRAY_LEN(input_numbers)},
    {SLICE("\"completion_tokens_details\""), output_numbers, ARRAY_LEN(output_numbers)},
    {SLICE("\"output_tokens_details\""), output_numbers, ARRAY_LEN(output_numbers)},
};

static void read_number(const struct json_member *m, const struct number_name *names, size_t count,
                        struct dialect_usage *ret)
{
    uint64_t value;
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq(m->key, names[i].name))
            continue;
        if (dialect_tokens(m->value, &value) == 0) {
            memcpy((char *)ret + names[i].offset, &value, sizeof(value));
            ret->known |= names[i].makes_known;
        }
        return;
    }
}

// OpenRouter: {"cost":0.00014}; Perplexity: {"cost":{"total_cost":0.006}}.
static double read_dollars(const struct json_member *m)
{
    struct slice number = m->value;
    char text[32];

    if (m->type == JSON_OBJECT) {
        struct json_member total = json_object_get(m->value, SLICE("total_cost"));
        if (total.type != JSON_NUMBER)
            return 0;
        number = total.value;
    } else if (m->type != JSON_NUMBER) {
        return 0;
    }
    if (number.len >= sizeof(text))
        return 0;
    memcpy(text, number.ptr, number.len);
    text[number.len] = '\0';
    double dollars = strtod(text, NULL);
    return dollars > 0 ? dollars : 0;
}

static void read_details(const struct json_member *m, struct dialect_usage *ret)
{
    struct json_member detail;
    for (size_t i = 0; m->type == JSON_OBJECT && i < ARRAY_LEN(details); i++) {
        if (!slice_eq(m->key, details[i].name))
            continue;
        for (size_t at = 0; json_object_next(m->value, &at, &detail);)
            read_number(&detail, details[i].numbers, details[i].count, ret);
    }
}

// `value` is a usage object inside a text that has been scanned; `tier` the service_tier beside it.
static void read_usage(struct slice value, const struct json_member *tier,
                       struct dialect_usage *ret)
{
    struct json_member m;

    for (size_t at = 0; json_object_next(value, &at, &m);) {
        if (slice_eq(m.key, SLICE("\"cost\"")))
            ret->dollars = read_dollars(&m);
        read_number(&m, usage_numbers, ARRAY_LEN(usage_numbers), ret);
        read_details(&m, ret);
    }
    if (tier->type == JSON_STRING)
        ret->tier = dialect_tier(tier->value);
}

static void answer_usage(struct slice text, struct dialect_usage *ret)
{
    static const struct slice names[] = {SLICE("usage"), SLICE("service_tier")};
    struct json_scanner scan;

    *ret = (struct dialect_usage){0};
    if (json_scan(&scan, text, names, ARRAY_LEN(names), 0) == 0 &&
        scan.member[0].type == JSON_OBJECT)
        read_usage(scan.member[0].value, &scan.member[1], ret);
}

// ---- Events ----------------------------------------------------------------------------------

// Is there a member `usage` or `error` that is not null, at whatever depth? Some vendors write
// `"usage":null` into every event; inside a string the quotes would be escaped.
static bool announces(struct slice data)
{
    static const struct slice words[] = {SLICE("\"usage\""), SLICE("\"error\"")};
    const char *end = data.ptr + data.len;
    const char *p = data.ptr;

    while ((p = lanes_find_pair(p, end, '"', 'u', 'e')) < end) {
        struct slice rest = slice_of(p, (size_t)(end - p));
        p++;
        bool error = slice_starts(rest, words[1]);
        if (!error && !slice_starts(rest, words[0]))
            continue;
        rest = slice_skip(rest, words[0].len);
        while (rest.len > 0 && (unsigned char)rest.ptr[0] <= ' ')
            rest = slice_skip(rest, 1);
        if (!slice_starts(rest, SLICE(":"))) {
            if (error) // a value: {"object":"error"}
                return true;
            continue;
        }
        do {
            rest = slice_skip(rest, 1);
        } while (rest.len > 0 && (unsigned char)rest.ptr[0] <= ' ');
        if (!slice_starts(rest, SLICE("null")))
            return true;
    }
    return false;
}

// An event with data that looks like an object; false for the end marker and everything else,
// whose kind is then set.
static bool begin_event(const struct sse_event *event, struct dialect_event *ret,
                        struct slice *ret_data)
{
    *ret = (struct dialect_event){.kind = DIALECT_EVENT_OTHER};
    if (!event->has_data)
        return false;
    struct slice data = literal_trim(event->data);
    if (sse_is_done_marker(data)) {
        ret->kind = DIALECT_EVENT_END;
        return false;
    }
    if (data.len < 2 || data.ptr[0] != '{' || data.ptr[data.len - 1] != '}')
        return false;
    ret->is_object = true;
    ret->kind = DIALECT_EVENT_DELTA;
    *ret_data = data;
    return true;
}

static bool is_empty_array(const struct json_member *m)
{
    size_t at = 0;
    enum json_type type;
    struct slice element;
    return m->type == JSON_ARRAY && !json_array_next(m->value, &at, &type, &element);
}

// The rare event that holds one of the words: what is it really?
static void walk_chat_event(struct slice data, struct dialect_event *ret)
{
    enum { CHOICES, USAGE, ERROR, OBJECT, TIER, WANTED };
    static const struct slice names[WANTED] = {
        [CHOICES] = SLICE("choices"), [USAGE] = SLICE("usage"),       [ERROR] = SLICE("error"),
        [OBJECT] = SLICE("object"),   [TIER] = SLICE("service_tier"),
    };
    struct json_scanner scan;

    if (json_scan(&scan, data, names, WANTED, 0) != 0) {
        ret->is_object = false;
        return;
    }
    const struct json_member *m = scan.member;
    if (m[USAGE].type == JSON_OBJECT)
        read_usage(m[USAGE].value, &m[TIER], &ret->usage);
    if (m[ERROR].type == JSON_OBJECT || (m[ERROR].type == JSON_STRING && m[ERROR].value.len > 2) ||
        (m[OBJECT].type == JSON_STRING && slice_eq(m[OBJECT].value, SLICE("\"error\""))))
        ret->kind = DIALECT_EVENT_ERROR;
    else if (m[USAGE].type == JSON_OBJECT && is_empty_array(&m[CHOICES]))
        ret->kind = DIALECT_EVENT_USAGE;
}

// Chat and text completions.
static void chat_event(const struct sse_event *event, struct dialect_event *ret)
{
    struct slice data;
    if (!begin_event(event, ret, &data))
        return;
    if (announces(data))
        walk_chat_event(data, ret);
    if (slice_eq(event->type, SLICE("error")))
        ret->kind = DIALECT_EVENT_ERROR;
}

static enum dialect_event_kind responses_kind(struct slice type)
{
    static const struct {
        struct slice type;
        enum dialect_event_kind kind;
    } kinds[] = {
        {SLICE("response.completed"), DIALECT_EVENT_END},
        {SLICE("response.incomplete"), DIALECT_EVENT_END},
        {SLICE("response.failed"), DIALECT_EVENT_END},
        {SLICE("error"), DIALECT_EVENT_ERROR},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (slice_eq(type, kinds[i].type))
            return kinds[i].kind;
    return DIALECT_EVENT_DELTA;
}

// The terminal event carries the whole response, its usage included.
static void walk_responses_event(struct slice data, struct dialect_event *ret)
{
    enum { TYPE, RESPONSE, ERROR, WANTED };
    static const struct slice names[WANTED] = {
        [TYPE] = SLICE("type"),
        [RESPONSE] = SLICE("response"),
        [ERROR] = SLICE("error"),
    };
    struct json_scanner scan;

    if (json_scan(&scan, data, names, WANTED, 0) != 0) {
        ret->is_object = false;
        return;
    }
    const struct json_member *m = scan.member;
    if (ret->kind == DIALECT_EVENT_DELTA && m[TYPE].type == JSON_STRING)
        ret->kind = responses_kind(slice_of(m[TYPE].value.ptr + 1, m[TYPE].value.len - 2));
    if (ret->kind == DIALECT_EVENT_DELTA && m[TYPE].type == JSON_NONE &&
        m[ERROR].type == JSON_OBJECT)
        ret->kind = DIALECT_EVENT_ERROR;
    if (ret->kind == DIALECT_EVENT_END && m[RESPONSE].type == JSON_OBJECT) {
        struct json_member usage = json_object_get(m[RESPONSE].value, SLICE("usage"));
        struct json_member tier = json_object_get(m[RESPONSE].value, SLICE("service_tier"));
        if (usage.type == JSON_OBJECT)
            read_usage(usage.value, &tier, &ret->usage);
    }
}

static void responses_event(const struct sse_event *event, struct dialect_event *ret)
{
    struct slice data;
    if (!begin_event(event, ret, &data)) {
        // Some vendors send [DONE] behind the terminal event; the end was that event.
        if (ret->kind == DIALECT_EVENT_END)
            ret->kind = DIALECT_EVENT_OTHER;
        return;
    }
    ret->kind = responses_kind(event->type);
    if (event->type.len == 0 || ret->kind == DIALECT_EVENT_END)
        walk_responses_event(data, ret);
}

// A count is not billed: it is what the answer says, not what it cost.
static void no_usage(struct slice text, struct dialect_usage *ret)
{
    (void)text;
    *ret = (struct dialect_usage){0};
}

static void no_event(const struct sse_event *event, struct dialect_event *ret)
{
    struct slice data;
    begin_event(event, ret, &data);
}

// ---- Translation -------------------------------------------------------------------------------

static const struct dialect_translation responses_translation = {
    .read_request = responses__read_request,
    .write_request = responses__write_request,
    .read_answer = responses__read_answer,
    .write_answer = responses__write_answer,
    .read_event = responses__read_event,
    .write_event = responses__write_event,
};

static const struct dialect_translation count_translation = {
    .read_request = responses__read_request,
    .write_request = responses__write_count_request,
    .read_answer = responses__read_count,
    .write_answer = responses__write_count,
};

static const struct dialect_translation chat_translation = {
    .read_request = openai_chat__read_request,
    .write_request = openai_chat__write_request,
    .read_answer = openai_chat__read_answer,
    .write_answer = openai_chat__write_answer,
    .read_event = openai__read_event,
    .write_event = openai__write_event,
};

static const struct dialect_translation text_translation = {
    .read_request = openai_text__read_request,
    .write_request = openai_text__write_request,
    .read_answer = openai_text__read_answer,
    .write_answer = openai_text__write_answer,
    .read_event = openai__read_event,
    .write_event = openai__write_event,
};

// ---- Rows ------------------------------------------------------------------------------------

static const struct sse_marks chat_marks = {.letter = {'u', 'e'}, .special = announces};

const struct dialect dialect_openai_chat = {
    .name = SLICE("openai_chat"),
    .members = chat_members,
    .streams = true,
    .usage_option = true,
    .answer_usage = answer_usage,
    .event = chat_event,
    .translation = &chat_translation,
    .marks = &chat_marks,
};

const struct dialect dialect_openai_text = {
    .name = SLICE("openai_text"),
    .members = text_members,
    .streams = true,
    .usage_option = true,
    .answer_usage = answer_usage,
    .event = chat_event,
    .translation = &text_translation,
    .marks = &chat_marks,
};

const struct dialect dialect_openai_embeddings = {
    .name = SLICE("openai_embeddings"),
    .members = input_members,
    .answer_usage = answer_usage,
    .event = no_event,
};

const struct dialect dialect_openai_responses = {
    .name = SLICE("openai_responses"),
    .members = input_members,
    .streams = true,
    .named_events = true,
    .answer_usage = answer_usage,
    .event = responses_event,
    .translation = &responses_translation,
};

const struct dialect dialect_openai_input_tokens = {
    .name = SLICE("openai_input_tokens"),
    .members = input_members,
    .answer_usage = no_usage,
    .event = no_event,
    .translation = &count_translation,
};
