// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_input.c: messages and their blocks, written as the items of `input`.
//
// Text, images and files of a message are parts of one `message` item; a call, a thought or a
// result is an item of its own and ends the one before it. An item begins with the first part that
// is really written, so a message of which nothing crosses leaves nothing behind.
//
//     ASSISTANT  text  thinking  call  text
//                └──┘  └──────┘  └──┘  └──┘
//                message  reasoning  function_call  message
//
// What an assistant said is a message with a string for each text: a part `output_text` belongs to
// an item with an id, and nobody has one.
//
// A thought goes only to who sealed it. One with OpenAI's seal is put together again from the
// signature that carried it; any other would be refused as forged, so it is dropped and reported.
//
// Source: platform.openai.com/docs/api-reference/responses/create (input).

#include "base/assert.h"
#include "base/err.h"
#include "codec/data_url.h"
#include "codec/dialect.h"
#include "codec/openai_responses_internal.h"

// Custom tool calls in one request, searched once for each result; stops thousands of either from
// costing their product.
#define CUSTOM_CALLS_MAX 1024

struct writer {
    struct canon_request *r;
    struct json_writer *w;
    enum canon_role role;
    bool own;
    bool as_string;       // texts are messages of their own
    bool open;            // a message item's content
    struct slice *custom; // ids of custom calls so far; room for CUSTOM_CALLS_MAX
    unsigned custom_count;
};

static const struct slice role_names[] = {
    [CANON_SYSTEM] = SLICE("\"system\""),
    [CANON_DEVELOPER] = SLICE("\"developer\""),
    [CANON_USER] = SLICE("\"user\""),
    [CANON_ASSISTANT] = SLICE("\"assistant\""),
};

// ---- Parts -----------------------------------------------------------------------------------

static void write_text(struct json_writer *w, struct slice text)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"input_text\""));
    json_member(w, SLICE("text"), text.len > 0 ? text : SLICE("\"\""));
    json_object_end(w);
}

static void write_image(struct json_writer *w, const struct canon_block *b)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"input_image\""));
    if (b->data.len > 0) {
        json_key(w, SLICE("image_url"));
        data_url_write(w, b->media_type, b->data);
    }
    json_member(w, SLICE("image_url"), b->data.len > 0 ? SLICE_EMPTY : b->url);
    json_member(w, SLICE("file_id"), b->file_id);
    json_member(w, SLICE("detail"), b->detail.len > 0 ? b->detail : SLICE("\"auto\""));
    json_object_end(w);
}

static int write_file(struct json_writer *w, const struct canon_block *b)
{
    int rc = 0;
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"input_file\""));
    json_member(w, SLICE("filename"), b->file_id.len > 0 ? SLICE_EMPTY : b->name);
    if (b->data.len > 0) {
        json_key(w, SLICE("file_data"));
        data_url_write(w, b->media_type, b->data);
    } else if (b->text.len > 0) {
        json_key(w, SLICE("file_data"));
        rc = data_url_write_text(w, b->text);
    } else if (slice_starts(b->url, SLICE("\"data:"))) {
        json_member(w, SLICE("file_data"), b->url);
    } else {
        json_member(w, SLICE("file_url"), b->url);
    }
    json_member(w, SLICE("file_id"), b->file_id);
    json_object_end(w);
    return rc;
}

static void write_audio(struct json_writer *w, const struct canon_block *b)
{
    struct slice format = literal_inner(b->media_type);

    if (slice_starts(format, SLICE("audio/")))
        format = slice_skip(format, 6);
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"input_audio\""));
    json_key(w, SLICE("input_audio"));
    json_object(w);
    json_member(w, SLICE("data"), b->data);
    json_key(w, SLICE("format"));
    json_string_open(w);
    json_string_inner(w, format);
    json_string_close(w);
    json_object_end(w);
    json_object_end(w);
}

// A block that is a part of a message or a result.
static int write_part(struct writer *x, const struct canon_block *b)
{
    switch (b->kind) {
    case CANON_TEXT:
    case CANON_REFUSAL:
        write_text(x->w, b->text);
        return 0;
    case CANON_IMAGE:
        write_image(x->w, b);
        return 0;
    case CANON_FILE:
        return write_file(x->w, b);
    case CANON_AUDIO:
        write_audio(x->w, b);
        return 0;
    case CANON_OPAQUE:
        json_raw(x->w, b->raw);
        return 0;
    default:
        ASSERT(!"a part");
        return 0;
    }
}

static bool is_text(enum canon_block_kind kind)
{
    return kind == CANON_TEXT || kind == CANON_REFUSAL;
}

// Opaque ones of this dialect may be parts or items; which, the reader has noted.
static bool is_part(const struct writer *x, const struct canon_block *b)
{
    if (b->kind == CANON_OPAQUE)
        return x->own && b->tool == CANON_TOOL_OPAQUE;
    return is_text(b->kind) || b->kind == CANON_IMAGE || b->kind == CANON_FILE ||
           b->kind == CANON_AUDIO;
}

static void drop_block(struct writer *x, const struct canon_block *b)
{
    struct json_member type = json_object_get(b->raw, SLICE("type"));
    struct slice name = type.type == JSON_STRING ? literal_inner(type.value) : SLICE_EMPTY;
    if (name.len == 0)
        name = b->kind == CANON_WEB_SEARCH ? SLICE("server_tool_use") : SLICE("content");
    canon_drop(x->r, name);
}

// ---- Message items ---------------------------------------------------------------------------

static void open_item(struct writer *x)
{
    json_object(x->w);
    json_member(x->w, SLICE("type"), SLICE("\"message\""));
    json_member(x->w, SLICE("role"), role_names[x->role]);
    json_key(x->w, SLICE("content"));
}

static void close_content(struct writer *x)
{
    if (!x->open)
        return;
    json_array_end(x->w);
    json_object_end(x->w);
    x->open = false;
}

// Is a text all that is left of the message?
static bool is_lone_text(const struct writer *x, const struct canon_message *m)
{
    const struct canon_block *text = NULL;

    for (const struct canon_block *b = m->blocks; b; b = b->next) {
        if (b->kind == CANON_OPAQUE && !x->own)
            continue;
        if (text || !is_text(b->kind) || b->cache_control.len > 0)
            return false;
        text = b;
    }
    return text != NULL;
}

static void write_said(struct writer *x, const struct canon_block *b)
{
    close_content(x);
    open_item(x);
    json_raw(x->w, b->text.len > 0 ? b->text : SLICE("\"\""));
    json_object_end(x->w);
}

// ---- Items of their own ------------------------------------------------------------------------

static void write_string_of(struct json_writer *w, const struct canon_block *call)
{
    if (call->arguments_quoted && call->arguments.len > 0)
        json_raw(w, call->arguments);
    else
        json_string(w, call->arguments.len > 0 ? call->arguments : SLICE("{}"));
}

static int write_call(struct writer *x, const struct canon_block *b)
{
    bool custom = b->tool == CANON_TOOL_CUSTOM;

    if (custom) {
        if (!x->custom)
            x->custom = arena_alloc(x->r->arena, CUSTOM_CALLS_MAX * sizeof(*x->custom));
        if (!x->custom)
            return ERR_NOMEM;
        if (x->custom_count == CUSTOM_CALLS_MAX)
            return ERR_LIMIT;
        x->custom[x->custom_count++] = b->id;
    }
    json_object(x->w);
    json_member(x->w, SLICE("type"),
                custom ? SLICE("\"custom_tool_call\"") : SLICE("\"function_call\""));
    json_member(x->w, SLICE("call_id"), b->id);
    json_member(x->w, SLICE("name"), b->name);
    json_key(x->w, custom ? SLICE("input") : SLICE("arguments"));
    write_string_of(x->w, b);
    json_object_end(x->w);
    return 0;
}

static int write_thought(struct writer *x, const struct canon_block *b)
{
    struct slice id;
    struct slice encrypted;

    if (!responses__own_seal(b->signature, &id, &encrypted)) {
        canon_drop(x->r, SLICE("reasoning"));
        return 0;
    }
    json_object(x->w);
    json_member(x->w, SLICE("type"), SLICE("\"reasoning\""));
    if (id.len > 0) {
        json_key(x->w, SLICE("id"));
        json_string_open(x->w);
        json_string_inner(x->w, id);
        json_string_close(x->w);
    }
    json_key(x->w, SLICE("summary"));
    json_array(x->w);
    if (b->text.len > 2) {
        json_object(x->w);
        json_member(x->w, SLICE("type"), SLICE("\"summary_text\""));
        json_member(x->w, SLICE("text"), b->text);
        json_object_end(x->w);
    }
    json_array_end(x->w);
    json_key(x->w, SLICE("encrypted_content"));
    json_string_open(x->w);
    json_string_inner(x->w, encrypted);
    json_string_close(x->w);
    json_object_end(x->w);
    return 0;
}

static bool is_custom_call(const struct writer *x, struct slice id)
{
    for (unsigned i = 0; i < x->custom_count; i++)
        if (slice_eq(x->custom[i], id))
            return true;
    return false;
}

// What a tool said: a string when it is nothing but text, else parts.
static int write_output(struct writer *x, const struct canon_block *result)
{
    bool text_only = true;
    int rc = 0;

    for (const struct canon_block *b = result->content; b; b = b->next)
        text_only &= is_text(b->kind) || !is_part(x, b);
    if (text_only)
        json_string_open(x->w);
    else
        json_array(x->w);
    for (const struct canon_block *b = result->content; rc == 0 && b; b = b->next) {
        if (!is_part(x, b))
            drop_block(x, b);
        else if (text_only)
            json_string_inner(x->w, literal_inner(b->text));
        else
            rc = write_part(x, b);
    }
    if (text_only)
        json_string_close(x->w);
    else
        json_array_end(x->w);
    return rc;
}

static int write_result(struct writer *x, const struct canon_block *b)
{
    json_object(x->w);
    json_member(x->w, SLICE("type"),
                is_custom_call(x, b->id) ? SLICE("\"custom_tool_call_output\"")
                                         : SLICE("\"function_call_output\""));
    json_member(x->w, SLICE("call_id"), b->id);
    json_key(x->w, SLICE("output"));
    int rc = write_output(x, b);
    json_object_end(x->w);
    return rc;
}

static int write_raw(struct writer *x, const struct canon_block *b)
{
    if (x->own && b->raw.len > 0)
        json_raw(x->w, b->raw);
    else
        drop_block(x, b);
    return 0;
}

static int (*const item_kinds[CANON_BLOCK_KIND_COUNT])(struct writer *x,
                                                       const struct canon_block *b) = {
    [CANON_THINKING] = write_thought, [CANON_REDACTED_THINKING] = write_thought,
    [CANON_TOOL_CALL] = write_call,   [CANON_TOOL_RESULT] = write_result,
    [CANON_WEB_SEARCH] = write_raw,   [CANON_OPAQUE] = write_raw,
};

// ---- Messages --------------------------------------------------------------------------------

static int write_block(struct writer *x, const struct canon_block *b)
{
    if (!is_part(x, b)) {
        close_content(x);
        return item_kinds[b->kind](x, b);
    }
    if (is_text(b->kind) && x->as_string) {
        write_said(x, b);
        return 0;
    }
    if (!x->open) {
        open_item(x);
        json_array(x->w);
        x->open = true;
    }
    return write_part(x, b);
}

static int write_message(struct writer *x, const struct canon_message *m)
{
    int rc = 0;

    // A result's parts are a user's.
    x->role = m->role == CANON_TOOL ? CANON_USER : m->role;
    x->as_string = m->role == CANON_ASSISTANT || is_lone_text(x, m);
    for (const struct canon_block *b = m->blocks; rc == 0 && b; b = b->next)
        rc = write_block(x, b);
    close_content(x);
    return rc;
}

int responses__write_input(struct canon_request *r, struct json_writer *w)
{
    struct writer x = {.r = r, .w = w, .own = r->from == &dialect_openai_responses};
    int rc = 0;

    if (r->prompt.len > 0) {
        json_raw(w, r->prompt);
        return 0;
    }
    json_array(w);
    for (const struct canon_message *m = r->messages; rc == 0 && m; m = m->next)
        rc = write_message(&x, m);
    json_array_end(w);
    return rc;
}
