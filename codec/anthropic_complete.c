// SPDX-License-Identifier: Apache-2.0
//
// anthropic_complete.c: the older text completions, translated: requests, answers and events. The
// gateway calls it through the row of dialect_anthropic.c.
//
// The prompt of this dialect is a conversation in one text, "\n\nHuman: …\n\nAssistant:". What
// comes from elsewhere is wrapped in it unless it is one already; what goes elsewhere loses a
// wrapping that holds a single turn. A longer conversation stays as it is: without its marks nobody
// could tell who says what.
//
//   a stream:  completion (stop_reason null)… ─► completion (stop_reason)
//
// Claude tells no usage here.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

#define MAX_TOKENS_UNSET 4096
// Insides of literals.
#define HUMAN     SLICE("\\n\\nHuman:")
#define ASSISTANT SLICE("\\n\\nAssistant:")

// ---- The prompt --------------------------------------------------------------------------------

// Both marks begin with a backslash, which may be the second half of an escape: then it is no mark.
static bool begins_escape(struct slice inner, size_t at)
{
    size_t backslashes = 0;
    while (backslashes < at && inner.ptr[at - backslashes - 1] == '\\')
        backslashes++;
    return backslashes % 2 == 0;
}

static bool contains(struct slice inner, struct slice mark)
{
    ptrdiff_t found;
    for (size_t at = 0; (found = slice_find(slice_skip(inner, at), mark)) >= 0; at++) {
        at += (size_t)found;
        if (begins_escape(inner, at))
            return true;
    }
    return false;
}

static bool ends_with(struct slice inner, struct slice mark)
{
    return inner.len >= mark.len && slice_eq(slice_skip(inner, inner.len - mark.len), mark) &&
           begins_escape(inner, inner.len - mark.len);
}

static bool is_conversation(struct slice inner)
{
    return slice_starts(inner, HUMAN) && contains(inner, ASSISTANT);
}

// `prompt` without the marks of its only turn; a literal. ERR_NOMEM.
static int unwrap(struct arena *arena, struct slice prompt, struct slice *ret)
{
    struct slice inner = literal_inner(prompt);

    *ret = prompt;
    if (!slice_starts(inner, HUMAN) || !ends_with(inner, ASSISTANT))
        return 0;
    inner = slice_skip(inner, HUMAN.len);
    inner.len = inner.len < ASSISTANT.len ? 0 : inner.len - ASSISTANT.len;
    if (contains(inner, HUMAN) || contains(inner, ASSISTANT))
        return 0;
    if (slice_starts(inner, SLICE(" ")))
        inner = slice_skip(inner, 1);
    char *out = arena_bytes(arena, inner.len + 2);
    if (!out)
        return ERR_NOMEM;
    out[0] = '"';
    if (inner.len > 0)
        memcpy(out + 1, inner.ptr, inner.len);
    out[inner.len + 1] = '"';
    *ret = slice_of(out, inner.len + 2);
    return 0;
}

static void write_prompt(struct json_writer *w, struct slice prompt)
{
    struct slice inner = literal_inner(prompt);

    json_key(w, SLICE("prompt"));
    if (is_conversation(inner)) {
        json_raw(w, prompt);
        return;
    }
    json_string_open(w);
    json_string_inner(w, HUMAN);
    json_string_inner(w, SLICE(" "));
    json_string_inner(w, inner);
    json_string_inner(w, ASSISTANT);
    json_string_close(w);
}

// ---- Requests ----------------------------------------------------------------------------------

static int read_request(struct canon_request *r, struct slice text)
{
    enum { MODEL, FALLBACKS, PROMPT, LIMIT, STOP, TEMPERATURE, TOP_P, TOP_K, METADATA, STREAM };
    static const struct anthropic_field fields[] = {
        [MODEL] = {SLICE("model"), ANTHROPIC_ANY},
        [FALLBACKS] = {SLICE("fallbacks"), ANTHROPIC_ANY},
        [PROMPT] = {SLICE("prompt"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [LIMIT] = {SLICE("max_tokens_to_sample"), ANTHROPIC_NUMBER},
        [STOP] = {SLICE("stop_sequences"), ANTHROPIC_ARRAY},
        [TEMPERATURE] = {SLICE("temperature"), ANTHROPIC_NUMBER},
        [TOP_P] = {SLICE("top_p"), ANTHROPIC_NUMBER},
        [TOP_K] = {SLICE("top_k"), ANTHROPIC_NUMBER},
        [METADATA] = {SLICE("metadata"), ANTHROPIC_OBJECT},
        [STREAM] = {SLICE("stream"), ANTHROPIC_BOOL},
    };
    static const struct anthropic_field metadata[] = {{SLICE("user_id"), ANTHROPIC_STRING}};
    const struct anthropic_reader rd = {.arena = r->arena, .parts = &r->parts, .request = r};
    const struct anthropic_path path = {.name = SLICE("metadata")};
    struct json_member m[ARRAY_LEN(fields)];
    struct json_member user = {.type = JSON_NONE};

    r->from = &dialect_anthropic_complete;
    int rc =
        anthropic__fields(&rd, NULL, literal_trim(text), fields, ARRAY_LEN(fields), m, &r->extra);
    if (rc == 0 && m[METADATA].type == JSON_OBJECT)
        rc = anthropic__fields(&rd, &path, m[METADATA].value, metadata, 1, &user, NULL);
    if (rc)
        return rc;
    r->param[CANON_P_MAX_TOKENS] = m[LIMIT].value;
    r->param[CANON_P_STOP] = m[STOP].value;
    r->param[CANON_P_TEMPERATURE] = m[TEMPERATURE].value;
    r->param[CANON_P_TOP_P] = m[TOP_P].value;
    r->param[CANON_P_TOP_K] = m[TOP_K].value;
    r->param[CANON_P_USER] = user.value;
    r->stream = m[STREAM].type == JSON_TRUE;
    return unwrap(r->arena, m[PROMPT].value, &r->prompt);
}

// What text completions have and this does not, in the order in which parameters are written.
static void report_dropped(struct canon_request *r)
{
    static const struct {
        enum canon_param param;
        struct slice name;
    } dropped[] = {
        {CANON_P_SEED, SLICE("seed")},
        {CANON_P_FREQUENCY_PENALTY, SLICE("frequency_penalty")},
        {CANON_P_PRESENCE_PENALTY, SLICE("presence_penalty")},
        {CANON_P_LOGIT_BIAS, SLICE("logit_bias")},
        {CANON_P_LOGPROBS, SLICE("logprobs")},
        {CANON_P_METADATA, SLICE("metadata")},
        {CANON_P_SERVICE_TIER, SLICE("service_tier")},
    };
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
        if (r->param[dropped[i].param].len > 0)
            canon_drop(r, dropped[i].name);
}

static void write_unknown(struct canon_request *r, struct json_writer *w)
{
    static const struct slice written[] = {
        SLICE("model"),          SLICE("prompt"),   SLICE("max_tokens_to_sample"),
        SLICE("temperature"),    SLICE("top_p"),    SLICE("top_k"),
        SLICE("stop_sequences"), SLICE("metadata"), SLICE("stream"),
    };
    for (const struct canon_member *m = r->extra; m; m = m->next) {
        bool pass = r->pass_extra || r->from == &dialect_anthropic_complete;
        for (size_t i = 0; i < ARRAY_LEN(written); i++)
            pass = pass && !slice_eq(m->name, written[i]);
        if (!pass) {
            canon_drop(r, m->name);
            continue;
        }
        json_string(w, m->name);
        w->comma = false;
        json_plain(w, SLICE(":"));
        json_raw(w, m->value);
    }
}

static void write_params(struct canon_request *r, struct json_writer *w)
{
    if (r->param[CANON_P_TEMPERATURE].len > 0) {
        json_key(w, SLICE("temperature"));
        anthropic__write_temperature(w, r->param[CANON_P_TEMPERATURE]);
    }
    json_member(w, SLICE("top_p"), r->param[CANON_P_TOP_P]);
    json_member(w, SLICE("top_k"), r->param[CANON_P_TOP_K]);
    if (r->param[CANON_P_STOP].len > 0) {
        json_key(w, SLICE("stop_sequences"));
        anthropic__write_stop_sequences(w, r->param[CANON_P_STOP]);
    }
    if (r->param[CANON_P_USER].len > 0) {
        json_key(w, SLICE("metadata"));
        json_object(w);
        json_member(w, SLICE("user_id"), r->param[CANON_P_USER]);
        json_object_end(w);
    }
}

static int write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    int rc = anthropic__refuse_several(r);
    if (rc)
        return rc;
    if (r->prompt.len == 0)
        return anthropic__refuse_input(r, "the provider completes texts only");
    json_object(w);
    json_member_string(w, SLICE("model"), model);
    write_prompt(w, r->prompt);
    if (r->param[CANON_P_MAX_TOKENS].len > 0)
        json_member(w, SLICE("max_tokens_to_sample"), r->param[CANON_P_MAX_TOKENS]);
    else
        json_member_number(w, SLICE("max_tokens_to_sample"), MAX_TOKENS_UNSET);
    write_params(r, w);
    report_dropped(r);
    if (r->stream)
        json_member(w, SLICE("stream"), SLICE("true"));
    write_unknown(r, w);
    json_object_end(w);
    return w->err;
}

// ---- Answers -----------------------------------------------------------------------------------

// Every end but the limit's is a stop_sequence: the turn of the next speaker.
static enum canon_stop read_stop(struct slice literal)
{
    return literal_is(literal, SLICE("max_tokens")) ? CANON_STOP_LENGTH : CANON_STOP_END;
}

static struct slice stop_name(enum canon_stop stop)
{
    return stop == CANON_STOP_LENGTH || stop == CANON_STOP_CONTEXT ? SLICE("\"max_tokens\"")
                                                                   : SLICE("\"stop_sequence\"");
}

static int read_answer(struct canon_answer *a, struct slice text)
{
    enum { COMPLETION, ID, MODEL, REASON, WANTED };
    static const struct slice names[WANTED] = {
        [COMPLETION] = SLICE("completion"),
        [ID] = SLICE("id"),
        [MODEL] = SLICE("model"),
        [REASON] = SLICE("stop_reason"),
    };
    struct canon_block **tail = &a->blocks;
    struct canon_block *b;
    struct json_scanner scan;

    int rc = json_scan(&scan, text, names, WANTED, 0);
    if (rc)
        return rc;
    const struct json_member *m = scan.member;
    if (m[COMPLETION].type != JSON_STRING)
        return ERR_UPSTREAM_PROTOCOL;
    a->from = &dialect_anthropic_complete;
    if (m[ID].type == JSON_STRING)
        a->id = m[ID].value;
    if (m[MODEL].type == JSON_STRING)
        a->model = m[MODEL].value;
    if (m[REASON].type == JSON_STRING)
        a->stop = read_stop(m[REASON].value);
    rc = canon_add_block(a->arena, &a->parts, &tail, &b);
    if (rc)
        return rc;
    b->kind = CANON_TEXT;
    b->text = m[COMPLETION].value;
    return 0;
}

static void write_id_and_model(struct json_writer *w, struct slice id, struct slice model,
                               const struct canon_context *c, struct slice reason)
{
    anthropic__write_id(w, SLICE("compl_"), id, c);
    json_member(w, SLICE("stop_reason"), reason);
    if (model.len > 0)
        json_member(w, SLICE("model"), model);
    else
        json_member_string(w, SLICE("model"), c->model);
}

static int write_answer(const struct canon_answer *a, const struct canon_context *c,
                        struct json_writer *w)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"completion\""));
    json_key(w, SLICE("completion"));
    json_string_open(w);
    for (const struct canon_block *b = a->blocks; b; b = b->next)
        if (b->kind == CANON_TEXT || b->kind == CANON_REFUSAL)
            json_string_inner(w, literal_inner(b->text));
    json_string_close(w);
    write_id_and_model(w, a->id, a->model, c, stop_name(a->stop));
    json_object_end(w);
    return w->err;
}

// ---- A provider's events -----------------------------------------------------------------------

struct reader_state {
    bool started;
    bool ended;
};

_Static_assert(sizeof(struct reader_state) <= CANON_STATE_BYTES, "a stream remembers no more");

enum member { TYPE, COMPLETION, REASON, ID, MODEL, ERROR, WANTED };

static struct slice string_of(const struct json_member *m)
{
    return m->type == JSON_STRING ? m->value : SLICE_EMPTY;
}

static int give_start(struct canon_sink *sink, const struct json_member *m)
{
    const struct canon_event start = {
        .kind = CANON_START, .id = string_of(&m[ID]), .model = string_of(&m[MODEL])};
    const struct canon_event block = {.kind = CANON_BLOCK_START, .block = CANON_TEXT};

    int rc = sink->take(sink, &start);
    return rc ? rc : sink->take(sink, &block);
}

static int give_end(struct canon_sink *sink, struct slice reason)
{
    const struct canon_event events[] = {
        {.kind = CANON_BLOCK_STOP, .block = CANON_TEXT},
        {.kind = CANON_STOP, .stop = read_stop(reason)},
        {.kind = CANON_END},
    };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(events) && rc == 0; i++)
        rc = sink->take(sink, &events[i]);
    return rc;
}

static int on_completion(struct reader_state *s, const struct json_member *m,
                         struct canon_sink *sink)
{
    int rc = 0;

    if (s->ended || m[COMPLETION].type != JSON_STRING)
        return ERR_BAD_SSE;
    if (!s->started)
        rc = give_start(sink, m);
    s->started = true;
    if (rc == 0 && !literal_is_empty(m[COMPLETION].value)) {
        const struct canon_event delta = {.kind = CANON_BLOCK_DELTA,
                                          .block = CANON_TEXT,
                                          .delta = CANON_DELTA_TEXT,
                                          .text = m[COMPLETION].value};
        rc = sink->take(sink, &delta);
    }
    if (rc || m[REASON].type != JSON_STRING)
        return rc;
    s->ended = true;
    return give_end(sink, m[REASON].value);
}

static int read_event(struct canon_reader *r, const struct sse_event *event,
                      struct canon_sink *sink)
{
    static const struct slice names[WANTED] = {
        [TYPE] = SLICE("type"), [COMPLETION] = SLICE("completion"), [REASON] = SLICE("stop_reason"),
        [ID] = SLICE("id"),     [MODEL] = SLICE("model"),           [ERROR] = SLICE("error"),
    };
    struct reader_state *s = (struct reader_state *)(void *)r->state;
    struct json_scanner scan;
    struct slice name = event->type;
    bool known = slice_eq(name, SLICE("completion")) || slice_eq(name, SLICE("error"));

    if (!event->has_data || (name.len > 0 && !known) || (name.len == 0 && s->ended))
        return 0;
    int rc = anthropic__scan_event(&scan, event, names, WANTED);
    if (rc)
        return rc;
    const struct json_member *m = scan.member;
    if (name.len == 0)
        name = m[TYPE].type == JSON_STRING    ? literal_inner(m[TYPE].value)
               : m[ERROR].type == JSON_OBJECT ? SLICE("error")
                                              : SLICE("completion");
    if (slice_eq(name, SLICE("error")))
        return anthropic__give_error(r->arena, &m[ERROR], sink);
    return slice_eq(name, SLICE("completion")) ? on_completion(s, m, sink) : 0;
}

// ---- A client's events -------------------------------------------------------------------------

struct writer_state {
    struct slice id, model; // in the arena
    enum canon_stop stop;
};

_Static_assert(sizeof(struct writer_state) <= CANON_STATE_BYTES, "a stream remembers no more");

static void write_completion(struct canon_writer *w, struct slice text, struct slice reason)
{
    struct writer_state *s = (struct writer_state *)(void *)w->state;

    canon_event_open(w->out, SLICE("completion"));
    json_object(w->out);
    json_member(w->out, SLICE("type"), SLICE("\"completion\""));
    json_member(w->out, SLICE("completion"), text);
    write_id_and_model(w->out, s->id, s->model, &w->context, reason);
    json_object_end(w->out);
    canon_event_close(w->out);
}

static int keep_frame(struct canon_writer *w, const struct canon_event *e)
{
    struct writer_state *s = (struct writer_state *)(void *)w->state;

    s->id = arena_copy(w->arena, e->id);
    s->model = arena_copy(w->arena, e->model);
    return s->id.ptr && s->model.ptr ? 0 : ERR_NOMEM;
}

static int write_event(struct canon_writer *w, const struct canon_event *e)
{
    struct writer_state *s = (struct writer_state *)(void *)w->state;
    bool is_text = e->block == CANON_TEXT || e->block == CANON_REFUSAL;

    switch (e->kind) {
    case CANON_START:
        return keep_frame(w, e);
    case CANON_BLOCK_DELTA:
        if (is_text && e->delta == CANON_DELTA_TEXT && !literal_is_empty(e->text))
            write_completion(w, e->text, SLICE("null"));
        break;
    case CANON_STOP:
        s->stop = e->stop;
        break;
    case CANON_END:
        write_completion(w, SLICE("\"\""), stop_name(s->stop));
        break;
    default:
        break;
    }
    return w->out->err;
}

const struct dialect_translation anthropic__complete_translation = {
    .read_request = read_request,
    .write_request = write_request,
    .read_answer = read_answer,
    .write_answer = write_answer,
    .read_event = read_event,
    .write_event = write_event,
};
