// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_reply.c: a canonical answer becomes the chat answer a client gets.
//
// One message holds what other dialects keep in blocks: texts, refusals and thoughts are joined, in
// their order, without anything between them. What the answer cites is counted in code points of
// the joined text.
//
// Sources: platform.openai.com/docs/api-reference/chat/object, docs/translation.md.

#include "base/err.h"
#include "codec/openai_internal.h"

// ---- Pieces ------------------------------------------------------------------------------------

void openai__write_arguments(struct json_writer *w, const struct canon_block *call)
{
    if (call->arguments_quoted && call->arguments.len > 0)
        json_raw(w, call->arguments);
    else
        json_string(w, call->arguments);
}

void openai__write_calls(struct json_writer *w, const struct canon_block *blocks)
{
    json_key(w, SLICE("tool_calls"));
    json_array(w);
    for (const struct canon_block *b = blocks; b; b = b->next) {
        if (b->kind != CANON_TOOL_CALL)
            continue;
        bool custom = b->tool == CANON_TOOL_CUSTOM;
        json_object(w);
        json_member(w, SLICE("id"), b->id);
        json_member(w, SLICE("type"), custom ? SLICE("\"custom\"") : SLICE("\"function\""));
        json_key(w, custom ? SLICE("custom") : SLICE("function"));
        json_object(w);
        json_member(w, SLICE("name"), b->name);
        json_key(w, custom ? SLICE("input") : SLICE("arguments"));
        openai__write_arguments(w, b);
        json_object_end(w);
        json_object_end(w);
    }
    json_array_end(w);
}

void openai__write_frame(const struct canon_answer *a, const struct canon_context *c,
                         struct json_writer *w, struct slice prefix, struct slice object)
{
    json_key(w, SLICE("id"));
    if (a->id.len > 0) {
        json_raw(w, a->id);
    } else {
        json_string_open(w);
        json_string_inner(w, prefix);
        json_string_bytes(w, c->id);
        json_string_close(w);
    }
    json_member_string(w, SLICE("object"), object);
    json_member_number(w, SLICE("created"), a->created_s ? a->created_s : c->now_s);
    json_key(w, SLICE("model"));
    if (a->model.len > 0)
        json_raw(w, a->model);
    else
        json_string(w, c->model);
}

void openai__write_joined(struct json_writer *w, const struct canon_block *blocks,
                          enum canon_block_kind kind)
{
    json_string_open(w);
    for (const struct canon_block *b = blocks; b; b = b->next)
        if (b->kind == kind)
            json_string_inner(w, literal_inner(b->text));
    json_string_close(w);
}

// Null when there are none.
static void write_member(struct json_writer *w, struct slice name, const struct canon_block *blocks,
                         enum canon_block_kind kind)
{
    const struct canon_block *b = blocks;
    while (b && b->kind != kind)
        b = b->next;
    json_key(w, name);
    if (b)
        openai__write_joined(w, b, kind);
    else
        json_null(w);
}

static void write_thoughts(struct json_writer *w, const struct canon_block *blocks)
{
    bool any = false;
    bool said = false;
    uint64_t index = 0;

    for (const struct canon_block *b = blocks; b; b = b->next) {
        any |= b->kind == CANON_THINKING || b->kind == CANON_REDACTED_THINKING;
        said |= b->kind == CANON_THINKING && !literal_is_empty(b->text);
    }
    if (said) {
        json_key(w, SLICE("reasoning"));
        openai__write_joined(w, blocks, CANON_THINKING);
    }
    if (!any)
        return;
    json_key(w, SLICE("reasoning_details"));
    json_array(w);
    for (const struct canon_block *b = blocks; b; b = b->next) {
        bool sealed = b->kind == CANON_REDACTED_THINKING;
        if (b->kind != CANON_THINKING && !sealed)
            continue;
        json_object(w);
        json_member_number(w, SLICE("index"), index++);
        json_member(w, SLICE("type"),
                    sealed ? SLICE("\"reasoning.encrypted\"") : SLICE("\"reasoning.text\""));
        if (sealed)
            json_member(w, SLICE("data"), b->data);
        else
            json_member(w, SLICE("text"), b->text.len > 0 ? b->text : SLICE("\"\""));
        if (!literal_is_empty(b->signature))
            json_member(w, SLICE("signature"), b->signature);
        json_object_end(w);
    }
    json_array_end(w);
}

// ---- Annotations -------------------------------------------------------------------------------

// Code points of what a literal spells: an escape is one, a pair of surrogates is one.
static uint64_t code_points(struct slice literal)
{
    struct slice s = literal_inner(literal);
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool escape = c == '\\' && i + 1 < s.len;
        bool low_half = escape && s.len - i >= 6 && s.ptr[i + 1] == 'u' &&
                        (s.ptr[i + 2] | 0x20) == 'd' && (s.ptr[i + 3] | 0x20) >= 'c' &&
                        (s.ptr[i + 3] | 0x20) <= 'f';
        if ((c & 0xC0) != 0x80 && !low_half)
            n++;
        if (escape)
            i += s.ptr[i + 1] == 'u' ? 5 : 1;
    }
    return n;
}

enum citation { CITE_URL, CITE_TITLE, CITE_START, CITE_END, CITE_CHAT, CITE_COUNT };

// A citation of whatever source, if it has a URL. Where the source says which part of its text it
// means, that part; else all of the block's.
static bool write_citation(struct json_writer *w, struct slice citation, uint64_t start,
                           uint64_t end, bool first)
{
    static const struct slice names[CITE_COUNT] = {
        [CITE_URL] = SLICE("url"),           [CITE_TITLE] = SLICE("title"),
        [CITE_START] = SLICE("start_index"), [CITE_END] = SLICE("end_index"),
        [CITE_CHAT] = SLICE("url_citation"),
    };
    struct json_member m[CITE_COUNT];
    uint64_t from;
    uint64_t to;

    openai__pick(citation, &(struct openai_pick){names, CITE_COUNT, m});
    if (m[CITE_CHAT].type == JSON_OBJECT)
        openai__pick(m[CITE_CHAT].value, &(struct openai_pick){names, CITE_COUNT, m});
    if (m[CITE_URL].type != JSON_STRING)
        return false;
    if (json_u64(m[CITE_START].value, &from) == 0 && json_u64(m[CITE_END].value, &to) == 0) {
        end = start + to;
        start += from;
    }
    if (first) {
        json_key(w, SLICE("annotations"));
        json_array(w);
    }
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"url_citation\""));
    json_key(w, SLICE("url_citation"));
    json_object(w);
    json_member_number(w, SLICE("start_index"), start);
    json_member_number(w, SLICE("end_index"), end);
    json_member(w, SLICE("title"),
                m[CITE_TITLE].type == JSON_STRING ? m[CITE_TITLE].value : SLICE("\"\""));
    json_member(w, SLICE("url"), m[CITE_URL].value);
    json_object_end(w);
    json_object_end(w);
    return true;
}

static void write_annotations(struct json_writer *w, const struct canon_block *blocks)
{
    uint64_t start = 0;
    bool any = false;

    for (const struct canon_block *b = blocks; b; b = b->next) {
        enum json_type type;
        struct slice element;
        if (b->kind != CANON_TEXT)
            continue;
        uint64_t end = start + code_points(b->text);
        for (size_t at = 0;
             b->citations.len > 0 && json_array_next(b->citations, &at, &type, &element);)
            if (type == JSON_OBJECT)
                any |= write_citation(w, element, start, end, !any);
        start = end;
    }
    if (any)
        json_array_end(w);
}

// ---- The answer --------------------------------------------------------------------------------

static void write_message(const struct canon_answer *a, struct json_writer *w)
{
    bool calls = false;
    for (const struct canon_block *b = a->blocks; b; b = b->next)
        calls |= b->kind == CANON_TOOL_CALL;
    json_object(w);
    json_member(w, SLICE("role"), SLICE("\"assistant\""));
    write_member(w, SLICE("content"), a->blocks, CANON_TEXT);
    write_member(w, SLICE("refusal"), a->blocks, CANON_REFUSAL);
    write_thoughts(w, a->blocks);
    if (calls)
        openai__write_calls(w, a->blocks);
    write_annotations(w, a->blocks);
    json_object_end(w);
}

// Responses have a list of tokens where chat has an object of two lists.
static void write_logprobs(struct slice logprobs, struct json_writer *w)
{
    json_key(w, SLICE("logprobs"));
    if (slice_starts(logprobs, SLICE("["))) {
        json_object(w);
        json_member(w, SLICE("content"), logprobs);
        json_member(w, SLICE("refusal"), SLICE("null"));
        json_object_end(w);
    } else {
        json_raw(w, logprobs.len > 0 ? logprobs : SLICE("null"));
    }
}

int openai_chat__write_answer(const struct canon_answer *a, const struct canon_context *c,
                              struct json_writer *w)
{
    json_object(w);
    openai__write_frame(a, c, w, SLICE("chatcmpl-"), SLICE("chat.completion"));
    json_key(w, SLICE("choices"));
    json_array(w);
    json_object(w);
    json_member_number(w, SLICE("index"), 0);
    json_key(w, SLICE("message"));
    write_message(a, w);
    write_logprobs(a->logprobs, w);
    json_member(w, SLICE("finish_reason"), openai__write_stop(a->stop));
    json_object_end(w);
    json_array_end(w);
    if (a->usage.known) {
        json_key(w, SLICE("usage"));
        openai__write_usage(w, &a->usage);
    }
    json_member(w, SLICE("service_tier"), a->service_tier);
    json_member(w, SLICE("system_fingerprint"), a->system_fingerprint);
    json_object_end(w);
    return w->err;
}
