// SPDX-License-Identifier: Apache-2.0
//
// openai_text.c: text completions, translated both ways; their chunks are in openai_chat_events.c
// and openai_chat_chunks.c.
//
// A prompt is no conversation: it stays a prompt, and who writes chat makes one message of it, or
// refuses what a chat cannot do for it (several prompts, tokens for text, a text behind the answer,
// the prompt again).
//
// Sources: platform.openai.com/docs/api-reference/completions, docs/translation.md.

#include "base/container.h"
#include "base/err.h"
#include "codec/openai_internal.h"

// ---- Requests ----------------------------------------------------------------------------------

// A string; an array of just one is one. Others stay as they are, for who writes to refuse.
static int read_prompt(struct canon_request *r, const struct json_member *m)
{
    enum json_type type = m->type;
    enum json_type more;
    struct slice prompt = m->value;
    struct slice second;
    size_t at = 0;

    if (m->type == JSON_ARRAY && (!json_array_next(m->value, &at, &type, &prompt) ||
                                  json_array_next(m->value, &at, &more, &second)))
        type = JSON_ARRAY;
    r->prompt = type == JSON_STRING ? prompt : m->value;
    return 0;
}

#define PARAM(text, bits, canon)                                                                   \
    {                                                                                              \
        .name = SLICE(text), .types = (bits), .param = CANON_P_##canon                             \
    }
#define READ(text, bits, function)                                                                 \
    {                                                                                              \
        .name = SLICE(text), .types = (bits), .read = (function)                                   \
    }
#define OURS(text)                                                                                 \
    {                                                                                              \
        .name = SLICE(text)                                                                        \
    }

static const struct openai_member members[] = {
    OURS("model"),
    OURS("fallbacks"),
    OURS("stream_options"),
    OURS("extra_params"),
    READ("prompt", ANY_STRING | ANY_ARRAY, read_prompt),
    READ("stream", ANY_BOOL, openai__read_stream),
    READ("max_tokens", ANY_NUMBER, openai__read_limit),
    READ("stop", ANY_STRING | ANY_ARRAY, openai__read_stops),
    PARAM("temperature", ANY_NUMBER, TEMPERATURE),
    PARAM("top_p", ANY_NUMBER, TOP_P),
    PARAM("seed", ANY_NUMBER, SEED),
    PARAM("frequency_penalty", ANY_NUMBER, FREQUENCY_PENALTY),
    PARAM("presence_penalty", ANY_NUMBER, PRESENCE_PENALTY),
    PARAM("logit_bias", ANY_OBJECT, LOGIT_BIAS),
    PARAM("logprobs", ANY_NUMBER, LOGPROBS),
    PARAM("n", ANY_NUMBER, N),
    PARAM("user", ANY_STRING, USER),
    PARAM("suffix", ANY_STRING, SUFFIX),
    PARAM("echo", ANY_BOOL, ECHO),
    PARAM("best_of", ANY_NUMBER, BEST_OF),
};

int openai_text__read_request(struct canon_request *r, struct slice text)
{
    r->from = &dialect_openai_text;
    int rc = openai__read_members(r, text, members, ARRAY_LEN(members));
    if (rc || r->prompt.len > 0)
        return rc;
    return openai__refuse(r, ERR_MISSING, NULL, SLICE("prompt"), "is missing");
}

static const struct openai_param params[] = {
    {CANON_P_MAX_TOKENS, SLICE("max_tokens")},
    {CANON_P_TEMPERATURE, SLICE("temperature")},
    {CANON_P_TOP_P, SLICE("top_p")},
    {CANON_P_STOP, SLICE("stop")},
    {CANON_P_SEED, SLICE("seed")},
    {CANON_P_FREQUENCY_PENALTY, SLICE("frequency_penalty")},
    {CANON_P_PRESENCE_PENALTY, SLICE("presence_penalty")},
    {CANON_P_LOGIT_BIAS, SLICE("logit_bias")},
    {CANON_P_LOGPROBS, SLICE("logprobs")},
    {CANON_P_N, SLICE("n")},
    {CANON_P_USER, SLICE("user")},
    {CANON_P_SUFFIX, SLICE("suffix")},
    {CANON_P_ECHO, SLICE("echo")},
    {CANON_P_BEST_OF, SLICE("best_of")},
};

int openai_text__write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    if (r->prompt.len == 0)
        return openai__refuse(r, ERR_UNSUPPORTED, NULL, SLICE("messages"),
                              "cannot be completed by this provider");
    if (r->param[CANON_P_TOP_K].len > 0)
        canon_drop(r, SLICE("top_k"));
    json_object(w);
    json_member_string(w, SLICE("model"), model);
    json_member(w, SLICE("prompt"), r->prompt);
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        json_member(w, params[i].name, r->param[params[i].param]);
    openai__write_rest(r, &dialect_openai_text, w, params, ARRAY_LEN(params));
    json_object_end(w);
    return w->err;
}

// ---- Answers -----------------------------------------------------------------------------------

int openai_text__read_answer(struct canon_answer *a, struct slice text)
{
    struct canon_block **tail = &a->blocks;
    struct canon_block *b;
    struct slice choice;
    int rc = openai__read_frame(a, text, &choice);

    if (rc)
        return rc;
    a->from = &dialect_openai_text;
    struct json_member said = json_object_get(choice, SLICE("text"));
    struct json_member reason = json_object_get(choice, SLICE("finish_reason"));
    if (said.type != JSON_STRING)
        return ERR_UPSTREAM_PROTOCOL;
    a->stop = openai__read_stop(reason.value);
    rc = canon_add_block(a->arena, &a->parts, &tail, &b);
    if (rc)
        return rc;
    b->kind = CANON_TEXT;
    b->text = said.value;
    return 0;
}

int openai_text__write_answer(const struct canon_answer *a, const struct canon_context *c,
                              struct json_writer *w)
{
    json_object(w);
    openai__write_frame(a, c, w, SLICE("cmpl-"), SLICE("text_completion"));
    json_key(w, SLICE("choices"));
    json_array(w);
    json_object(w);
    json_member_number(w, SLICE("index"), 0);
    json_key(w, SLICE("text"));
    json_string_open(w);
    for (const struct canon_block *b = a->blocks; b; b = b->next)
        if (b->kind == CANON_TEXT || b->kind == CANON_REFUSAL)
            json_string_inner(w, literal_inner(b->text));
    json_string_close(w);
    json_member(w, SLICE("logprobs"), SLICE("null")); // of another shape than anybody else's
    json_member(w, SLICE("finish_reason"),
                a->stop == CANON_STOP_TOOL ? SLICE("\"stop\"") : openai__write_stop(a->stop));
    json_object_end(w);
    json_array_end(w);
    if (a->usage.known) {
        json_key(w, SLICE("usage"));
        openai__write_usage(w, &a->usage);
    }
    json_member(w, SLICE("system_fingerprint"), a->system_fingerprint);
    json_object_end(w);
    return w->err;
}
