// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_output.c: the frame of a response and its output items, as text.
//
// Whole answers and streams write the same objects: a stream writes each item twice, as it begins
// and as it ended, and the frame three times. What the frame repeats of the client's request
// (tools, instructions, …) is the request's own text.
//
// An id is made from the provider's: `msg_01XYZ` becomes `resp_01XYZ`, its items `msg_01XYZ_0`,
// `fc_01XYZ_1` and so on, so that an answer and its stream name them alike.
//
// Source: platform.openai.com/docs/api-reference/responses/object.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/openai_responses_internal.h"

// ---- The frame ---------------------------------------------------------------------------------

static const struct {
    struct slice name;
    struct slice unset; // what is written when the request does not have it
} repeated[RESPONSES_REPEAT_COUNT] = {
    [RESPONSES_R_INSTRUCTIONS] = {SLICE("instructions"), SLICE("null")},
    [RESPONSES_R_METADATA] = {SLICE("metadata"), SLICE("{}")},
    [RESPONSES_R_PARALLEL_TOOL_CALLS] = {SLICE("parallel_tool_calls"), SLICE("true")},
    [RESPONSES_R_TEMPERATURE] = {SLICE("temperature"), SLICE("null")},
    [RESPONSES_R_TOOL_CHOICE] = {SLICE("tool_choice"), SLICE("\"auto\"")},
    [RESPONSES_R_TOOLS] = {SLICE("tools"), SLICE("[]")},
    [RESPONSES_R_TOP_P] = {SLICE("top_p"), SLICE("null")},
};

void responses__repeat(struct slice request, struct slice *ret)
{
    struct responses_field fields[RESPONSES_REPEAT_COUNT];
    unsigned field;

    for (unsigned i = 0; i < RESPONSES_REPEAT_COUNT; i++)
        fields[i] = (struct responses_field){repeated[i].name, RESPONSES_ANY};
    while (request.len > 0 && (unsigned char)request.ptr[0] <= ' ')
        request = slice_skip(request, 1);
    (void)responses__fields(request, fields, RESPONSES_REPEAT_COUNT, ret, &field);
}

// `chatcmpl-123` without what a vendor puts before it.
static struct slice without_prefix(struct slice id)
{
    for (size_t i = 0; i + 1 < id.len; i++)
        if (id.ptr[i] == '_' || id.ptr[i] == '-')
            return slice_skip(id, i + 1);
    return id;
}

int responses__frame_init(struct responses_frame *f, struct arena *arena, struct slice id,
                          struct slice model, uint64_t created_s, const struct canon_context *c,
                          const struct slice *repeat)
{
    *f = (struct responses_frame){
        .id = id.len > 2 ? without_prefix(literal_inner(id)) : c->id,
        .model = model,
        .created_s = created_s > 0 ? created_s : c->now_s,
        .repeat = repeat,
    };
    if (model.len > 2)
        return 0;
    struct json_writer w;
    json_writer_init(&w, arena, c->model.len + 2);
    json_string(&w, c->model);
    return json_writer_done(&w, &f->model);
}

bool responses__incomplete(enum canon_stop stop)
{
    return stop == CANON_STOP_LENGTH || stop == CANON_STOP_CONTEXT || stop == CANON_STOP_FILTER;
}

static void write_repeated(struct json_writer *w, const struct responses_frame *f,
                           enum responses_repeat from, enum responses_repeat past)
{
    for (unsigned i = from; i < past; i++)
        json_member(w, repeated[i].name, f->repeat[i].len > 0 ? f->repeat[i] : repeated[i].unset);
}

void responses__frame_open(struct json_writer *w, const struct responses_frame *f, bool running,
                           enum canon_stop stop)
{
    bool incomplete = !running && responses__incomplete(stop);

    json_object(w);
    json_key(w, SLICE("id"));
    json_string_open(w);
    json_string_inner(w, SLICE("resp_"));
    json_string_inner(w, f->id);
    json_string_close(w);
    json_member(w, SLICE("object"), SLICE("\"response\""));
    json_member_number(w, SLICE("created_at"), f->created_s);
    json_member(w, SLICE("status"),
                running      ? SLICE("\"in_progress\"")
                : incomplete ? SLICE("\"incomplete\"")
                             : SLICE("\"completed\""));
    json_member(w, SLICE("error"), SLICE("null"));
    json_member(w, SLICE("incomplete_details"),
                !incomplete                 ? SLICE("null")
                : stop == CANON_STOP_FILTER ? SLICE("{\"reason\":\"content_filter\"}")
                                            : SLICE("{\"reason\":\"max_output_tokens\"}"));
    write_repeated(w, f, RESPONSES_R_INSTRUCTIONS, RESPONSES_R_PARALLEL_TOOL_CALLS);
    json_member(w, SLICE("model"), f->model);
    json_key(w, SLICE("output"));
    json_array(w);
}

static void write_usage(struct json_writer *w, const struct canon_usage *u)
{
    json_object(w);
    json_member_number(w, SLICE("input_tokens"), u->input_tokens);
    json_key(w, SLICE("input_tokens_details"));
    json_object(w);
    json_member_number(w, SLICE("cache_write_tokens"), u->cached_write_tokens);
    json_member_number(w, SLICE("cached_tokens"), u->cached_read_tokens);
    json_object_end(w);
    json_member_number(w, SLICE("output_tokens"), u->output_tokens);
    json_key(w, SLICE("output_tokens_details"));
    json_object(w);
    json_member_number(w, SLICE("reasoning_tokens"), u->reasoning_tokens);
    json_object_end(w);
    json_member_number(w, SLICE("total_tokens"), u->input_tokens + u->output_tokens);
    json_object_end(w);
}

void responses__frame_close(struct json_writer *w, const struct responses_frame *f, bool running,
                            const struct canon_usage *usage, struct slice service_tier)
{
    json_array_end(w);
    write_repeated(w, f, RESPONSES_R_PARALLEL_TOOL_CALLS, RESPONSES_REPEAT_COUNT);
    json_key(w, SLICE("usage"));
    if (running || !usage->known)
        json_null(w);
    else
        write_usage(w, usage);
    json_member(w, SLICE("service_tier"), service_tier);
    json_object_end(w);
}

// ---- Annotations -----------------------------------------------------------------------------

uint64_t responses__code_points(struct slice inner)
{
    uint64_t count = 0;

    for (size_t i = 0; i < inner.len; i++) {
        unsigned char c = (unsigned char)inner.ptr[i];
        if (c == '\\' && i + 1 < inner.len) {
            bool unit = inner.ptr[++i] == 'u' && inner.len - i > 4;
            // The second half of a pair, DC00 to DFFF, is no character of its own.
            bool low = unit && (inner.ptr[i + 1] | 0x20) == 'd' &&
                       (((unsigned char)inner.ptr[i + 2] | 0x20) >= 'c');
            i += unit ? 4 : 0;
            count += !low;
        } else {
            count += (c & 0xC0) != 0x80;
        }
    }
    return count;
}

bool responses__annotation(struct json_writer *w, struct slice citation, uint64_t length)
{
    struct json_member nested = json_object_get(citation, SLICE("url_citation")); // chat's
    struct slice place = nested.type == JSON_OBJECT ? nested.value : citation;
    struct json_member url = json_object_get(place, SLICE("url"));
    struct json_member title = json_object_get(place, SLICE("title"));
    struct json_member start = json_object_get(place, SLICE("start_index"));
    struct json_member end = json_object_get(place, SLICE("end_index"));
    bool placed = start.type == JSON_NUMBER && end.type == JSON_NUMBER;

    if (url.type != JSON_STRING)
        return false;
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"url_citation\""));
    if (placed) {
        json_member(w, SLICE("start_index"), start.value);
        json_member(w, SLICE("end_index"), end.value);
    } else {
        json_member_number(w, SLICE("start_index"), 0);
        json_member_number(w, SLICE("end_index"), length);
    }
    json_member(w, SLICE("title"), title.type == JSON_STRING ? title.value : SLICE("\"\""));
    json_member(w, SLICE("url"), url.value);
    json_object_end(w);
    return true;
}

// ---- Parts and items ---------------------------------------------------------------------------

bool responses__is_item(enum canon_block_kind kind)
{
    return kind == CANON_THINKING || kind == CANON_REDACTED_THINKING || kind == CANON_TOOL_CALL ||
           kind == CANON_WEB_SEARCH;
}

static void write_inner(struct json_writer *w, struct slice key, struct slice inner)
{
    json_key(w, key);
    json_string_open(w);
    json_string_inner(w, inner);
    json_string_close(w);
}

static void write_list(struct json_writer *w, struct slice key, struct slice elements)
{
    json_key(w, key);
    json_array(w);
    if (elements.len > 0)
        json_raw(w, elements);
    json_array_end(w);
}

void responses__text_part(struct json_writer *w, struct slice text, struct slice annotations,
                          struct slice logprobs)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"output_text\""));
    write_inner(w, SLICE("text"), text);
    write_list(w, SLICE("annotations"), annotations);
    write_list(w, SLICE("logprobs"), logprobs);
    json_object_end(w);
}

void responses__refusal_part(struct json_writer *w, struct slice text)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"refusal\""));
    write_inner(w, SLICE("refusal"), text);
    json_object_end(w);
}

void responses__item_id(struct json_writer *w, const struct responses_frame *f, const char *prefix,
                        unsigned index)
{
    char number[20];
    size_t len = fmt_u64(number, index);

    json_string_open(w);
    json_string_inner(w, slice_str(prefix));
    // Without colons: an id inside a seal ends at the first.
    struct slice rest = f->id;
    for (ptrdiff_t colon; (colon = slice_find_char(rest, ':')) >= 0;) {
        json_string_inner(w, slice_take(rest, (size_t)colon));
        json_string_inner(w, SLICE("_"));
        rest = slice_skip(rest, (size_t)colon + 1);
    }
    json_string_inner(w, rest);
    json_string_inner(w, SLICE("_"));
    json_string_inner(w, slice_of(number, len));
    json_string_close(w);
}

static void open_item(struct json_writer *w, const struct responses_frame *f, const char *prefix,
                      unsigned index, struct slice type)
{
    json_object(w);
    json_key(w, SLICE("id"));
    responses__item_id(w, f, prefix, index);
    json_member(w, SLICE("type"), type);
}

static void write_status(struct json_writer *w, bool running)
{
    json_member(w, SLICE("status"), running ? SLICE("\"in_progress\"") : SLICE("\"completed\""));
}

void responses__message(struct json_writer *w, const struct responses_frame *f, unsigned index,
                        struct slice parts, bool running)
{
    open_item(w, f, "msg_", index, SLICE("\"message\""));
    write_status(w, running);
    json_member(w, SLICE("role"), SLICE("\"assistant\""));
    write_list(w, SLICE("content"), parts);
    json_object_end(w);
}

void responses__call(struct json_writer *w, const struct responses_frame *f, unsigned index,
                     const struct responses_call *call, struct slice arguments, bool running)
{
    bool custom = call->tool == CANON_TOOL_CUSTOM;

    open_item(w, f, custom ? "ctc_" : "fc_", index,
              custom ? SLICE("\"custom_tool_call\"") : SLICE("\"function_call\""));
    if (!custom) // the type of a custom call has no status
        write_status(w, running);
    json_member(w, SLICE("call_id"), call->id.len > 0 ? call->id : SLICE("\"\""));
    json_member(w, SLICE("name"), call->name.len > 0 ? call->name : SLICE("\"\""));
    write_inner(w, custom ? SLICE("input") : SLICE("arguments"), arguments);
    json_object_end(w);
}

void responses__thought(struct json_writer *w, const struct responses_frame *f, unsigned index,
                        struct slice text, struct slice signature, bool redacted)
{
    open_item(w, f, "rs_", index, SLICE("\"reasoning\""));
    json_key(w, SLICE("summary"));
    json_array(w);
    if (text.len > 0) {
        json_object(w);
        json_member(w, SLICE("type"), SLICE("\"summary_text\""));
        write_inner(w, SLICE("text"), text);
        json_object_end(w);
    }
    json_array_end(w);
    if (signature.len > 2)
        responses__seal(w, signature, redacted);
    json_object_end(w);
}

void responses__search(struct json_writer *w, const struct responses_frame *f, unsigned index,
                       struct slice query, bool running)
{
    open_item(w, f, "ws_", index, SLICE("\"web_search_call\""));
    write_status(w, running);
    json_key(w, SLICE("action"));
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"search\""));
    if (!running)
        write_inner(w, SLICE("query"), query);
    json_object_end(w);
    json_object_end(w);
}

// ---- Custom tools ------------------------------------------------------------------------------

bool responses__is_custom(const struct responses_frame *f, struct slice name)
{
    enum json_type type;
    struct slice tool;

    if (!responses__is(f->repeat[RESPONSES_R_TOOLS], '['))
        return false;
    for (size_t at = 0; json_array_next(f->repeat[RESPONSES_R_TOOLS], &at, &type, &tool);) {
        if (type != JSON_OBJECT ||
            !literal_is(json_object_get(tool, SLICE("type")).value, SLICE("custom")))
            continue;
        if (slice_eq(json_object_get(tool, SLICE("name")).value, name))
            return true;
    }
    return false;
}

int responses__custom_input(struct arena *arena, struct slice arguments, struct slice *ret)
{
    static const struct slice names[] = {SLICE("input")};
    struct json_scanner scan;
    struct slice literal;
    struct slice text;

    *ret = arguments;
    int rc = responses__join(arena, &arguments, 1, &literal);
    char *plain = rc ? NULL : arena_large(arena, literal.len);
    if (!plain)
        return ERR_NOMEM;
    if (json_unescape(literal, plain, &text) == 0 &&
        json_scan(&scan, text, names, ARRAY_LEN(names), 0) == 0 &&
        scan.member[0].type == JSON_STRING)
        *ret = literal_inner(scan.member[0].value);
    return 0;
}
