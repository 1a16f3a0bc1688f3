// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_item.c: one item of `input` or `output` becomes blocks.
//
// The same items go in and come out, so one reader serves requests and answers; they differ in
// where blocks go (a request's into messages by role, an answer's into one list) and in what a
// wrong item is: the client's mistake, which is named, or the provider's.
//
//     message(user)  message(assistant)  function_call  reasoning  function_call_output ×2
//     └─ USER ─────┘ └─ ASSISTANT ────────────────────────────────┘ └─ TOOL ───────────┘
//
// Items of tools that only OpenAI runs are opaque blocks: their text, whole.
//
// Sources: platform.openai.com/docs/api-reference/responses/create (input items),
// /responses/object (output items).

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/data_url.h"
#include "codec/dialect.h"
#include "codec/openai_responses_internal.h"

#include <stdio.h>

#define FIELDS_MAX 8

int responses__bad(const struct responses_items *x, int err, struct slice member)
{
    if (!x->request)
        return ERR_UPSTREAM_PROTOCOL;
    char list[64] = "";
    if (x->list && x->in_part)
        snprintf(list, sizeof(list), ".%s[%u]", x->list, x->part);
    else if (x->list)
        snprintf(list, sizeof(list), ".%s", x->list);
    struct slice path =
        arena_printf(x->arena, "%s[%u]%s%s%.*s", x->input, x->at, list, member.len > 0 ? "." : "",
                     (int)member.len, member.len > 0 ? member.ptr : "");
    if (!path.ptr)
        return ERR_NOMEM;
    const char *what = err == ERR_MISSING       ? "is missing"
                       : err == ERR_UNSUPPORTED ? "cannot be sent to this provider"
                                                : "is not what it must be";
    return canon_refuse(x->request, err, path, "`%.*s` %s", SLICE_ARG(path), what);
}

// responses__fields, with the refusal.
static int fields_of(const struct responses_items *x, struct slice object,
                     const struct responses_field *fields, unsigned count, struct slice *ret)
{
    unsigned field;
    ASSERT(count <= FIELDS_MAX);
    int rc = responses__fields(object, fields, count, ret, &field);
    return rc ? responses__bad(x, rc, fields[field].name) : 0;
}

// ---- Places ----------------------------------------------------------------------------------

// The message that takes the next block of this role: the last one when `join` allows it.
static int open_message(struct responses_items *x, enum canon_role role, bool join)
{
    if (!x->request)
        return 0;
    if (join && x->message && x->message->role == role) {
        x->message->plain = false;
        return 0;
    }
    int rc = canon_add_message(x->request, &x->messages, &x->message);
    if (rc)
        return rc;
    x->message->role = role;
    x->tail = &x->message->blocks;
    return 0;
}

static int add_block(const struct responses_items *x, struct canon_block ***tail,
                     enum canon_block_kind kind, struct canon_block **ret)
{
    int rc = canon_add_block(x->arena, x->parts, tail, ret);
    if (rc == 0)
        (*ret)->kind = kind;
    return rc;
}

static int add_text(const struct responses_items *x, struct canon_block ***tail, struct slice text)
{
    struct canon_block *b;
    int rc = add_block(x, tail, CANON_TEXT, &b);
    if (rc == 0)
        b->text = text;
    return rc;
}

int responses__plain_message(struct responses_items *x, enum canon_role role, struct slice text)
{
    struct canon_block **tail;
    int rc = open_message(x, role, false);
    if (rc)
        return rc;
    tail = x->tail;
    rc = add_text(x, &tail, text);
    x->tail = tail;
    x->message->plain = true;
    return rc;
}

// ---- Parts of a content ------------------------------------------------------------------------

static bool has_elements(struct slice array)
{
    size_t at = 0;
    enum json_type type;
    struct slice element;
    return array.len > 0 && json_array_next(array, &at, &type, &element);
}

static int read_text(struct responses_items *x, struct slice part, struct canon_block ***tail)
{
    enum { TEXT, ANNOTATIONS, CACHE, LOGPROBS, COUNT };
    static const struct responses_field fields[COUNT] = {
        [TEXT] = {SLICE("text"), RESPONSES_STRING | RESPONSES_REQUIRED},
        [ANNOTATIONS] = {SLICE("annotations"), RESPONSES_ARRAY},
        [CACHE] = {SLICE("cache_control"), RESPONSES_OBJECT},
        [LOGPROBS] = {SLICE("logprobs"), RESPONSES_ARRAY},
    };
    struct slice v[COUNT];
    struct canon_block *b;

    int rc = fields_of(x, part, fields, COUNT, v);
    if (rc == 0)
        rc = add_block(x, tail, CANON_TEXT, &b);
    if (rc)
        return rc;
    b->text = v[TEXT];
    if (x->logprobs.len == 0 && has_elements(v[LOGPROBS]))
        x->logprobs = v[LOGPROBS];
    b->cache_control = v[CACHE];
    if (has_elements(v[ANNOTATIONS])) {
        b->citations = v[ANNOTATIONS];
        b->citations_of = &dialect_openai_responses;
    }
    return 0;
}

static int read_refusal(struct responses_items *x, struct slice part, struct canon_block ***tail)
{
    static const struct responses_field field = {SLICE("refusal"),
                                                 RESPONSES_STRING | RESPONSES_REQUIRED};
    struct slice text;
    struct canon_block *b;

    int rc = fields_of(x, part, &field, 1, &text);
    if (rc == 0)
        rc = add_block(x, tail, CANON_REFUSAL, &b);
    if (rc)
        return rc;
    b->text = text;
    x->has_refusal = true;
    return 0;
}

static int read_image(struct responses_items *x, struct slice part, struct canon_block ***tail)
{
    enum { URL, FILE_ID, DETAIL, CACHE, COUNT };
    static const struct responses_field fields[COUNT] = {
        [URL] = {SLICE("image_url"), RESPONSES_STRING},
        [FILE_ID] = {SLICE("file_id"), RESPONSES_STRING},
        [DETAIL] = {SLICE("detail"), RESPONSES_STRING},
        [CACHE] = {SLICE("cache_control"), RESPONSES_OBJECT},
    };
    struct slice v[COUNT];
    struct canon_block *b;

    int rc = fields_of(x, part, fields, COUNT, v);
    if (rc)
        return rc;
    if (v[URL].len == 0 && v[FILE_ID].len == 0)
        return responses__bad(x, ERR_MISSING, fields[URL].name);
    rc = add_block(x, tail, CANON_IMAGE, &b);
    if (rc)
        return rc;
    b->url = v[URL];
    b->file_id = v[FILE_ID];
    b->detail = v[DETAIL];
    b->cache_control = v[CACHE];
    return 0;
}

static int read_file(struct responses_items *x, struct slice part, struct canon_block ***tail)
{
    enum { NAME, DATA, URL, FILE_ID, TYPE, CACHE, COUNT };
    static const struct responses_field fields[COUNT] = {
        [NAME] = {SLICE("filename"), RESPONSES_STRING},
        [DATA] = {SLICE("file_data"), RESPONSES_STRING},
        [URL] = {SLICE("file_url"), RESPONSES_STRING},
        [FILE_ID] = {SLICE("file_id"), RESPONSES_STRING},
        [TYPE] = {SLICE("file_type"), RESPONSES_STRING},
        [CACHE] = {SLICE("cache_control"), RESPONSES_OBJECT},
    };
    struct slice v[COUNT];
    struct canon_block *b;

    int rc = fields_of(x, part, fields, COUNT, v);
    if (rc)
        return rc;
    if (v[DATA].len == 0 && v[URL].len == 0 && v[FILE_ID].len == 0)
        return responses__bad(x, ERR_MISSING, fields[DATA].name);
    rc = add_block(x, tail, CANON_FILE, &b);
    if (rc)
        return rc;
    b->name = v[NAME];
    b->cache_control = v[CACHE];
    if (v[FILE_ID].len > 0)
        b->file_id = v[FILE_ID];
    else if (v[DATA].len == 0)
        b->url = v[URL];
    if (b->file_id.len > 0 || b->url.len > 0)
        return 0;
    rc = data_url_read(x->arena, v[DATA], &b->media_type, &b->data);
    if (rc || b->data.len > 0)
        return rc;
    if (slice_starts(v[DATA], SLICE("\"data:"))) { // one whose data is no base64
        b->url = v[DATA];
        return 0;
    }
    b->data = v[DATA];
    b->media_type = v[TYPE].len > 0 ? v[TYPE] : SLICE("\"application/pdf\"");
    return 0;
}

static int read_audio(struct responses_items *x, struct slice part, struct canon_block ***tail)
{
    static const struct responses_field outer = {SLICE("input_audio"),
                                                 RESPONSES_OBJECT | RESPONSES_REQUIRED};
    enum { DATA, FORMAT, COUNT };
    static const struct responses_field fields[COUNT] = {
        [DATA] = {SLICE("data"), RESPONSES_STRING | RESPONSES_REQUIRED},
        [FORMAT] = {SLICE("format"), RESPONSES_STRING | RESPONSES_REQUIRED},
    };
    struct slice audio;
    struct slice v[COUNT];
    struct canon_block *b;

    int rc = fields_of(x, part, &outer, 1, &audio);
    if (rc == 0)
        rc = fields_of(x, audio, fields, COUNT, v);
    if (rc == 0)
        rc = add_block(x, tail, CANON_AUDIO, &b);
    if (rc)
        return rc;
    b->data = v[DATA];
    b->media_type = v[FORMAT];
    return 0;
}

static const struct {
    struct slice type;
    int (*read)(struct responses_items *x, struct slice part, struct canon_block ***tail);
} part_kinds[] = {
    {SLICE("input_text"), read_text},   {SLICE("output_text"), read_text},
    {SLICE("text"), read_text},         {SLICE("refusal"), read_refusal},
    {SLICE("input_image"), read_image}, {SLICE("input_file"), read_file},
    {SLICE("input_audio"), read_audio},
};

static int read_part(struct responses_items *x, struct slice part, struct canon_block ***tail)
{
    static const struct responses_field field = {SLICE("type"),
                                                 RESPONSES_STRING | RESPONSES_REQUIRED};
    struct slice type;
    struct canon_block *b;

    int rc = fields_of(x, part, &field, 1, &type);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(part_kinds); i++)
        if (literal_is(type, part_kinds[i].type))
            return part_kinds[i].read(x, part, tail);
    rc = add_block(x, tail, CANON_OPAQUE, &b);
    if (rc)
        return rc;
    b->raw = part;
    b->tool = CANON_TOOL_OPAQUE; // a part, no item: see write_input
    return 0;
}

// A content: a literal or an array of parts.
static int read_content(struct responses_items *x, const char *list, struct slice content,
                        struct canon_block ***tail)
{
    enum json_type type;
    struct slice part;
    int rc = 0;

    if (responses__is(content, '"'))
        return add_text(x, tail, content);
    x->list = list;
    x->in_part = true;
    x->part = 0;
    for (size_t at = 0; rc == 0 && json_array_next(content, &at, &type, &part); x->part++)
        rc = type == JSON_OBJECT ? read_part(x, part, tail)
                                 : responses__bad(x, ERR_BAD_TYPE, SLICE_EMPTY);
    x->list = NULL;
    x->in_part = false;
    return rc;
}

// ---- Items -----------------------------------------------------------------------------------

static const struct {
    struct slice name;
    enum canon_role role;
} roles[] = {
    {SLICE("user"), CANON_USER},
    {SLICE("assistant"), CANON_ASSISTANT},
    {SLICE("system"), CANON_SYSTEM},
    {SLICE("developer"), CANON_DEVELOPER},
};

static int read_message(struct responses_items *x, struct slice item)
{
    enum { ROLE, CONTENT, COUNT };
    static const struct responses_field fields[COUNT] = {
        [ROLE] = {SLICE("role"), RESPONSES_STRING | RESPONSES_REQUIRED},
        [CONTENT] = {SLICE("content"), RESPONSES_STRING | RESPONSES_ARRAY | RESPONSES_REQUIRED},
    };
    struct slice v[COUNT];
    size_t i = 0;

    int rc = fields_of(x, item, fields, COUNT, v);
    if (rc)
        return rc;
    while (i < ARRAY_LEN(roles) && !literal_is(v[ROLE], roles[i].name))
        i++;
    if (i == ARRAY_LEN(roles))
        return responses__bad(x, ERR_BAD_TYPE, fields[ROLE].name);
    const struct canon_message *before = x->message;
    rc = open_message(x, roles[i].role, roles[i].role == CANON_ASSISTANT);
    if (rc)
        return rc;
    if (x->request && x->message != before)
        x->message->plain = responses__is(v[CONTENT], '"');
    struct canon_block **tail = x->tail;
    rc = read_content(x, "content", v[CONTENT], &tail);
    x->tail = tail;
    return rc;
}

static int add_call(struct responses_items *x, enum canon_tool_kind tool, struct slice id,
                    struct slice name, struct slice arguments)
{
    struct canon_block *b;
    int rc = open_message(x, CANON_ASSISTANT, true);
    if (rc == 0)
        rc = add_block(x, &x->tail, CANON_TOOL_CALL, &b);
    if (rc)
        return rc;
    b->tool = tool;
    b->id = id;
    b->name = name;
    b->arguments = arguments;
    b->arguments_quoted = true;
    x->has_call = true;
    return 0;
}

static int read_function_call(struct responses_items *x, struct slice item)
{
    static const struct responses_field fields[] = {
        {SLICE("call_id"), RESPONSES_STRING | RESPONSES_REQUIRED},
        {SLICE("name"), RESPONSES_STRING | RESPONSES_REQUIRED},
        {SLICE("arguments"), RESPONSES_STRING | RESPONSES_REQUIRED},
    };
    struct slice v[ARRAY_LEN(fields)];
    int rc = fields_of(x, item, fields, ARRAY_LEN(fields), v);
    return rc ? rc : add_call(x, CANON_TOOL_FUNCTION, v[0], v[1], v[2]);
}

static int read_custom_call(struct responses_items *x, struct slice item)
{
    static const struct responses_field fields[] = {
        {SLICE("call_id"), RESPONSES_STRING | RESPONSES_REQUIRED},
        {SLICE("name"), RESPONSES_STRING | RESPONSES_REQUIRED},
        {SLICE("input"), RESPONSES_STRING | RESPONSES_REQUIRED},
    };
    struct slice v[ARRAY_LEN(fields)];
    int rc = fields_of(x, item, fields, ARRAY_LEN(fields), v);
    return rc ? rc : add_call(x, CANON_TOOL_CUSTOM, v[0], v[1], v[2]);
}

// An output that is neither text nor parts: its JSON is the text.
static int read_output_value(struct responses_items *x, struct slice value,
                             struct canon_block ***tail)
{
    struct json_writer w;
    struct slice text;

    json_writer_init(&w, x->arena, value.len + value.len / 8 + 2);
    json_string(&w, value);
    int rc = json_writer_done(&w, &text);
    return rc ? rc : add_text(x, tail, text);
}

static int read_output(struct responses_items *x, struct slice item)
{
    enum { CALL, OUTPUT, CONTENT, COUNT };
    static const struct responses_field fields[COUNT] = {
        [CALL] = {SLICE("call_id"), RESPONSES_STRING | RESPONSES_REQUIRED},
        [OUTPUT] = {SLICE("output"), RESPONSES_ANY},
        [CONTENT] = {SLICE("content"), RESPONSES_STRING | RESPONSES_ARRAY},
    };
    struct slice v[COUNT];
    struct canon_block *b;

    int rc = fields_of(x, item, fields, COUNT, v);
    if (rc)
        return rc;
    struct slice output = v[OUTPUT].len > 0 ? v[OUTPUT] : v[CONTENT];
    if (output.len == 0)
        return responses__bad(x, ERR_MISSING, fields[OUTPUT].name);
    rc = open_message(x, CANON_TOOL, true);
    if (rc == 0)
        rc = add_block(x, &x->tail, CANON_TOOL_RESULT, &b);
    if (rc)
        return rc;
    b->id = v[CALL];
    struct canon_block **tail = &b->content;
    if (responses__is(output, '"') || responses__is(output, '['))
        return read_content(x, v[OUTPUT].len > 0 ? "output" : "content", output, &tail);
    return read_output_value(x, output, &tail);
}

// The `text` of each element of a summary or content, with an empty line between them.
static int join_thoughts(struct responses_items *x, const char *list, struct slice array,
                         struct slice *ret)
{
    static const struct responses_field field = {SLICE("text"),
                                                 RESPONSES_STRING | RESPONSES_REQUIRED};
    struct json_writer w;
    enum json_type type;
    struct slice part;
    struct slice text;
    unsigned count = 0;

    x->list = list;
    x->in_part = true;
    x->part = 0;
    json_writer_init(&w, x->arena, array.len + 2);
    json_string_open(&w);
    for (size_t at = 0; json_array_next(array, &at, &type, &part); x->part++) {
        int rc = type == JSON_OBJECT ? fields_of(x, part, &field, 1, &text)
                                     : responses__bad(x, ERR_BAD_TYPE, SLICE_EMPTY);
        if (rc)
            return rc;
        if (count++ > 0)
            json_string_inner(&w, SLICE("\\n\\n"));
        json_string_inner(&w, literal_inner(text));
    }
    json_string_close(&w);
    x->list = NULL;
    x->in_part = false;
    return json_writer_done(&w, ret);
}

static int read_reasoning(struct responses_items *x, struct slice item)
{
    enum { ID, SUMMARY, CONTENT, SEALED, COUNT };
    static const struct responses_field fields[COUNT] = {
        [ID] = {SLICE("id"), RESPONSES_STRING},
        [SUMMARY] = {SLICE("summary"), RESPONSES_ARRAY},
        [CONTENT] = {SLICE("content"), RESPONSES_ARRAY},
        [SEALED] = {SLICE("encrypted_content"), RESPONSES_STRING},
    };
    struct slice v[COUNT];
    struct slice text = SLICE("\"\"");
    struct slice sealed = SLICE_EMPTY;
    bool redacted = false;
    struct canon_block *b;

    int rc = fields_of(x, item, fields, COUNT, v);
    if (rc == 0 && has_elements(v[SUMMARY]))
        rc = join_thoughts(x, "summary", v[SUMMARY], &text);
    else if (rc == 0 && has_elements(v[CONTENT]))
        rc = join_thoughts(x, "content", v[CONTENT], &text);
    if (rc == 0 && v[SEALED].len > 2)
        rc = responses__unseal(x->arena, v[ID], v[SEALED], &redacted, &sealed);
    if (rc || (sealed.len <= 2 && (redacted || text.len == 2))) // nothing is in it
        return rc;
    rc = open_message(x, CANON_ASSISTANT, true);
    if (rc == 0)
        rc = add_block(x, &x->tail, redacted ? CANON_REDACTED_THINKING : CANON_THINKING, &b);
    if (rc)
        return rc;
    if (redacted) {
        b->data = sealed;
        return 0;
    }
    b->text = text;
    b->signature = sealed;
    return 0;
}

static int read_search(struct responses_items *x, struct slice item)
{
    enum { ID, ACTION, COUNT };
    static const struct responses_field fields[COUNT] = {
        [ID] = {SLICE("id"), RESPONSES_STRING},
        [ACTION] = {SLICE("action"), RESPONSES_OBJECT},
    };
    struct slice v[COUNT];
    struct canon_block *b;

    int rc = fields_of(x, item, fields, COUNT, v);
    if (rc == 0)
        rc = open_message(x, CANON_ASSISTANT, true);
    if (rc == 0)
        rc = add_block(x, &x->tail, CANON_WEB_SEARCH, &b);
    if (rc)
        return rc;
    struct json_member query = json_object_get(v[ACTION], SLICE("query"));
    b->id = v[ID];
    b->text = query.type == JSON_STRING ? query.value : SLICE("\"\"");
    b->raw = item;
    return 0;
}

static int read_reference(struct responses_items *x, struct slice item)
{
    (void)item;
    if (!x->request)
        return ERR_UPSTREAM_PROTOCOL;
    return canon_refuse(x->request, ERR_UNSUPPORTED, slice_str(x->input),
                        "`%s[%u]` names an item whose history is not here", x->input, x->at);
}

static bool ends_with(struct slice s, struct slice end)
{
    return s.len >= end.len && slice_eq(slice_skip(s, s.len - end.len), end);
}

// What the client's side did stands in a message of its own, so that turns stay apart.
static int read_opaque(struct responses_items *x, struct slice type, struct slice item)
{
    struct canon_block *b;
    struct slice name = literal_inner(type);
    bool of_client = ends_with(name, SLICE("_output")) || ends_with(name, SLICE("_response"));

    int rc = open_message(x, of_client ? CANON_USER : CANON_ASSISTANT, !of_client);
    if (rc == 0)
        rc = add_block(x, &x->tail, CANON_OPAQUE, &b);
    if (rc == 0)
        b->raw = item;
    return rc;
}

static const struct {
    struct slice type;
    int (*read)(struct responses_items *x, struct slice item);
} item_kinds[] = {
    {SLICE("message"), read_message},
    {SLICE("function_call"), read_function_call},
    {SLICE("function_call_output"), read_output},
    {SLICE("reasoning"), read_reasoning},
    {SLICE("custom_tool_call"), read_custom_call},
    {SLICE("custom_tool_call_output"), read_output},
    {SLICE("web_search_call"), read_search},
    {SLICE("item_reference"), read_reference},
};

int responses__read_item(struct responses_items *x, struct slice item)
{
    enum { TYPE, ROLE, ID, COUNT };
    static const struct responses_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), RESPONSES_STRING},
        [ROLE] = {SLICE("role"), RESPONSES_STRING},
        [ID] = {SLICE("id"), RESPONSES_STRING},
    };
    struct slice v[COUNT];

    int rc = fields_of(x, item, fields, COUNT, v);
    if (rc)
        return rc;
    if (v[TYPE].len == 0 && v[ROLE].len > 0)
        return read_message(x, item);
    if (v[TYPE].len == 0)
        return v[ID].len > 0 ? read_reference(x, item)
                             : responses__bad(x, ERR_MISSING, fields[TYPE].name);
    for (size_t i = 0; i < ARRAY_LEN(item_kinds); i++)
        if (literal_is(v[TYPE], item_kinds[i].type))
            return item_kinds[i].read(x, item);
    return read_opaque(x, v[TYPE], item);
}
