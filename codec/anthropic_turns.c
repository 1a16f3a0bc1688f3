// SPDX-License-Identifier: Apache-2.0
//
// anthropic_turns.c: the messages of a request are written. anthropic_write.c calls it.
//
// Every block has a fate, decided before anything of its message is written, because a message
// without blocks is left out and one with nothing but a plain text is a string: it crosses, it is
// skipped in silence (an empty text, which Claude refuses), it is dropped and reported, or it makes
// the request one that cannot be sent. System messages leave their place for `system`; the results
// of consecutive tool messages share one user message.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"
#include "codec/data_url.h"

struct turns {
    struct canon_request *r;
    struct json_writer *w;
    bool own; // the source speaks this dialect
};

int anthropic__refuse_input(struct canon_request *r, const char *why)
{
    struct slice name = r->from ? r->from->members[DIALECT_INPUT] : SLICE("messages");
    return canon_refuse(r, ERR_UNSUPPORTED, name, "%.*s: %s", SLICE_ARG(name), why);
}

// ---- Members nobody knows ----------------------------------------------------------------------

// Names of what is written here: an unknown member of the source is never put over one.
static bool is_written_here(struct slice name)
{
    static const struct slice names[] = {
        SLICE("type"),        SLICE("text"),          SLICE("source"),       SLICE("title"),
        SLICE("id"),          SLICE("name"),          SLICE("input"),        SLICE("tool_use_id"),
        SLICE("content"),     SLICE("is_error"),      SLICE("thinking"),     SLICE("signature"),
        SLICE("data"),        SLICE("cache_control"), SLICE("citations"),    SLICE("role"),
        SLICE("description"), SLICE("strict"),        SLICE("input_schema"), SLICE("max_uses"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_eq(name, names[i]))
            return true;
    return false;
}

void anthropic__write_extra(const struct canon_request *r, struct json_writer *w,
                            const struct canon_member *extra)
{
    bool own = anthropic__is_family(r->from);

    if (!own && !r->pass_extra)
        return;
    for (; extra; extra = extra->next)
        if (own || !is_written_here(extra->name)) {
            json_string(w, extra->name);
            w->comma = false;
            json_plain(w, SLICE(":"));
            json_raw(w, extra->value);
        }
}

// ---- Fates -------------------------------------------------------------------------------------

enum fate { WRITTEN, SKIPPED, DROPPED, REFUSED };

struct verdict {
    enum fate fate;
    struct slice name; // DROPPED: under which name
    const char *why;   // REFUSED
};

// Thoughts that another vendor has sealed, or that nobody has.
static bool is_sealed_here(struct slice seal)
{
    return !literal_is_empty(seal) && !slice_starts(literal_inner(seal), SLICE("openai:"));
}

static struct slice type_of(struct slice raw)
{
    struct json_member type = json_object_get(raw, SLICE("type"));
    return type.type == JSON_STRING && type.value.len > 2 ? literal_inner(type.value)
                                                          : SLICE("content");
}

static struct verdict judge(const struct turns *t, const struct canon_block *b)
{
    switch (b->kind) {
    case CANON_TEXT:
    case CANON_REFUSAL:
        return (struct verdict){.fate = literal_is_empty(b->text) ? SKIPPED : WRITTEN};
    case CANON_AUDIO:
        return (struct verdict){.fate = REFUSED, .why = "the provider takes no audio"};
    case CANON_THINKING:
    case CANON_REDACTED_THINKING:
        if (is_sealed_here(b->kind == CANON_THINKING ? b->signature : b->data))
            return (struct verdict){.fate = WRITTEN};
        return (struct verdict){.fate = DROPPED, .name = SLICE("reasoning")};
    case CANON_WEB_SEARCH:
        return (struct verdict){.fate = DROPPED, .name = SLICE("web_search_call")};
    case CANON_OPAQUE:
        if (t->own)
            return (struct verdict){.fate = WRITTEN};
        return (struct verdict){.fate = DROPPED, .name = type_of(b->raw)};
    default:
        return (struct verdict){.fate = WRITTEN};
    }
}

// How many of the list will be written; reports what will not. 0 or the refusal.
static int count_written(const struct turns *t, const struct canon_block *b, unsigned *ret)
{
    for (*ret = 0; b; b = b->next) {
        struct verdict v = judge(t, b);
        if (v.fate == REFUSED)
            return anthropic__refuse_input(t->r, v.why);
        if (v.fate == DROPPED)
            canon_drop(t->r, v.name);
        *ret += v.fate == WRITTEN;
    }
    return 0;
}

static bool is_plain(const struct turns *t, const struct canon_block *b)
{
    return (b->kind == CANON_TEXT || b->kind == CANON_REFUSAL) && b->cache_control.len == 0 &&
           !(t->own && (b->citations.len > 0 || b->extra)) && !(t->r->pass_extra && b->extra);
}

// The only block of the list that is written, if it can be a string.
static const struct canon_block *the_plain(const struct turns *t, const struct canon_block *b)
{
    while (b && judge(t, b).fate != WRITTEN)
        b = b->next;
    return b && is_plain(t, b) ? b : NULL;
}

// ---- Sources -----------------------------------------------------------------------------------

static void open_source(struct json_writer *w, struct slice type)
{
    json_key(w, SLICE("source"));
    json_object(w);
    json_member_string(w, SLICE("type"), type);
}

static void write_reference(struct json_writer *w, struct slice type, struct slice name,
                            struct slice literal)
{
    open_source(w, type);
    json_member(w, name, literal);
    json_object_end(w);
}

// base64 of a plain text, decoded: that is how a text comes here.
static int write_decoded(const struct turns *t, struct slice data)
{
    struct slice text;
    int rc = anthropic__base64(t->r->arena, data, &text);
    if (rc == ERR_BAD_TYPE)
        return anthropic__refuse_input(t->r, "a file's data is no base64");
    if (rc)
        return rc;
    open_source(t->w, SLICE("text"));
    json_member_string(t->w, SLICE("media_type"), SLICE("text/plain"));
    json_member_string(t->w, SLICE("data"), text);
    json_object_end(t->w);
    return 0;
}

// Plain strings; an image's or a document's.
static int write_data(const struct turns *t, const struct canon_block *b, struct slice type,
                      struct slice data)
{
    if (b->kind == CANON_FILE && slice_ieq(type, SLICE("text/plain")))
        return write_decoded(t, data);
    if (type.len == 0)
        type = b->kind == CANON_FILE ? SLICE("application/pdf") : type;
    // A data: URL without a type means text/plain.
    if (type.len == 0 || slice_ieq(type, SLICE("text/plain")))
        return anthropic__refuse_input(t->r, "an image's media type is missing");
    open_source(t->w, SLICE("base64"));
    json_member_string(t->w, SLICE("media_type"), type);
    json_member_string(t->w, SLICE("data"), data);
    json_object_end(t->w);
    return 0;
}

static int write_url(const struct turns *t, const struct canon_block *b)
{
    struct slice plain, type, data;

    if (!slice_istarts(literal_inner(b->url), SLICE("data:"))) {
        write_reference(t->w, SLICE("url"), SLICE("url"), b->url);
        return 0;
    }
    int rc = anthropic__plain(t->r->arena, b->url, &plain);
    if (rc)
        return rc;
    if (!data_url_split(plain, &type, &data))
        return anthropic__refuse_input(t->r, "a data: URL is not base64");
    return write_data(t, b, type, data);
}

static int write_source(const struct turns *t, const struct canon_block *b)
{
    struct slice type = SLICE_EMPTY, data;
    int rc = 0;

    if (b->file_id.len > 0) {
        write_reference(t->w, SLICE("file"), SLICE("file_id"), b->file_id);
    } else if (b->url.len > 0) {
        rc = write_url(t, b);
    } else if (b->data.len > 0) {
        rc = anthropic__plain(t->r->arena, b->data, &data);
        if (rc == 0 && b->media_type.len > 0)
            rc = anthropic__plain(t->r->arena, b->media_type, &type);
        if (rc == 0)
            rc = write_data(t, b, type, data);
    } else if (b->text.len > 0) {
        open_source(t->w, SLICE("text"));
        json_member_string(t->w, SLICE("media_type"), SLICE("text/plain"));
        json_member(t->w, SLICE("data"), b->text);
        json_object_end(t->w);
    } else {
        rc = anthropic__refuse_input(t->r, "an image or a file is empty");
    }
    return rc;
}

// ---- Blocks ------------------------------------------------------------------------------------

int anthropic__write_input(struct json_writer *w, struct arena *arena, const struct canon_block *b)
{
    struct json_scanner scan;
    struct slice object = b->arguments;

    if (b->tool == CANON_TOOL_CUSTOM) {
        json_key(w, SLICE("input"));
        json_object(w);
        json_member(w, SLICE("input"), b->arguments.len > 0 ? b->arguments : SLICE("\"\""));
        json_object_end(w);
        return 0;
    }
    if (b->arguments_quoted && b->arguments.len > 0) {
        int rc = anthropic__plain(arena, b->arguments, &object);
        if (rc)
            return rc;
    }
    object = literal_trim(object);
    if (object.len == 0)
        object = SLICE("{}");
    if (json_scan(&scan, object, NULL, 0, 0) != 0)
        return ERR_BAD_TYPE;
    json_member(w, SLICE("input"), object);
    return 0;
}

static int write_list(const struct turns *t, const struct canon_block *b);

static int write_call(const struct turns *t, const struct canon_block *b)
{
    json_member(t->w, SLICE("id"), b->id);
    json_member(t->w, SLICE("name"), b->name);
    int rc = anthropic__write_input(t->w, t->r->arena, b);
    return rc == ERR_BAD_TYPE
               ? anthropic__refuse_input(t->r, "a tool call's arguments are no JSON object")
               : rc;
}

// An empty text may stand alone in a result; between others it is left out.
static int write_result(const struct turns *t, const struct canon_block *b)
{
    unsigned count;

    json_member(t->w, SLICE("tool_use_id"), b->id);
    int rc = count_written(t, b->content, &count);
    if (rc)
        return rc;
    const struct canon_block *plain = count == 1 ? the_plain(t, b->content) : NULL;
    if (plain) {
        json_member(t->w, SLICE("content"), plain->text);
    } else if (count > 0) {
        json_key(t->w, SLICE("content"));
        rc = write_list(t, b->content);
    } else if (b->content) {
        json_member(t->w, SLICE("content"), SLICE("\"\""));
    }
    if (b->is_error)
        json_member(t->w, SLICE("is_error"), SLICE("true"));
    return rc;
}

static int write_text(const struct turns *t, const struct canon_block *b)
{
    json_member(t->w, SLICE("text"), b->text);
    if (t->own)
        json_member(t->w, SLICE("citations"), b->citations);
    return 0;
}

static int write_file(const struct turns *t, const struct canon_block *b)
{
    int rc = write_source(t, b);
    json_member(t->w, SLICE("title"), b->name);
    return rc;
}

static int write_thinking(const struct turns *t, const struct canon_block *b)
{
    json_member(t->w, SLICE("thinking"), b->text.len > 0 ? b->text : SLICE("\"\""));
    json_member(t->w, SLICE("signature"), b->signature);
    return 0;
}

static int write_redacted(const struct turns *t, const struct canon_block *b)
{
    json_member(t->w, SLICE("data"), b->data);
    return 0;
}

static const struct {
    struct slice type;
    int (*write)(const struct turns *t, const struct canon_block *b);
} kinds[CANON_BLOCK_KIND_COUNT] = {
    [CANON_TEXT] = {SLICE("text"), write_text},
    [CANON_REFUSAL] = {SLICE("text"), write_text},
    [CANON_IMAGE] = {SLICE("image"), write_source},
    [CANON_FILE] = {SLICE("document"), write_file},
    [CANON_THINKING] = {SLICE("thinking"), write_thinking},
    [CANON_REDACTED_THINKING] = {SLICE("redacted_thinking"), write_redacted},
    [CANON_TOOL_CALL] = {SLICE("tool_use"), write_call},
    [CANON_TOOL_RESULT] = {SLICE("tool_result"), write_result},
};

static int write_block(const struct turns *t, const struct canon_block *b)
{
    if (b->kind == CANON_OPAQUE) {
        json_raw(t->w, b->raw);
        return 0;
    }
    json_object(t->w);
    json_member_string(t->w, SLICE("type"), kinds[b->kind].type);
    int rc = kinds[b->kind].write(t, b);
    if (rc)
        return rc;
    json_member(t->w, SLICE("cache_control"), b->cache_control);
    anthropic__write_extra(t->r, t->w, b->extra);
    json_object_end(t->w);
    return 0;
}

static int write_written(const struct turns *t, const struct canon_block *b)
{
    for (; b; b = b->next) {
        int rc = judge(t, b).fate == WRITTEN ? write_block(t, b) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

static int write_list(const struct turns *t, const struct canon_block *b)
{
    json_array(t->w);
    int rc = write_written(t, b);
    json_array_end(t->w);
    return rc;
}

// ---- System ------------------------------------------------------------------------------------

static bool is_system(const struct canon_message *m)
{
    return m->role == CANON_SYSTEM || m->role == CANON_DEVELOPER;
}

int anthropic__write_system(struct canon_request *r, struct json_writer *w, bool *ret_written)
{
    const struct turns t = {.r = r, .w = w, .own = anthropic__is_family(r->from)};
    const struct canon_block *plain = NULL;
    unsigned all = 0;

    for (const struct canon_message *m = r->messages; m; m = m->next) {
        unsigned count = 0;
        for (const struct canon_block *b = is_system(m) ? m->blocks : NULL; b; b = b->next)
            if (b->kind != CANON_TEXT && b->kind != CANON_OPAQUE)
                return anthropic__refuse_input(r, "a system message holds more than text");
        int rc = is_system(m) ? count_written(&t, m->blocks, &count) : 0;
        if (rc)
            return rc;
        if (count > 0)
            plain = the_plain(&t, m->blocks);
        all += count;
    }
    *ret_written = all > 0;
    if (all == 0)
        return 0;
    if (all == 1 && plain) {
        json_member(w, SLICE("system"), plain->text);
        return 0;
    }
    json_key(w, SLICE("system"));
    json_array(w);
    int rc = 0;
    for (const struct canon_message *m = r->messages; m && rc == 0; m = m->next)
        rc = is_system(m) ? write_written(&t, m->blocks) : 0;
    json_array_end(w);
    return rc;
}

// ---- Messages ----------------------------------------------------------------------------------

static void open_message(const struct turns *t, const struct canon_message *m)
{
    json_object(t->w);
    json_member_string(t->w, SLICE("role"),
                       m->role == CANON_ASSISTANT ? SLICE("assistant") : SLICE("user"));
    json_key(t->w, SLICE("content"));
}

static int write_message(const struct turns *t, const struct canon_message *m)
{
    unsigned count;

    int rc = count_written(t, m->blocks, &count);
    if (rc || count == 0)
        return rc;
    const struct canon_block *plain = count == 1 ? the_plain(t, m->blocks) : NULL;
    open_message(t, m);
    if (plain)
        json_raw(t->w, plain->text);
    else
        rc = write_list(t, m->blocks);
    anthropic__write_extra(t->r, t->w, m->extra);
    json_object_end(t->w);
    return rc;
}

// From *m on, the messages of tools that follow each other; messages between them that are left out
// or go to `system` do not count. *m is then the last of them.
static int write_results(const struct turns *t, const struct canon_message **m)
{
    bool opened = false;
    unsigned count;
    int rc = 0;

    for (const struct canon_message *next = *m; next && rc == 0; next = next->next) {
        if (is_system(next))
            continue;
        rc = count_written(t, next->blocks, &count);
        if (rc || (next->role != CANON_TOOL && count > 0))
            break;
        if (next->role != CANON_TOOL)
            continue;
        *m = next;
        if (count == 0)
            continue;
        if (!opened) {
            open_message(t, next);
            json_array(t->w);
            opened = true;
        }
        rc = write_written(t, next->blocks);
    }
    if (opened) {
        json_array_end(t->w);
        json_object_end(t->w);
    }
    return rc;
}

int anthropic__write_messages(struct canon_request *r, struct json_writer *w)
{
    const struct turns t = {.r = r, .w = w, .own = anthropic__is_family(r->from)};
    int rc = 0;

    json_key(w, SLICE("messages"));
    json_array(w);
    for (const struct canon_message *m = r->messages; m && rc == 0; m = m->next) {
        if (m->role == CANON_TOOL)
            rc = write_results(&t, &m);
        else if (!is_system(m))
            rc = write_message(&t, m);
    }
    if (r->prompt.len > 0 && rc == 0) { // of text completions: what the user says
        json_object(w);
        json_member(w, SLICE("role"), SLICE("\"user\""));
        json_member(w, SLICE("content"), r->prompt);
        json_object_end(w);
    }
    json_array_end(w);
    return rc;
}
