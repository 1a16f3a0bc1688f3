// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_history.c: the messages of a chat request become canonical ones.
//
// A message's members are found first and put in order then: what was thought, what was said, what
// was refused, what was called; chat says nothing about their order and the other dialects do.
//
//     reasoning_details (or reasoning, reasoning_content) ──► THINKING, REDACTED_THINKING
//     content ──► TEXT, IMAGE, …      refusal ──► REFUSAL      tool_calls ──► TOOL_CALL
//
// A message of role `tool` is one result, one of role `function` the same for the last
// function_call, which had no identifier: it gets one here.
//
// Sources: platform.openai.com/docs/api-reference/chat/create, docs/translation.md.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/data_url.h"
#include "codec/openai_internal.h"

enum member {
    ROLE,
    CONTENT,
    NAME,
    REFUSAL,
    TOOL_CALLS,
    TOOL_CALL_ID,
    FUNCTION_CALL,
    REASONING,
    REASONING_CONTENT,
    REASONING_DETAILS,
    MEMBER_COUNT
};

// What a walk over the messages remembers.
struct history {
    struct canon_request *r;
    struct canon_message **tail;
    unsigned function_calls; // of the old kind
    struct slice function_id;
};

// Where blocks go, and the place in the request they come from.
struct place {
    struct canon_request *r;
    const struct openai_path *path;
    struct canon_block **tail;
};

static int add_block(struct place *p, enum canon_block_kind kind, struct canon_block **ret)
{
    int rc = canon_add_block(p->r->arena, &p->r->parts, &p->tail, ret);
    if (rc == 0)
        (*ret)->kind = kind;
    return rc;
}

static int add_text(struct place *p, enum canon_block_kind kind, struct slice text)
{
    struct canon_block *b;
    int rc = add_block(p, kind, &b);
    if (rc == 0)
        b->text = text;
    return rc;
}

// ---- Parts of a content ------------------------------------------------------------------------

static int read_text(struct place *p, const struct json_member *m, struct canon_block *b)
{
    b->text = m->value;
    return openai__expect(p->r, p->path, SLICE("text"), m, ANY_STRING, true);
}

static int read_refusal(struct place *p, const struct json_member *m, struct canon_block *b)
{
    b->text = m->value;
    return openai__expect(p->r, p->path, SLICE("refusal"), m, ANY_STRING, true);
}

static int set_url(struct place *p, struct slice url, struct canon_block *b)
{
    int rc = data_url_read(p->r->arena, url, &b->media_type, &b->data);
    if (b->data.len == 0)
        b->url = url;
    return rc;
}

static int read_image(struct place *p, const struct json_member *m, struct canon_block *b)
{
    enum { URL, DETAIL, COUNT };
    static const struct slice names[COUNT] = {SLICE("url"), SLICE("detail")};
    struct openai_path path = {.up = p->path, .name = SLICE("image_url")};
    struct json_member in[COUNT];
    int rc = openai__expect(p->r, p->path, path.name, m, ANY_STRING | ANY_OBJECT, true);

    if (rc)
        return rc;
    if (m->type == JSON_STRING) // some clients leave the object out
        return set_url(p, m->value, b);
    openai__pick(m->value, &(struct openai_pick){names, COUNT, in});
    if ((rc = openai__expect(p->r, &path, names[URL], &in[URL], ANY_STRING, true)) ||
        (rc = openai__expect(p->r, &path, names[DETAIL], &in[DETAIL], ANY_STRING, false)))
        return rc;
    b->detail = in[DETAIL].value;
    return set_url(p, in[URL].value, b);
}

static int read_audio(struct place *p, const struct json_member *m, struct canon_block *b)
{
    enum { DATA, FORMAT, COUNT };
    static const struct slice names[COUNT] = {SLICE("data"), SLICE("format")};
    struct openai_path path = {.up = p->path, .name = SLICE("input_audio")};
    struct json_member in[COUNT];
    int rc = openai__expect(p->r, p->path, path.name, m, ANY_OBJECT, true);

    if (rc)
        return rc;
    openai__pick(m->value, &(struct openai_pick){names, COUNT, in});
    if ((rc = openai__expect(p->r, &path, names[DATA], &in[DATA], ANY_STRING, true)) ||
        (rc = openai__expect(p->r, &path, names[FORMAT], &in[FORMAT], ANY_STRING, false)))
        return rc;
    b->data = in[DATA].value;
    b->media_type = in[FORMAT].value; // "wav", "mp3": both dialects that take audio say it so
    return 0;
}

// `file_data` is a data: URL, or bare base64 of the type beside it (Bifrost's `file_type`).
static int read_file(struct place *p, const struct json_member *m, struct canon_block *b)
{
    enum { DATA, ID, FILENAME, TYPE, COUNT };
    static const struct slice names[COUNT] = {SLICE("file_data"), SLICE("file_id"),
                                              SLICE("filename"), SLICE("file_type")};
    struct openai_path path = {.up = p->path, .name = SLICE("file")};
    struct json_member in[COUNT];
    int rc = openai__expect(p->r, p->path, path.name, m, ANY_OBJECT, true);

    if (rc)
        return rc;
    openai__pick(m->value, &(struct openai_pick){names, COUNT, in});
    for (unsigned i = 0; rc == 0 && i < COUNT; i++)
        rc = openai__expect(p->r, &path, names[i], &in[i], ANY_STRING, false);
    if (rc)
        return rc;
    b->name = in[FILENAME].value;
    if (in[DATA].type == JSON_NONE) {
        b->file_id = in[ID].value;
        return openai__expect(p->r, &path, names[ID], &in[ID], ANY_STRING, true);
    }
    rc = data_url_read(p->r->arena, in[DATA].value, &b->media_type, &b->data);
    if (rc || b->data.len > 0)
        return rc;
    if (slice_istarts(literal_inner(in[DATA].value), SLICE("data:")))
        return openai__refuse(p->r, ERR_BAD_TYPE, &path, names[DATA], "must be base64");
    b->data = in[DATA].value;
    b->media_type = SLICE("\"application/pdf\"");
    if (in[TYPE].type == JSON_STRING)
        rc = data_url_read_type(p->r->arena, in[TYPE].value, &b->media_type);
    if (rc == ERR_BAD_TYPE)
        return openai__refuse(p->r, rc, &path, names[TYPE], "must be a media type");
    return rc;
}

enum part {
    PART_TEXT,
    PART_REFUSAL,
    PART_IMAGE,
    PART_AUDIO,
    PART_FILE,
    PART_TYPE,
    PART_CACHE_CONTROL,
    PART_COUNT
};

static const struct slice part_names[PART_COUNT] = {
    [PART_TEXT] = SLICE("text"),
    [PART_REFUSAL] = SLICE("refusal"),
    [PART_IMAGE] = SLICE("image_url"),
    [PART_AUDIO] = SLICE("input_audio"),
    [PART_FILE] = SLICE("file"),
    [PART_TYPE] = SLICE("type"),
    [PART_CACHE_CONTROL] = SLICE("cache_control"),
};

// A part's type is the name of the member that holds it.
static const struct {
    enum canon_block_kind kind;
    int (*read)(struct place *p, const struct json_member *m, struct canon_block *b);
} part_kinds[] = {
    [PART_TEXT] = {CANON_TEXT, read_text},    [PART_REFUSAL] = {CANON_REFUSAL, read_refusal},
    [PART_IMAGE] = {CANON_IMAGE, read_image}, [PART_AUDIO] = {CANON_AUDIO, read_audio},
    [PART_FILE] = {CANON_FILE, read_file},
};

static int read_part(struct place *p, struct slice object)
{
    struct json_member m[PART_COUNT];
    struct canon_member *extra = NULL;
    struct canon_block *b;
    unsigned kind = 0;
    int rc =
        openai__pick_extra(p->r, object, &(struct openai_pick){part_names, PART_COUNT, m}, &extra);

    if (rc == 0)
        rc = openai__expect(p->r, p->path, part_names[PART_TYPE], &m[PART_TYPE], ANY_STRING, true);
    if (rc)
        return rc;
    while (kind < ARRAY_LEN(part_kinds) && !literal_is(m[PART_TYPE].value, part_names[kind]))
        kind++;
    bool known = kind < ARRAY_LEN(part_kinds);
    rc = add_block(p, known ? part_kinds[kind].kind : CANON_OPAQUE, &b);
    if (rc)
        return rc;
    if (!known) {
        b->raw = object;
        return 0;
    }
    b->extra = extra;
    if (m[PART_CACHE_CONTROL].type == JSON_OBJECT)
        b->cache_control = m[PART_CACHE_CONTROL].value;
    return part_kinds[kind].read(p, &m[kind], b);
}

static int read_parts(struct place *p, struct slice array)
{
    const struct openai_path *up = p->path;
    struct openai_path content = {.up = up, .name = SLICE("content")};
    struct json_member element = {0};
    int rc = 0;

    for (size_t at = 0; rc == 0 && json_array_next(array, &at, &element.type, &element.value);
         content.index++) {
        struct openai_path item = {.up = &content, .index = content.index};
        p->path = &item;
        rc = openai__expect(p->r, &item, SLICE_EMPTY, &element, ANY_OBJECT, true);
        if (rc == 0)
            rc = read_part(p, element.value);
    }
    p->path = up;
    return rc;
}

static int read_content(struct place *p, const struct json_member *m, bool *ret_plain)
{
    int rc = openai__expect(p->r, p->path, SLICE("content"), m, ANY_STRING | ANY_ARRAY, false);
    if (rc)
        return rc;
    *ret_plain = m->type == JSON_STRING;
    if (m->type == JSON_STRING)
        return add_text(p, CANON_TEXT, m->value);
    return m->type == JSON_ARRAY ? read_parts(p, m->value) : 0;
}

// ---- What an assistant did ---------------------------------------------------------------------

static int read_thoughts(struct place *p, const struct json_member *m)
{
    struct canon_block **before = p->tail;
    int rc = openai__expect(p->r, p->path, SLICE("reasoning_details"), &m[REASONING_DETAILS],
                            ANY_ARRAY, false);

    if (rc == 0 && m[REASONING_DETAILS].type == JSON_ARRAY)
        rc = openai__read_details(p->r->arena, &p->r->parts, m[REASONING_DETAILS].value, &p->tail);
    if (rc || p->tail != before)
        return rc; // the plain member says the same again
    struct slice text = openai__text(&m[REASONING]);
    if (text.len == 0)
        text = openai__text(&m[REASONING_CONTENT]);
    return text.len > 0 ? add_text(p, CANON_THINKING, text) : 0;
}

// The function or custom tool of a call: `holder` is {"name","arguments"} or {"name","input"}.
static int read_called(struct place *p, const struct json_member *holder, struct slice holder_name,
                       struct canon_block *b)
{
    struct openai_path path = {.up = p->path, .name = holder_name};
    struct json_member m[CALLED_COUNT];
    int rc = openai__expect(p->r, p->path, holder_name, holder, ANY_OBJECT, true);

    if (rc)
        return rc;
    openai__pick(holder->value, &(struct openai_pick){openai__called_names, CALLED_COUNT, m});
    enum openai_called input = b->tool == CANON_TOOL_CUSTOM ? CALLED_INPUT : CALLED_ARGUMENTS;
    if ((rc = openai__expect(p->r, &path, SLICE("name"), &m[CALLED_NAME], ANY_STRING, true)) ||
        (rc = openai__expect(p->r, &path, openai__called_names[input], &m[input], ANY_STRING,
                             false)))
        return rc;
    b->name = m[CALLED_NAME].value;
    b->arguments = m[input].type == JSON_STRING ? m[input].value : SLICE("\"\"");
    b->arguments_quoted = true;
    return 0;
}

static int read_call(struct place *p, struct slice object)
{
    struct json_member m[CALL_COUNT];
    struct canon_block *b;
    int rc = add_block(p, CANON_TOOL_CALL, &b);

    if (rc)
        return rc;
    openai__pick(object, &(struct openai_pick){openai__call_names, CALL_COUNT, m});
    if ((rc = openai__expect(p->r, p->path, SLICE("id"), &m[CALL_ID], ANY_STRING, true)) ||
        (rc = openai__expect(p->r, p->path, SLICE("type"), &m[CALL_TYPE], ANY_STRING, false)))
        return rc;
    b->id = m[CALL_ID].value;
    bool custom = literal_is(m[CALL_TYPE].value, SLICE("custom"));
    b->tool = custom ? CANON_TOOL_CUSTOM : CANON_TOOL_FUNCTION;
    enum openai_call holder = custom ? CALL_CUSTOM : CALL_FUNCTION;
    return read_called(p, &m[holder], openai__call_names[holder], b);
}

static int read_calls(struct place *p, const struct json_member *m)
{
    const struct openai_path *up = p->path;
    struct openai_path calls = {.up = up, .name = SLICE("tool_calls")};
    struct json_member element = {0};
    int rc = openai__expect(p->r, up, calls.name, m, ANY_ARRAY, false);

    if (rc || m->type == JSON_NONE)
        return rc;
    for (size_t at = 0; rc == 0 && json_array_next(m->value, &at, &element.type, &element.value);
         calls.index++) {
        struct openai_path item = {.up = &calls, .index = calls.index};
        p->path = &item;
        rc = openai__expect(p->r, &item, SLICE_EMPTY, &element, ANY_OBJECT, true);
        if (rc == 0)
            rc = read_call(p, element.value);
    }
    p->path = up;
    return rc;
}

static int name_function_call(struct history *h)
{
    h->function_id = arena_printf(h->r->arena, "\"call_%u\"", h->function_calls++);
    return h->function_id.ptr ? 0 : ERR_NOMEM;
}

static int read_function_call(struct history *h, struct place *p, const struct json_member *m)
{
    struct canon_block *b;
    if (m->type == JSON_NONE)
        return 0;
    int rc = name_function_call(h);
    if (rc == 0)
        rc = add_block(p, CANON_TOOL_CALL, &b);
    if (rc)
        return rc;
    b->id = h->function_id;
    return read_called(p, m, SLICE("function_call"), b);
}

static int read_assistant(struct history *h, struct canon_message *message,
                          const struct openai_path *path, const struct json_member *m)
{
    struct place p = {.r = h->r, .path = path, .tail = &message->blocks};
    int rc = read_thoughts(&p, m);

    if (rc == 0)
        rc = read_content(&p, &m[CONTENT], &message->plain);
    if (rc == 0)
        rc = openai__expect(h->r, path, SLICE("refusal"), &m[REFUSAL], ANY_STRING, false);
    if (rc == 0 && openai__text(&m[REFUSAL]).len > 0)
        rc = add_text(&p, CANON_REFUSAL, m[REFUSAL].value);
    if (rc == 0)
        rc = read_calls(&p, &m[TOOL_CALLS]);
    return rc ? rc : read_function_call(h, &p, &m[FUNCTION_CALL]);
}

// ---- Messages ----------------------------------------------------------------------------------

static int read_said(struct history *h, struct canon_message *message,
                     const struct openai_path *path, const struct json_member *m)
{
    struct place p = {.r = h->r, .path = path, .tail = &message->blocks};
    return read_content(&p, &m[CONTENT], &message->plain);
}

static int read_result(struct history *h, struct canon_message *message,
                       const struct openai_path *path, const struct json_member *m, struct slice id)
{
    struct place p = {.r = h->r, .path = path, .tail = &message->blocks};
    struct canon_block *b;
    int rc = add_block(&p, CANON_TOOL_RESULT, &b);

    if (rc)
        return rc;
    b->id = id;
    p.tail = &b->content;
    return read_content(&p, &m[CONTENT], &message->plain);
}

static int read_tool(struct history *h, struct canon_message *message,
                     const struct openai_path *path, const struct json_member *m)
{
    int rc = openai__expect(h->r, path, SLICE("tool_call_id"), &m[TOOL_CALL_ID], ANY_STRING, true);
    return rc ? rc : read_result(h, message, path, m, m[TOOL_CALL_ID].value);
}

static int read_function(struct history *h, struct canon_message *message,
                         const struct openai_path *path, const struct json_member *m)
{
    int rc = h->function_id.len > 0 ? 0 : name_function_call(h);
    message->name = SLICE_EMPTY; // the function's
    return rc ? rc : read_result(h, message, path, m, h->function_id);
}

static const struct {
    struct slice name;
    enum canon_role role;
    int (*read)(struct history *h, struct canon_message *message, const struct openai_path *path,
                const struct json_member *m);
} roles[] = {
    {SLICE("user"), CANON_USER, read_said},
    {SLICE("assistant"), CANON_ASSISTANT, read_assistant},
    {SLICE("tool"), CANON_TOOL, read_tool},
    {SLICE("system"), CANON_SYSTEM, read_said},
    {SLICE("developer"), CANON_DEVELOPER, read_said},
    {SLICE("function"), CANON_TOOL, read_function},
};

static int read_message(struct history *h, const struct openai_path *path, struct slice object)
{
    static const struct slice names[MEMBER_COUNT] = {
        [ROLE] = SLICE("role"),
        [CONTENT] = SLICE("content"),
        [NAME] = SLICE("name"),
        [REFUSAL] = SLICE("refusal"),
        [TOOL_CALLS] = SLICE("tool_calls"),
        [TOOL_CALL_ID] = SLICE("tool_call_id"),
        [FUNCTION_CALL] = SLICE("function_call"),
        [REASONING] = SLICE("reasoning"),
        [REASONING_CONTENT] = SLICE("reasoning_content"),
        [REASONING_DETAILS] = SLICE("reasoning_details"),
    };
    struct json_member m[MEMBER_COUNT];
    struct canon_message *message;
    int rc = canon_add_message(h->r, &h->tail, &message);

    if (rc == 0)
        rc = openai__pick_extra(h->r, object, &(struct openai_pick){names, MEMBER_COUNT, m},
                                &message->extra);
    if (rc == 0)
        rc = openai__expect(h->r, path, names[ROLE], &m[ROLE], ANY_STRING, true);
    if (rc == 0)
        rc = openai__expect(h->r, path, names[NAME], &m[NAME], ANY_STRING, false);
    if (rc)
        return rc;
    message->name = m[NAME].value;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (literal_is(m[ROLE].value, roles[i].name)) {
            message->role = roles[i].role;
            return roles[i].read(h, message, path, m);
        }
    return openai__refuse(h->r, ERR_BAD_TYPE, path, names[ROLE],
                          "must be system, developer, user, assistant or tool");
}

int openai__read_messages(struct canon_request *r, const struct json_member *m)
{
    struct history h = {.r = r, .tail = &r->messages};
    struct openai_path path = {.name = SLICE("messages")};
    struct json_member element = {0};
    int rc = 0;

    ASSERT(!r->messages);
    for (size_t at = 0; rc == 0 && json_array_next(m->value, &at, &element.type, &element.value);
         path.index++) {
        struct openai_path item = {.up = &path, .index = path.index};
        rc = openai__expect(r, &item, SLICE_EMPTY, &element, ANY_OBJECT, true);
        if (rc == 0)
            rc = read_message(&h, &item, element.value);
    }
    return rc;
}
