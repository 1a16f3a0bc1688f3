// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_turns.c: canonical messages become the messages of a chat request.
//
// A canonical message is written as what chat has for it: each tool result is a message of its own,
// in front of the rest; what an assistant thought and called lies beside its content, not in it.
// A tool message takes text only: images of results lead the user message behind them, which is
// made when there is none. A message of which nothing crosses is left out.
//
// Thoughts of the history go to whom takes them back: OpenAI's reference has no member for them,
// and who follows it to the letter answers 400.

#include "base/container.h"
#include "base/err.h"
#include "codec/data_url.h"
#include "codec/openai_internal.h"

struct turns {
    struct canon_request *r;
    struct json_writer *w;
    bool thoughts; // go along
    int err;       // the first thing that cannot be written
    // What tool results held besides text, for the user message behind them.
    struct canon_block *shown;
    struct canon_block **shown_tail;
};

// The member bears the client's name.
static void refuse(struct turns *t, const char *what)
{
    struct slice name =
        t->r->from == &dialect_openai_responses ? SLICE("input") : SLICE("messages");
    if (t->err == 0)
        t->err = openai__refuse(t->r, ERR_UNSUPPORTED, NULL, name, what);
}

// What only its own dialect knows, or chat has no place for: reported as its type, thoughts as
// everywhere.
static void drop(struct turns *t, const struct canon_block *b)
{
    struct slice name = SLICE_EMPTY;

    if (b->kind == CANON_OPAQUE) {
        struct json_member type = json_object_get(b->raw, SLICE("type"));
        if (openai__plain(t->r->arena, &type, &name) != 0)
            t->err = ERR_NOMEM;
    } else if (b->kind == CANON_WEB_SEARCH) {
        name = t->r->from == &dialect_openai_responses ? SLICE("web_search_call")
                                                       : SLICE("server_tool_use");
    } else if ((b->kind == CANON_THINKING || b->kind == CANON_REDACTED_THINKING) && !t->thoughts) {
        name = SLICE("reasoning");
    }
    if (name.len > 0)
        canon_drop(t->r, name);
}

// ---- Parts -------------------------------------------------------------------------------------

static void begin_part(struct turns *t, struct slice type)
{
    json_object(t->w);
    json_member(t->w, SLICE("type"), type);
}

static void end_part(struct turns *t, const struct canon_block *b)
{
    if (t->r->from == &dialect_openai_chat)
        json_member(t->w, SLICE("cache_control"), b->cache_control);
    openai__write_extra(t->r, b->extra, t->w);
    json_object_end(t->w);
}

static void write_text(struct turns *t, const struct canon_block *b)
{
    begin_part(t, SLICE("\"text\""));
    json_member(t->w, SLICE("text"), b->text);
    end_part(t, b);
}

static void write_refusal(struct turns *t, const struct canon_block *b)
{
    begin_part(t, SLICE("\"refusal\""));
    json_member(t->w, SLICE("refusal"), b->text);
    end_part(t, b);
}

static void write_image(struct turns *t, const struct canon_block *b)
{
    if (b->file_id.len > 0) {
        refuse(t, "has an image by its file id, which a chat cannot take");
        return;
    }
    begin_part(t, SLICE("\"image_url\""));
    json_key(t->w, SLICE("image_url"));
    json_object(t->w);
    json_key(t->w, SLICE("url"));
    if (b->data.len > 0)
        data_url_write(t->w, b->media_type, b->data);
    else
        json_raw(t->w, b->url.len > 0 ? b->url : SLICE("\"\""));
    json_member(t->w, SLICE("detail"), b->detail);
    json_object_end(t->w);
    end_part(t, b);
}

static void write_file(struct turns *t, const struct canon_block *b)
{
    if (b->url.len > 0) {
        refuse(t, "has a file by its URL, which a chat cannot take");
        return;
    }
    begin_part(t, SLICE("\"file\""));
    json_key(t->w, SLICE("file"));
    json_object(t->w);
    json_member(t->w, SLICE("filename"), b->name);
    if (b->file_id.len > 0) {
        json_member(t->w, SLICE("file_id"), b->file_id);
    } else {
        json_key(t->w, SLICE("file_data"));
        if (b->data.len > 0)
            data_url_write(t->w,
                           b->media_type.len > 0 ? b->media_type : SLICE("\"application/pdf\""),
                           b->data);
        else if (data_url_write_text(t->w, b->text) != 0)
            t->err = ERR_NOMEM;
    }
    json_object_end(t->w);
    end_part(t, b);
}

static void write_audio(struct turns *t, const struct canon_block *b)
{
    begin_part(t, SLICE("\"input_audio\""));
    json_key(t->w, SLICE("input_audio"));
    json_object(t->w);
    json_member(t->w, SLICE("data"), b->data);
    json_member(t->w, SLICE("format"), b->media_type);
    json_object_end(t->w);
    end_part(t, b);
}

static void write_opaque(struct turns *t, const struct canon_block *b)
{
    json_raw(t->w, b->raw);
}

// Kinds that are parts of a content; the others lie beside it or are dropped.
static void (*const part_writers[CANON_BLOCK_KIND_COUNT])(struct turns *t,
                                                          const struct canon_block *b) = {
    [CANON_TEXT] = write_text, [CANON_REFUSAL] = write_refusal, [CANON_IMAGE] = write_image,
    [CANON_FILE] = write_file, [CANON_AUDIO] = write_audio,     [CANON_OPAQUE] = write_opaque,
};

struct content {
    unsigned texts, parts; // of all parts, so many are texts
    bool cache_control;
    const struct canon_block *first_text;
};

static bool is_part(const struct turns *t, const struct canon_block *b)
{
    if (b->kind == CANON_OPAQUE)
        return t->r->from == &dialect_openai_chat;
    return part_writers[b->kind] != NULL;
}

// An assistant's refusal is a member of its message.
static struct content look(struct turns *t, const struct canon_block *b, bool assistant)
{
    struct content c = {0};
    for (; b; b = b->next) {
        if (!is_part(t, b) || (assistant && b->kind == CANON_REFUSAL))
            continue;
        c.parts++;
        c.cache_control |= b->cache_control.len > 0;
        if (b->kind == CANON_TEXT && c.texts++ == 0)
            c.first_text = b;
    }
    return c;
}

static void write_parts(struct turns *t, const struct canon_block *b, bool assistant)
{
    json_array(t->w);
    for (; b; b = b->next)
        if (is_part(t, b) && !(assistant && b->kind == CANON_REFUSAL))
            part_writers[b->kind](t, b);
    json_array_end(t->w);
}

static void write_content(struct turns *t, const struct canon_block *blocks,
                          const struct content *c, bool assistant)
{
    json_key(t->w, SLICE("content"));
    if (c->parts == 0)
        json_null(t->w);
    else if (c->parts == 1 && c->texts == 1 && !c->cache_control)
        json_raw(t->w, c->first_text->text);
    else
        write_parts(t, blocks, assistant);
}

// ---- Messages ----------------------------------------------------------------------------------

static const struct slice roles[] = {
    [CANON_SYSTEM] = SLICE("\"system\""),
    [CANON_DEVELOPER] = SLICE("\"developer\""),
    [CANON_USER] = SLICE("\"user\""),
};

// A tool message takes text only, so what else there is goes before what the user says next.
static void show(struct turns *t, const struct canon_block *b)
{
    struct canon_block *copy;
    int rc = canon_add_block(t->r->arena, &t->r->parts, &t->shown_tail, &copy);
    if (rc) {
        t->err = t->err ? t->err : rc;
        return;
    }
    *copy = *b;
    copy->next = NULL;
}

static void write_result(struct turns *t, const struct canon_block *b)
{
    for (const struct canon_block *in = b->content; in; in = in->next) {
        if (!is_part(t, in))
            drop(t, in);
        else if (in->kind != CANON_TEXT)
            show(t, in);
    }
    json_object(t->w);
    json_member(t->w, SLICE("role"), SLICE("\"tool\""));
    json_member(t->w, SLICE("tool_call_id"), b->id);
    json_key(t->w, SLICE("content"));
    openai__write_joined(t->w, b->content, CANON_TEXT);
    json_object_end(t->w);
}

static void write_details(struct turns *t, const struct canon_block *b)
{
    json_key(t->w, SLICE("reasoning_details"));
    json_array(t->w);
    for (; b; b = b->next) {
        if (b->kind == CANON_THINKING) {
            begin_part(t, SLICE("\"reasoning.text\""));
            json_member(t->w, SLICE("text"), b->text.len > 0 ? b->text : SLICE("\"\""));
            if (!literal_is_empty(b->signature))
                json_member(t->w, SLICE("signature"), b->signature);
            json_object_end(t->w);
        } else if (b->kind == CANON_REDACTED_THINKING) {
            begin_part(t, SLICE("\"reasoning.encrypted\""));
            json_member(t->w, SLICE("data"), b->data);
            json_object_end(t->w);
        }
    }
    json_array_end(t->w);
}

static void write_assistant(struct turns *t, const struct canon_message *m)
{
    unsigned count[CANON_BLOCK_KIND_COUNT] = {0};
    struct content c = look(t, m->blocks, true);

    for (const struct canon_block *b = m->blocks; b; b = b->next)
        count[b->kind]++;
    unsigned thoughts = t->thoughts ? count[CANON_THINKING] + count[CANON_REDACTED_THINKING] : 0;
    if (c.parts + thoughts + count[CANON_REFUSAL] + count[CANON_TOOL_CALL] == 0)
        return;
    json_object(t->w);
    json_member(t->w, SLICE("role"), SLICE("\"assistant\""));
    write_content(t, m->blocks, &c, true);
    if (count[CANON_REFUSAL] > 0) {
        json_key(t->w, SLICE("refusal"));
        openai__write_joined(t->w, m->blocks, CANON_REFUSAL);
    }
    json_member(t->w, SLICE("name"), m->name);
    if (thoughts > 0)
        write_details(t, m->blocks);
    if (count[CANON_TOOL_CALL] > 0)
        openai__write_calls(t->w, m->blocks);
    openai__write_extra(t->r, m->extra, t->w);
    json_object_end(t->w);
}

static void write_said(struct turns *t, const struct canon_message *m, struct slice role)
{
    struct content c = look(t, m->blocks, false);

    if (c.parts == 0)
        return;
    json_object(t->w);
    json_member(t->w, SLICE("role"), role);
    write_content(t, m->blocks, &c, false);
    json_member(t->w, SLICE("name"), m->name);
    openai__write_extra(t->r, m->extra, t->w);
    json_object_end(t->w);
}

// What the results showed, in front of what the user says, if the user does.
static void write_shown(struct turns *t, const struct canon_message *m)
{
    if (t->shown) {
        struct canon_message user = {.role = CANON_USER};
        if (m && m->role == CANON_USER)
            user = *m;
        *t->shown_tail = user.blocks;
        user.blocks = t->shown;
        t->shown = NULL;
        t->shown_tail = &t->shown;
        write_said(t, &user, SLICE("\"user\""));
        if (m && m->role == CANON_USER)
            return;
    }
    if (m && m->role == CANON_ASSISTANT)
        write_assistant(t, m);
    else if (m)
        write_said(t, m, roles[m->role]);
}

static void write_message(struct turns *t, const struct canon_message *m)
{
    for (const struct canon_block *b = m->blocks; b; b = b->next) {
        if (b->kind == CANON_TOOL_RESULT)
            write_result(t, b);
        else if (!is_part(t, b))
            drop(t, b);
    }
    if (m->role != CANON_TOOL)
        write_shown(t, m);
}

int openai__write_messages(struct canon_request *r, struct json_writer *w)
{
    struct turns t = {
        .r = r, .w = w, .thoughts = r->keep_thoughts || r->from == &dialect_openai_chat};

    t.shown_tail = &t.shown;
    json_array(w);
    if (r->prompt.len > 0) {
        json_object(w);
        json_member(w, SLICE("role"), SLICE("\"user\""));
        json_member(w, SLICE("content"), r->prompt);
        json_object_end(w);
    }
    for (const struct canon_message *m = r->messages; m && t.err == 0; m = m->next)
        write_message(&t, m);
    if (t.err == 0)
        write_shown(&t, NULL);
    json_array_end(w);
    return t.err;
}
