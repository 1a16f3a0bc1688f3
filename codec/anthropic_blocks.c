// SPDX-License-Identifier: Apache-2.0
//
// anthropic_blocks.c: content is read, of requests and of answers: a table of block types, each
// with the members it has. Called by anthropic_read.c and anthropic_answer.c.
//
// What nobody else knows (the blocks of server tools, documents made of blocks, types of tomorrow)
// becomes an opaque block and is judged by the writer. A user message is taken apart: the results
// of tools come first, as a message of their own, because they stand alone in the canonical form.
//
// In an answer a search that Claude made is one (others show their users what was searched); in a
// request's history it is opaque, because nobody else can take it up again.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

struct place {
    const struct anthropic_reader *rd;
    const struct anthropic_path *path;
    unsigned nesting;
};

static int read_array(const struct place *at, struct slice array, struct canon_block ***tail);

// ---- Block types -------------------------------------------------------------------------------

#define CACHE_CONTROL                                                                              \
    {                                                                                              \
        SLICE("cache_control"), ANTHROPIC_OBJECT                                                   \
    }
// The member that said what the block is; known, and so not extra.
#define TYPE_FIELD                                                                                 \
    {                                                                                              \
        SLICE("type"), ANTHROPIC_ANY                                                               \
    }

static int take(const struct place *at, struct slice object, const struct anthropic_field *fields,
                unsigned count, struct json_member *m, struct canon_block *b)
{
    return anthropic__fields(at->rd, at->path, object, fields, count, m,
                             at->rd->request ? &b->extra : NULL);
}

static int read_text(const struct place *at, struct slice object, struct canon_block *b)
{
    enum { TYPE, CACHE, TEXT, CITATIONS, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = TYPE_FIELD,
        [CACHE] = CACHE_CONTROL,
        [TEXT] = {SLICE("text"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [CITATIONS] = {SLICE("citations"), ANTHROPIC_ARRAY},
    };
    struct json_member m[COUNT];
    size_t position = 0;
    enum json_type type;
    struct slice first;

    int rc = take(at, object, fields, COUNT, m, b);
    if (rc)
        return rc;
    b->kind = CANON_TEXT;
    b->text = m[TEXT].value;
    b->cache_control = m[CACHE].value;
    if (m[CITATIONS].type == JSON_ARRAY &&
        json_array_next(m[CITATIONS].value, &position, &type, &first)) {
        b->citations = m[CITATIONS].value;
        b->citations_of = &dialect_anthropic_messages;
    }
    return 0;
}

// Where an image's or a document's bytes are. A source of a type nobody knows leaves the block
// opaque.
static int read_source(const struct place *at, struct slice source, struct canon_block *b)
{
    enum { TYPE, MEDIA, DATA, URL, FILE_ID, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [MEDIA] = {SLICE("media_type"), ANTHROPIC_STRING},
        [DATA] = {SLICE("data"), ANTHROPIC_STRING},
        [URL] = {SLICE("url"), ANTHROPIC_STRING},
        [FILE_ID] = {SLICE("file_id"), ANTHROPIC_STRING},
    };
    static const struct {
        struct slice type;
        unsigned member;
        size_t offset;
    } sources[] = {
        {SLICE("base64"), DATA, offsetof(struct canon_block, data)},
        {SLICE("url"), URL, offsetof(struct canon_block, url)},
        {SLICE("file"), FILE_ID, offsetof(struct canon_block, file_id)},
        {SLICE("text"), DATA, offsetof(struct canon_block, text)},
    };
    const struct anthropic_path path = {.up = at->path, .name = SLICE("source")};
    struct json_member m[COUNT];

    int rc = anthropic__fields(at->rd, &path, source, fields, COUNT, m, NULL);
    if (rc)
        return rc;
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        if (!literal_is(m[TYPE].value, sources[i].type))
            continue;
        const struct json_member *value = &m[sources[i].member];
        if (value->type == JSON_NONE)
            return anthropic__bad(at->rd, ERR_MISSING, &path, fields[sources[i].member].name,
                                  "is required");
        memcpy((char *)b + sources[i].offset, &value->value, sizeof(value->value));
        b->media_type = m[MEDIA].value;
        return 0;
    }
    b->kind = CANON_OPAQUE;
    return 0;
}

static int read_image(const struct place *at, struct slice object, struct canon_block *b)
{
    enum { TYPE, CACHE, SOURCE, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = TYPE_FIELD,
        [CACHE] = CACHE_CONTROL,
        [SOURCE] = {SLICE("source"), ANTHROPIC_OBJECT | ANTHROPIC_REQUIRED},
    };
    struct json_member m[COUNT];

    int rc = take(at, object, fields, COUNT, m, b);
    if (rc)
        return rc;
    b->kind = CANON_IMAGE;
    b->cache_control = m[CACHE].value;
    return read_source(at, m[SOURCE].value, b);
}

static int read_document(const struct place *at, struct slice object, struct canon_block *b)
{
    enum { TYPE, CACHE, SOURCE, TITLE, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = TYPE_FIELD,
        [CACHE] = CACHE_CONTROL,
        [SOURCE] = {SLICE("source"), ANTHROPIC_OBJECT | ANTHROPIC_REQUIRED},
        [TITLE] = {SLICE("title"), ANTHROPIC_STRING},
    };
    struct json_member m[COUNT];

    int rc = take(at, object, fields, COUNT, m, b);
    if (rc)
        return rc;
    b->kind = CANON_FILE;
    b->cache_control = m[CACHE].value;
    b->name = m[TITLE].value;
    return read_source(at, m[SOURCE].value, b);
}

static int read_tool_use(const struct place *at, struct slice object, struct canon_block *b)
{
    enum { TYPE, CACHE, ID, NAME, INPUT, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = TYPE_FIELD,
        [CACHE] = CACHE_CONTROL,
        [ID] = {SLICE("id"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [NAME] = {SLICE("name"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [INPUT] = {SLICE("input"), ANTHROPIC_OBJECT},
    };
    struct json_member m[COUNT];

    int rc = take(at, object, fields, COUNT, m, b);
    if (rc)
        return rc;
    b->kind = CANON_TOOL_CALL;
    b->tool = CANON_TOOL_FUNCTION;
    b->cache_control = m[CACHE].value;
    b->id = m[ID].value;
    b->name = m[NAME].value;
    b->arguments = m[INPUT].type == JSON_OBJECT ? m[INPUT].value : SLICE("{}");
    return 0;
}

static int read_result_content(const struct place *at, const struct json_member *content,
                               struct canon_block *b)
{
    struct canon_block **tail = &b->content;
    struct canon_block *text;

    if (content->type == JSON_ARRAY) {
        const struct anthropic_path path = {.up = at->path, .name = SLICE("content")};
        const struct place inside = {.rd = at->rd, .path = &path, .nesting = at->nesting + 1};
        return inside.nesting > CANON_NESTING_MAX ? ERR_LIMIT
                                                  : read_array(&inside, content->value, &tail);
    }
    if (content->type == JSON_NONE)
        return 0;
    int rc = canon_add_block(at->rd->arena, at->rd->parts, &tail, &text);
    if (rc)
        return rc;
    text->kind = CANON_TEXT;
    text->text = content->value;
    return 0;
}

static int read_tool_result(const struct place *at, struct slice object, struct canon_block *b)
{
    enum { TYPE, CACHE, ID, CONTENT, IS_ERROR, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = TYPE_FIELD,
        [CACHE] = CACHE_CONTROL,
        [ID] = {SLICE("tool_use_id"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [CONTENT] = {SLICE("content"), ANTHROPIC_STRING | ANTHROPIC_ARRAY},
        [IS_ERROR] = {SLICE("is_error"), ANTHROPIC_BOOL},
    };
    struct json_member m[COUNT];

    int rc = take(at, object, fields, COUNT, m, b);
    if (rc)
        return rc;
    b->kind = CANON_TOOL_RESULT;
    b->cache_control = m[CACHE].value;
    b->id = m[ID].value;
    b->is_error = m[IS_ERROR].type == JSON_TRUE;
    return read_result_content(at, &m[CONTENT], b);
}

static int read_thinking(const struct place *at, struct slice object, struct canon_block *b)
{
    enum { TYPE, THINKING, SIGNATURE, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = TYPE_FIELD,
        [THINKING] = {SLICE("thinking"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [SIGNATURE] = {SLICE("signature"), ANTHROPIC_STRING},
    };
    struct json_member m[COUNT];

    int rc = take(at, object, fields, COUNT, m, b);
    if (rc)
        return rc;
    b->kind = CANON_THINKING;
    b->text = m[THINKING].value;
    if (!literal_is_empty(m[SIGNATURE].value))
        b->signature = m[SIGNATURE].value;
    return 0;
}

static int read_redacted(const struct place *at, struct slice object, struct canon_block *b)
{
    enum { TYPE, DATA, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = TYPE_FIELD,
        [DATA] = {SLICE("data"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
    };
    struct json_member m[COUNT];

    int rc = take(at, object, fields, COUNT, m, b);
    if (rc)
        return rc;
    b->kind = CANON_REDACTED_THINKING;
    b->data = m[DATA].value;
    return 0;
}

static int read_server_tool(const struct place *at, struct slice object, struct canon_block *b)
{
    struct json_member name = json_object_get(object, SLICE("name"));
    struct json_member id = json_object_get(object, SLICE("id"));
    struct json_member input = json_object_get(object, SLICE("input"));

    b->kind = CANON_OPAQUE;
    if (at->rd->request || !literal_is(name.value, SLICE("web_search")) || id.type != JSON_STRING ||
        input.type != JSON_OBJECT)
        return 0;
    struct json_member query = json_object_get(input.value, SLICE("query"));
    b->kind = CANON_WEB_SEARCH;
    b->id = id.value;
    b->text = query.type == JSON_STRING ? query.value : SLICE("\"\"");
    return 0;
}

static const struct {
    struct slice type;
    int (*read)(const struct place *at, struct slice object, struct canon_block *b);
} block_types[] = {
    {SLICE("text"), read_text},
    {SLICE("tool_use"), read_tool_use},
    {SLICE("tool_result"), read_tool_result},
    {SLICE("thinking"), read_thinking},
    {SLICE("redacted_thinking"), read_redacted},
    {SLICE("image"), read_image},
    {SLICE("document"), read_document},
    {SLICE("server_tool_use"), read_server_tool},
};

// ---- Lists of blocks ---------------------------------------------------------------------------

static int read_block(const struct place *at, struct slice object, struct canon_block *b)
{
    struct json_member type = json_object_get(object, SLICE("type"));

    if (type.type != JSON_STRING)
        return anthropic__bad(at->rd, type.type == JSON_NONE ? ERR_MISSING : ERR_BAD_TYPE, at->path,
                              SLICE("type"), "is required, a string");
    b->kind = CANON_OPAQUE;
    for (size_t i = 0; i < ARRAY_LEN(block_types); i++)
        if (literal_is(type.value, block_types[i].type)) {
            int rc = block_types[i].read(at, object, b);
            if (rc)
                return rc;
            break;
        }
    if (b->kind == CANON_OPAQUE)
        *b = (struct canon_block){.kind = CANON_OPAQUE, .raw = object};
    return 0;
}

static int read_element(const struct place *at, enum json_type type, struct slice element,
                        struct canon_block ***tail)
{
    struct canon_block *b;

    if (type != JSON_OBJECT)
        return anthropic__bad(at->rd, ERR_BAD_TYPE, at->path, SLICE_EMPTY, "must be an object");
    struct canon_block read = {0};
    int rc = read_block(at, element, &read);
    if (rc == 0)
        rc = canon_add_block(at->rd->arena, at->rd->parts, tail, &b);
    if (rc == 0)
        *b = read;
    return rc;
}

static int read_array(const struct place *at, struct slice array, struct canon_block ***tail)
{
    struct anthropic_path path = {.up = at->path};
    const struct place inside = {.rd = at->rd, .path = &path, .nesting = at->nesting};
    enum json_type type;
    struct slice element;

    for (size_t position = 0; json_array_next(array, &position, &type, &element); path.index++) {
        int rc = read_element(&inside, type, element, tail);
        if (rc)
            return rc;
    }
    return 0;
}

int anthropic__read_blocks(const struct anthropic_reader *rd, const struct anthropic_path *path,
                           struct slice array, struct canon_block ***tail)
{
    const struct place at = {.rd = rd, .path = path};
    return read_array(&at, array, tail);
}

// ---- Messages ----------------------------------------------------------------------------------

static int add_message(const struct anthropic_reader *rd, enum canon_role role,
                       struct canon_block *blocks, struct canon_message ***tail,
                       struct canon_message **ret)
{
    int rc = canon_add_message(rd->request, tail, ret);
    if (rc)
        return rc;
    (*ret)->role = role;
    (*ret)->blocks = blocks;
    return 0;
}

// Content that is a bare string.
static int add_plain(const struct anthropic_reader *rd, enum canon_role role, struct slice text,
                     struct canon_message ***tail, struct canon_message **ret)
{
    struct canon_block *blocks = NULL;
    struct canon_block **last = &blocks;
    struct canon_block *b;

    int rc = canon_add_block(rd->arena, rd->parts, &last, &b);
    if (rc)
        return rc;
    b->kind = CANON_TEXT;
    b->text = text;
    rc = add_message(rd, role, blocks, tail, ret);
    if (rc == 0)
        (*ret)->plain = true;
    return rc;
}

// The results of tools leave *blocks and are returned.
static struct canon_block *take_results(struct canon_block **blocks)
{
    struct canon_block *results = NULL;
    struct canon_block **results_tail = &results;

    while (*blocks) {
        struct canon_block *b = *blocks;
        if (b->kind != CANON_TOOL_RESULT) {
            blocks = &b->next;
            continue;
        }
        *blocks = b->next;
        b->next = NULL;
        *results_tail = b;
        results_tail = &b->next;
    }
    return results;
}

static int add_blocks(const struct anthropic_reader *rd, const struct anthropic_path *path,
                      enum canon_role role, struct slice array, struct canon_message ***tail,
                      struct canon_message **ret)
{
    const struct anthropic_path content = {.up = path, .name = SLICE("content")};
    struct canon_block *blocks = NULL;
    struct canon_block **last = &blocks;

    int rc = anthropic__read_blocks(rd, &content, array, &last);
    if (rc)
        return rc;
    struct canon_block *results = take_results(&blocks);
    if (results) {
        rc = add_message(rd, CANON_TOOL, results, tail, ret);
        if (rc || !blocks)
            return rc;
    }
    return add_message(rd, role, blocks, tail, ret);
}

static int read_message(const struct anthropic_reader *rd, const struct anthropic_path *path,
                        struct slice object, struct canon_message ***tail)
{
    enum { ROLE, CONTENT, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [ROLE] = {SLICE("role"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [CONTENT] = {SLICE("content"), ANTHROPIC_STRING | ANTHROPIC_ARRAY | ANTHROPIC_REQUIRED},
    };
    static const struct {
        struct slice name;
        enum canon_role role;
    } roles[] = {
        {SLICE("user"), CANON_USER},
        {SLICE("assistant"), CANON_ASSISTANT},
        {SLICE("system"), CANON_SYSTEM},
    };
    struct json_member m[COUNT];
    struct canon_member *extra = NULL;
    struct canon_message *message;
    size_t i = 0;

    int rc = anthropic__fields(rd, path, object, fields, COUNT, m, &extra);
    if (rc)
        return rc;
    while (i < ARRAY_LEN(roles) && !literal_is(m[ROLE].value, roles[i].name))
        i++;
    if (i == ARRAY_LEN(roles))
        return anthropic__bad(rd, ERR_BAD_TYPE, path, SLICE("role"), "is none of a message");
    if (m[CONTENT].type == JSON_STRING)
        rc = add_plain(rd, roles[i].role, m[CONTENT].value, tail, &message);
    else
        rc = add_blocks(rd, path, roles[i].role, m[CONTENT].value, tail, &message);
    if (rc == 0)
        message->extra = extra;
    return rc;
}

int anthropic__read_messages(const struct anthropic_reader *rd, const struct json_member *messages,
                             struct canon_message ***tail)
{
    const struct anthropic_path top = {.name = SLICE("messages")};
    struct anthropic_path path = {.up = &top};
    enum json_type type;
    struct slice element;

    for (size_t at = 0; json_array_next(messages->value, &at, &type, &element); path.index++) {
        if (type != JSON_OBJECT)
            return anthropic__bad(rd, ERR_BAD_TYPE, &path, SLICE_EMPTY, "must be an object");
        int rc = read_message(rd, &path, element, tail);
        if (rc)
            return rc;
    }
    return 0;
}

int anthropic__read_system(const struct anthropic_reader *rd, const struct json_member *system,
                           struct canon_message ***tail)
{
    const struct anthropic_path path = {.name = SLICE("system")};
    struct canon_block *blocks = NULL;
    struct canon_block **last = &blocks;
    struct canon_message *message;

    if (system->type == JSON_STRING)
        return add_plain(rd, CANON_SYSTEM, system->value, tail, &message);
    int rc = anthropic__read_blocks(rd, &path, system->value, &last);
    if (rc || !blocks)
        return rc;
    return add_message(rd, CANON_SYSTEM, blocks, tail, &message);
}
