// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_answer.c: whole answers, read from a provider and written for a client; and the
// answers to a request for a count of tokens.
//
// A response does not name why it ended beyond its status: it is completed, or incomplete for a
// reason. That the model wants a tool is told by a call among its items, that it refused by a
// refusal among its parts.
//
// Sources: platform.openai.com/docs/api-reference/responses/object, /responses/input-tokens.

#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "codec/openai_responses_internal.h"

// ---- Reading -----------------------------------------------------------------------------------

static bool read_count(struct slice object, struct slice name, uint64_t *ret)
{
    struct json_member m = json_object_get(object, name);
    return m.type == JSON_NUMBER && dialect_tokens(m.value, ret) == 0;
}

void responses__read_usage(struct slice usage, struct canon_usage *ret)
{
    struct json_member input = json_object_get(usage, SLICE("input_tokens_details"));
    struct json_member output = json_object_get(usage, SLICE("output_tokens_details"));

    ret->known |= read_count(usage, SLICE("input_tokens"), &ret->input_tokens);
    ret->known |= read_count(usage, SLICE("output_tokens"), &ret->output_tokens);
    if (input.type == JSON_OBJECT) {
        ret->cached_known |=
            read_count(input.value, SLICE("cached_tokens"), &ret->cached_read_tokens);
        ret->cached_known |=
            read_count(input.value, SLICE("cache_write_tokens"), &ret->cached_write_tokens);
    }
    if (output.type == JSON_OBJECT)
        ret->reasoning_known |=
            read_count(output.value, SLICE("reasoning_tokens"), &ret->reasoning_tokens);
}

enum canon_stop responses__stop_of(struct slice status, struct slice incomplete_details,
                                   bool has_call, bool has_refusal)
{
    if (literal_is(status, SLICE("incomplete"))) {
        struct json_member reason = json_object_get(incomplete_details, SLICE("reason"));
        return reason.type == JSON_STRING && literal_is(reason.value, SLICE("content_filter"))
                   ? CANON_STOP_FILTER
                   : CANON_STOP_LENGTH;
    }
    if (has_refusal)
        return CANON_STOP_FILTER;
    return has_call ? CANON_STOP_TOOL : CANON_STOP_END;
}

uint64_t responses__seconds(const struct json_member *m)
{
    uint64_t seconds = 0;
    struct slice digits = m->value;
    size_t n = 0;

    while (n < digits.len && digits.ptr[n] >= '0' && digits.ptr[n] <= '9')
        n++;
    if (m->type == JSON_NUMBER && (n == digits.len || digits.ptr[n] == '.'))
        (void)json_u64(slice_take(digits, n), &seconds);
    return seconds;
}

static int read_output(struct canon_answer *a, struct slice output, struct responses_items *x)
{
    enum json_type type;
    struct slice item;
    int rc = 0;

    *x = (struct responses_items){.arena = a->arena, .parts = &a->parts, .tail = &a->blocks};
    for (size_t at = 0; rc == 0 && json_array_next(output, &at, &type, &item);)
        rc = type == JSON_OBJECT ? responses__read_item(x, item) : ERR_UPSTREAM_PROTOCOL;
    return rc;
}

int responses__read_answer(struct canon_answer *a, struct slice text)
{
    enum { ID, MODEL, CREATED, STATUS, ERROR, DETAILS, OUTPUT, USAGE, TIER, WANTED };
    static const struct slice names[WANTED] = {
        [ID] = SLICE("id"),
        [MODEL] = SLICE("model"),
        [CREATED] = SLICE("created_at"),
        [STATUS] = SLICE("status"),
        [ERROR] = SLICE("error"),
        [DETAILS] = SLICE("incomplete_details"),
        [OUTPUT] = SLICE("output"),
        [USAGE] = SLICE("usage"),
        [TIER] = SLICE("service_tier"),
    };
    struct json_scanner scan;
    const struct json_member *m = scan.member;
    struct responses_items items;

    int rc = json_scan(&scan, text, names, WANTED, 0);
    if (rc)
        return rc;
    if (m[OUTPUT].type != JSON_ARRAY || m[ERROR].type > JSON_NULL ||
        literal_is(m[STATUS].value, SLICE("failed")))
        return ERR_UPSTREAM_PROTOCOL;
    a->from = &dialect_openai_responses;
    rc = read_output(a, m[OUTPUT].value, &items);
    if (rc)
        return rc;
    a->id = m[ID].type == JSON_STRING ? m[ID].value : SLICE_EMPTY;
    a->model = m[MODEL].type == JSON_STRING ? m[MODEL].value : SLICE_EMPTY;
    a->created_s = responses__seconds(&m[CREATED]);
    a->service_tier = m[TIER].type == JSON_STRING ? m[TIER].value : SLICE_EMPTY;
    a->stop =
        responses__stop_of(m[STATUS].value, m[DETAILS].value, items.has_call, items.has_refusal);
    a->logprobs = items.logprobs;
    if (m[USAGE].type == JSON_OBJECT)
        responses__read_usage(m[USAGE].value, &a->usage);
    return 0;
}

// ---- Writing -----------------------------------------------------------------------------------

struct answer_writer {
    const struct canon_answer *a;
    struct json_writer *w;
    struct responses_frame frame;
    unsigned index;           // of the next item
    struct slice logprobs;    // of the first text part, without brackets
    struct json_writer parts; // of the message that is being gathered
};

// The annotations of a text block, without brackets.
static int annotations_of(const struct canon_answer *a, const struct canon_block *b,
                          struct slice *ret)
{
    struct json_writer w;
    enum json_type type;
    struct slice citation;

    *ret = SLICE_EMPTY;
    if (b->citations.len == 0)
        return 0;
    uint64_t length = responses__code_points(literal_inner(b->text));
    json_writer_init(&w, a->arena, b->citations.len);
    for (size_t at = 0; json_array_next(b->citations, &at, &type, &citation);)
        if (type == JSON_OBJECT)
            (void)responses__annotation(&w, citation, length);
    return json_writer_done(&w, ret);
}

static int add_part(struct answer_writer *x, const struct canon_block *b)
{
    struct slice annotations;
    int rc = annotations_of(x->a, b, &annotations);
    if (rc)
        return rc;
    if (b->kind == CANON_REFUSAL)
        responses__refusal_part(&x->parts, literal_inner(b->text));
    else
        responses__text_part(&x->parts, literal_inner(b->text), annotations, x->logprobs);
    x->logprobs = SLICE_EMPTY;
    return x->parts.err;
}

static int end_message(struct answer_writer *x)
{
    struct slice parts;
    int rc = json_writer_done(&x->parts, &parts);
    if (rc || parts.len == 0)
        return rc;
    responses__message(x->w, &x->frame, x->index++, parts, false);
    x->parts.len = 0;
    x->parts.comma = false;
    return 0;
}

// What the model wrote for a tool, as the inside of a literal.
static int arguments_of(const struct canon_answer *a, const struct canon_block *b,
                        struct slice *ret)
{
    struct json_writer w;
    struct slice literal = b->arguments;

    if (b->arguments.len > 0 && !b->arguments_quoted) {
        json_writer_init(&w, a->arena, b->arguments.len + b->arguments.len / 4 + 2);
        json_string(&w, b->arguments);
        int rc = json_writer_done(&w, &literal);
        if (rc)
            return rc;
    }
    *ret = literal_inner(literal);
    if (ret->len == 0 && b->tool != CANON_TOOL_CUSTOM)
        *ret = SLICE("{}"); // a call without arguments is still a call with an object
    return 0;
}

static int write_item(struct answer_writer *x, const struct canon_block *b)
{
    struct responses_call call = {.tool = b->tool, .id = b->id, .name = b->name};
    struct slice arguments;
    int rc;

    switch (b->kind) {
    case CANON_TOOL_CALL:
        rc = arguments_of(x->a, b, &arguments);
        if (rc == 0 && b->tool == CANON_TOOL_FUNCTION && responses__is_custom(&x->frame, b->name)) {
            call.tool = CANON_TOOL_CUSTOM;
            rc = responses__custom_input(x->a->arena, arguments, &arguments);
        }
        if (rc == 0)
            responses__call(x->w, &x->frame, x->index++, &call, arguments, false);
        return rc;
    case CANON_THINKING:
        responses__thought(x->w, &x->frame, x->index++, literal_inner(b->text), b->signature,
                           false);
        return 0;
    case CANON_REDACTED_THINKING:
        responses__thought(x->w, &x->frame, x->index++, SLICE_EMPTY, b->data, true);
        return 0;
    case CANON_WEB_SEARCH:
        responses__search(x->w, &x->frame, x->index++, literal_inner(b->text), false);
        return 0;
    default: // nothing that an answer of this dialect has
        return 0;
    }
}

// Chat wraps the list in an object. Nothing but white space in it: nothing.
static struct slice logprobs_of(struct slice value)
{
    enum json_type type;
    struct slice element;
    size_t at = 0;

    if (responses__is(value, '{'))
        value = json_object_get(value, SLICE("content")).value;
    if (!responses__is(value, '[') || !json_array_next(value, &at, &type, &element))
        return SLICE_EMPTY;
    return literal_inner(value);
}

static int write_output(struct answer_writer *x)
{
    int rc = 0;
    for (const struct canon_block *b = x->a->blocks; rc == 0 && b; b = b->next) {
        if (b->kind == CANON_TEXT || b->kind == CANON_REFUSAL) {
            rc = add_part(x, b);
            continue;
        }
        rc = responses__is_item(b->kind) ? end_message(x) : 0;
        if (rc == 0)
            rc = write_item(x, b);
    }
    return rc ? rc : end_message(x);
}

int responses__write_answer(const struct canon_answer *a, const struct canon_context *c,
                            struct json_writer *w)
{
    struct slice repeat[RESPONSES_REPEAT_COUNT];
    struct answer_writer x = {.a = a, .w = w};

    responses__repeat(c->request, repeat);
    int rc = responses__frame_init(&x.frame, a->arena, a->id, a->model, a->created_s, c, repeat);
    if (rc)
        return rc;
    // Tiers of other vendors are other lists.
    bool of_openai = a->from && slice_starts(a->from->name, SLICE("openai_"));
    x.logprobs = logprobs_of(a->logprobs);
    json_writer_init(&x.parts, a->arena, 0);
    responses__frame_open(w, &x.frame, false, a->stop);
    rc = write_output(&x);
    if (rc)
        return rc;
    responses__frame_close(w, &x.frame, false, &a->usage,
                           of_openai ? a->service_tier : SLICE_EMPTY);
    return w->err;
}

// ---- Counts ------------------------------------------------------------------------------------

int responses__read_count(struct canon_answer *a, struct slice text)
{
    static const struct slice names[] = {SLICE("input_tokens")};
    struct json_scanner scan;

    int rc = json_scan(&scan, text, names, ARRAY_LEN(names), 0);
    if (rc)
        return rc;
    if (scan.member[0].type != JSON_NUMBER ||
        dialect_tokens(scan.member[0].value, &a->usage.input_tokens) != 0)
        return ERR_UPSTREAM_PROTOCOL;
    a->from = &dialect_openai_input_tokens;
    a->usage.known = true;
    return 0;
}

int responses__write_count(const struct canon_answer *a, const struct canon_context *c,
                           struct json_writer *w)
{
    (void)c;
    json_object(w);
    json_member(w, SLICE("object"), SLICE("\"response.input_tokens\""));
    json_member_number(w, SLICE("input_tokens"), a->usage.input_tokens);
    json_object_end(w);
    return w->err;
}
