// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_answer.c: a provider's whole chat answer becomes canonical.
//
// A provider's text is not known to be JSON: it is scanned first, and what matters must have its
// type, else the provider does not speak chat. The first choice is the answer. Vendors differ in
// where thoughts lie (`reasoning_details`, `reasoning`, `reasoning_content`), whether calls have
// identifiers, and which reasons a choice ends for; all of it is taken.
//
// A choice that "stopped" and holds calls has stopped for them: OpenAI says so when the client
// named the tool, and the other dialects have one word for both.
//
// Sources: platform.openai.com/docs/api-reference/chat/object, docs/translation.md.

#include "base/container.h"
#include "base/err.h"
#include "codec/openai_internal.h"

const struct slice openai__frame_names[FRAME_COUNT] = {
    [FRAME_ID] = SLICE("id"),
    [FRAME_MODEL] = SLICE("model"),
    [FRAME_CREATED] = SLICE("created"),
    [FRAME_CHOICES] = SLICE("choices"),
    [FRAME_USAGE] = SLICE("usage"),
    [FRAME_SERVICE_TIER] = SLICE("service_tier"),
    [FRAME_FINGERPRINT] = SLICE("system_fingerprint"),
    [FRAME_ERROR] = SLICE("error"),
    [FRAME_OBJECT] = SLICE("object"),
};

const struct slice openai__call_names[CALL_COUNT] = {
    [CALL_INDEX] = SLICE("index"),   [CALL_ID] = SLICE("id"),
    [CALL_TYPE] = SLICE("type"),     [CALL_FUNCTION] = SLICE("function"),
    [CALL_CUSTOM] = SLICE("custom"),
};

const struct slice openai__called_names[CALLED_COUNT] = {
    [CALLED_NAME] = SLICE("name"),
    [CALLED_ARGUMENTS] = SLICE("arguments"),
    [CALLED_INPUT] = SLICE("input"),
};

const struct slice openai__said_names[SAID_COUNT] = {
    [SAID_CONTENT] = SLICE("content"),
    [SAID_REFUSAL] = SLICE("refusal"),
    [SAID_CALLS] = SLICE("tool_calls"),
    [SAID_FUNCTION_CALL] = SLICE("function_call"),
    [SAID_REASONING] = SLICE("reasoning"),
    [SAID_REASONING_CONTENT] = SLICE("reasoning_content"),
    [SAID_DETAILS] = SLICE("reasoning_details"),
    [SAID_ANNOTATIONS] = SLICE("annotations"),
};

const struct slice openai__detail_names[DETAIL_COUNT] = {
    [DETAIL_TYPE] = SLICE("type"),       [DETAIL_TEXT] = SLICE("text"),
    [DETAIL_SUMMARY] = SLICE("summary"), [DETAIL_SIGNATURE] = SLICE("signature"),
    [DETAIL_DATA] = SLICE("data"),       [DETAIL_INDEX] = SLICE("index"),
};

// ---- Thoughts ----------------------------------------------------------------------------------

// One thought may come in the pieces a stream gave: text, text, signature, all of one index.
struct thought {
    struct canon_block *block;
    struct slice index;
    struct json_writer joined;
    bool joining;
};

static int end_thought(struct thought *t)
{
    int rc = 0;
    if (t->joining) {
        json_string_close(&t->joined);
        rc = json_writer_done(&t->joined, &t->block->text);
    }
    *t = (struct thought){0};
    return rc;
}

static void join(struct thought *t, struct arena *arena, struct slice text)
{
    if (literal_is_empty(text))
        return;
    if (literal_is_empty(t->block->text)) {
        t->block->text = text;
        return;
    }
    if (!t->joining) {
        json_writer_init(&t->joined, arena, 0);
        json_string_open(&t->joined);
        json_string_inner(&t->joined, literal_inner(t->block->text));
        t->joining = true;
    }
    json_string_inner(&t->joined, literal_inner(text));
}

static int read_detail(struct arena *arena, unsigned *parts, const struct json_member *m,
                       struct thought *t, struct canon_block ***tail)
{
    struct slice text = openai__text(&m[DETAIL_TEXT]);
    struct slice signature = openai__text(&m[DETAIL_SIGNATURE]);
    bool sealed = literal_is(m[DETAIL_TYPE].value, SLICE("reasoning.encrypted"));

    if (text.len == 0)
        text = openai__text(&m[DETAIL_SUMMARY]);
    if (sealed ? openai__text(&m[DETAIL_DATA]).len == 0 : text.len == 0 && signature.len == 0)
        return 0;
    bool more = !sealed && t->block && t->index.len > 0 && t->block->signature.len == 0 &&
                slice_eq(t->index, m[DETAIL_INDEX].value);
    if (more) {
        join(t, arena, text);
        t->block->signature = signature;
        return 0;
    }
    int rc = end_thought(t);
    struct canon_block *b = NULL;
    if (rc == 0)
        rc = canon_add_block(arena, parts, tail, &b);
    if (rc)
        return rc;
    b->kind = sealed ? CANON_REDACTED_THINKING : CANON_THINKING;
    b->data = sealed ? m[DETAIL_DATA].value : SLICE_EMPTY;
    if (sealed)
        return 0;
    b->text = text.len > 0 ? text : SLICE("\"\"");
    b->signature = signature;
    *t = (struct thought){.block = b, .index = m[DETAIL_INDEX].value};
    return 0;
}

int openai__read_details(struct arena *arena, unsigned *parts, struct slice array,
                         struct canon_block ***tail)
{
    struct json_member m[DETAIL_COUNT];
    struct thought t = {0};
    enum json_type type;
    struct slice element;
    int rc = 0;

    for (size_t at = 0; rc == 0 && json_array_next(array, &at, &type, &element);) {
        if (type != JSON_OBJECT)
            continue;
        openai__pick(element, &(struct openai_pick){openai__detail_names, DETAIL_COUNT, m});
        rc = read_detail(arena, parts, m, &t, tail);
    }
    int ended = end_thought(&t);
    return rc ? rc : ended;
}

// ---- Reading -----------------------------------------------------------------------------------

bool openai__is_error(const struct json_scanner *frame, struct json_member *ret)
{
    const struct json_member *error = &frame->member[FRAME_ERROR];
    const struct json_member *object = &frame->member[FRAME_OBJECT];

    *ret = *error;
    if (error->type == JSON_OBJECT || openai__text(error).len > 0)
        return true;
    *ret = (struct json_member){.type = JSON_OBJECT, .value = frame->text};
    return object->type == JSON_STRING && literal_is(object->value, SLICE("error"));
}

// The element with index 0; the first when none says so.
static struct slice first_choice(struct slice choices)
{
    struct slice first = SLICE_EMPTY;
    enum json_type type;
    struct slice element;

    for (size_t at = 0; json_array_next(choices, &at, &type, &element);) {
        if (type != JSON_OBJECT)
            continue;
        struct json_member index = json_object_get(element, SLICE("index"));
        if (index.type == JSON_NUMBER && slice_eq(index.value, SLICE("0")))
            return element;
        if (first.len == 0)
            first = element;
    }
    return first;
}

int openai__read_frame(struct canon_answer *a, struct slice text, struct slice *ret_choice)
{
    struct json_scanner scan;
    struct json_member error;
    int rc = json_scan(&scan, text, openai__frame_names, FRAME_COUNT, 0);

    if (rc)
        return rc;
    const struct json_member *m = scan.member;
    if (openai__is_error(&scan, &error) || m[FRAME_CHOICES].type != JSON_ARRAY)
        return ERR_UPSTREAM_PROTOCOL;
    struct slice choice = first_choice(m[FRAME_CHOICES].value);
    if (choice.len == 0)
        return ERR_UPSTREAM_PROTOCOL;
    a->id = openai__text(&m[FRAME_ID]);
    a->model = openai__text(&m[FRAME_MODEL]);
    if (json_u64(m[FRAME_CREATED].value, &a->created_s) != 0)
        a->created_s = 0;
    a->service_tier = openai__text(&m[FRAME_SERVICE_TIER]);
    a->system_fingerprint = openai__text(&m[FRAME_FINGERPRINT]);
    if (m[FRAME_USAGE].type == JSON_OBJECT)
        openai__read_usage(m[FRAME_USAGE].value, &a->usage);
    *ret_choice = choice;
    return 0;
}

static int add_text(struct canon_answer *a, struct canon_block ***tail, enum canon_block_kind kind,
                    struct slice text)
{
    struct canon_block *b;
    int rc = canon_add_block(a->arena, &a->parts, tail, &b);
    if (rc)
        return rc;
    b->kind = kind;
    b->text = text;
    return 0;
}

static int read_thoughts(struct canon_answer *a, const struct json_member *m,
                         struct canon_block ***tail)
{
    struct canon_block **before = *tail;
    if (m[SAID_DETAILS].type == JSON_ARRAY) {
        int rc = openai__read_details(a->arena, &a->parts, m[SAID_DETAILS].value, tail);
        if (rc || *tail != before)
            return rc;
    }
    struct slice text = openai__text(&m[SAID_REASONING]);
    if (text.len == 0)
        text = openai__text(&m[SAID_REASONING_CONTENT]);
    return text.len > 0 ? add_text(a, tail, CANON_THINKING, text) : 0;
}

// The content of an answer in parts, as some vendors send it: the texts of them.
static int read_parts(struct canon_answer *a, struct slice array, struct canon_block ***tail)
{
    enum json_type type;
    struct slice element;
    int rc = 0;

    for (size_t at = 0; rc == 0 && json_array_next(array, &at, &type, &element);) {
        if (type != JSON_OBJECT)
            continue;
        struct json_member text = json_object_get(element, SLICE("text"));
        if (text.type == JSON_STRING)
            rc = add_text(a, tail, CANON_TEXT, text.value);
    }
    return rc;
}

static int read_content(struct canon_answer *a, const struct json_member *m,
                        struct canon_block ***tail)
{
    const struct json_member *content = &m[SAID_CONTENT];
    struct canon_block **at = *tail;
    int rc = 0;

    if (content->type == JSON_ARRAY)
        rc = read_parts(a, content->value, tail);
    else if (content->type == JSON_STRING)
        rc = add_text(a, tail, CANON_TEXT, content->value);
    else if (content->type != JSON_NONE)
        rc = ERR_UPSTREAM_PROTOCOL;
    if (rc == 0 && *at && m[SAID_ANNOTATIONS].type == JSON_ARRAY) {
        (*at)->citations = m[SAID_ANNOTATIONS].value;
        (*at)->citations_of = &dialect_openai_chat;
    }
    return rc;
}

// `holder` is {"name","arguments"} or {"name","input"}.
static int read_called(struct canon_answer *a, struct canon_block ***tail, struct slice id,
                       const struct json_member *holder, bool custom, unsigned number)
{
    struct json_member m[CALLED_COUNT];
    struct canon_block *b;

    if (holder->type != JSON_OBJECT)
        return ERR_UPSTREAM_PROTOCOL;
    openai__pick(holder->value, &(struct openai_pick){openai__called_names, CALLED_COUNT, m});
    const struct json_member *arguments = &m[custom ? CALLED_INPUT : CALLED_ARGUMENTS];
    bool object = arguments->type == JSON_OBJECT && !custom;
    if (openai__text(&m[CALLED_NAME]).len == 0 ||
        !(object || arguments->type == JSON_STRING || arguments->type == JSON_NONE))
        return ERR_UPSTREAM_PROTOCOL;
    int rc = canon_add_block(a->arena, &a->parts, tail, &b);
    if (rc)
        return rc;
    b->kind = CANON_TOOL_CALL;
    b->tool = custom ? CANON_TOOL_CUSTOM : CANON_TOOL_FUNCTION;
    b->id = id.len > 0 ? id : openai__make_call_id(a->arena, a->id, number);
    b->name = m[CALLED_NAME].value;
    b->arguments = arguments->type == JSON_NONE ? SLICE("\"\"") : arguments->value;
    b->arguments_quoted = !object;
    return b->id.len > 0 ? 0 : ERR_NOMEM;
}

static int read_calls(struct canon_answer *a, const struct json_member *said,
                      struct canon_block ***tail)
{
    struct json_member m[CALL_COUNT];
    enum json_type type;
    struct slice element;
    unsigned number = 0;
    int rc = 0;

    if (said[SAID_CALLS].type == JSON_NONE)
        return said[SAID_FUNCTION_CALL].type == JSON_NONE
                   ? 0
                   : read_called(a, tail, SLICE_EMPTY, &said[SAID_FUNCTION_CALL], false, 0);
    if (said[SAID_CALLS].type != JSON_ARRAY)
        return ERR_UPSTREAM_PROTOCOL;
    for (size_t at = 0; rc == 0 && json_array_next(said[SAID_CALLS].value, &at, &type, &element);
         number++) {
        if (type != JSON_OBJECT)
            return ERR_UPSTREAM_PROTOCOL;
        openai__pick(element, &(struct openai_pick){openai__call_names, CALL_COUNT, m});
        bool custom = m[CALL_FUNCTION].type == JSON_NONE && m[CALL_CUSTOM].type != JSON_NONE;
        rc = read_called(a, tail, openai__text(&m[CALL_ID]),
                         &m[custom ? CALL_CUSTOM : CALL_FUNCTION], custom, number);
    }
    return rc;
}

static int read_message(struct canon_answer *a, struct slice message)
{
    struct json_member m[SAID_COUNT];
    struct canon_block **tail = &a->blocks;

    openai__pick(message, &(struct openai_pick){openai__said_names, SAID_COUNT, m});
    int rc = read_thoughts(a, m, &tail);
    if (rc == 0)
        rc = read_content(a, m, &tail);
    if (rc == 0 && openai__text(&m[SAID_REFUSAL]).len > 0)
        rc = add_text(a, &tail, CANON_REFUSAL, m[SAID_REFUSAL].value);
    struct canon_block **calls = tail;
    if (rc == 0)
        rc = read_calls(a, m, &tail);
    if (rc == 0 && *calls && a->stop == CANON_STOP_END)
        a->stop = CANON_STOP_TOOL;
    return rc;
}

int openai_chat__read_answer(struct canon_answer *a, struct slice text)
{
    struct slice choice;
    int rc = openai__read_frame(a, text, &choice);

    if (rc)
        return rc;
    a->from = &dialect_openai_chat;
    struct json_member message = json_object_get(choice, SLICE("message"));
    struct json_member reason = json_object_get(choice, SLICE("finish_reason"));
    struct json_member logprobs = json_object_get(choice, SLICE("logprobs"));
    if (message.type != JSON_OBJECT ||
        (reason.type != JSON_STRING && reason.type != JSON_NULL && reason.type != JSON_NONE))
        return ERR_UPSTREAM_PROTOCOL;
    a->stop = openai__read_stop(reason.value);
    if (logprobs.type == JSON_OBJECT)
        a->logprobs = logprobs.value;
    return read_message(a, message.value);
}
