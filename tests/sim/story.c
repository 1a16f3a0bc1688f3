// SPDX-License-Identifier: Apache-2.0
//
// story.c: see story.h.
#include "tests/sim/story.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Text ------------------------------------------------------------------------------------

static void reserve(struct text *t, size_t more)
{
    if (t->len + more <= t->cap)
        return;
    t->cap = 2 * (t->len + more);
    t->ptr = sim_realloc(t->ptr, t->cap);
}

void text_add(struct text *t, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    reserve(t, len);
    memcpy(t->ptr + t->len, bytes, len);
    t->len += len;
}

void text_printf(struct text *t, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    SIM_HOLDS(n >= 0 && (size_t)n < sizeof(line), "a line of a script is too long");
    text_add(t, line, (size_t)n);
}

static void text_fill(struct text *t, char c, size_t n)
{
    if (n == 0)
        return;
    reserve(t, n);
    memset(t->ptr + t->len, c, n);
    t->len += n;
}

void text_cut(struct text *t, size_t n)
{
    if (n == 0)
        return;
    memmove(t->ptr, t->ptr + n, t->len - n);
    t->len -= n;
}

void text_free(struct text *t)
{
    sim_free(t->ptr);
    *t = (struct text){0};
}

long text_find(const struct text *t, size_t from, const char *needle)
{
    if (from >= t->len)
        return -1;
    const char *at = memmem(t->ptr + from, t->len - from, needle, strlen(needle));
    return at ? at - t->ptr : -1;
}

long text_number(const char *bytes, size_t len, const char *mark)
{
    const char *at = memmem(bytes, len, mark, strlen(mark));
    long n = -1;
    if (!at)
        return -1;
    for (at += strlen(mark); at < bytes + len && *at >= '0' && *at <= '9'; at++)
        n = (n < 0 ? 0 : n) * 10 + (*at - '0');
    return n;
}

// ---- Requests --------------------------------------------------------------------------------

unsigned story_ask(struct story *s, bool with_large)
{
    s->request = sim_realloc(s->request, (s->requests + 1) * sizeof(s->request[0]));
    struct story_request *r = &s->request[s->requests];
    unsigned dice = (unsigned)sim_below(100);
    *r = (struct story_request){
        .kind = dice < 40   ? STORY_CHAT
                : dice < 85 ? STORY_STREAM
                : dice < 92 ? STORY_HEALTH
                : dice < 95 ? STORY_UNKNOWN
                : dice < 98 ? STORY_BROKEN
                            : STORY_MALFORMED,
        .unified = sim_chance(500),
        .fallback = sim_chance(400),
        .usage = sim_chance(300),
        .chunked = sim_chance(200),
        .padding = (unsigned)sim_below(sim_chance(150) ? 40000 : 300),
    };
    if (with_large && sim_chance(100))
        r->padding = (unsigned)sim_below(400000);
    return s->requests++;
}

void story_request_body(const struct story *s, unsigned request, struct text *out)
{
    const struct story_request *r = &s->request[request];
    text_printf(out, "{\"model\":\"openai/m\",\"messages\":[{\"role\":\"user\",\"content\":\"R%u ",
                request);
    text_fill(out, (char)('a' + request % 26), r->padding);
    text_printf(out, "\"}]");
    if (r->kind == STORY_STREAM)
        text_printf(out, ",\"stream\":true");
    if (r->kind == STORY_STREAM && r->usage)
        text_printf(out, ",\"stream_options\":{\"include_usage\":true}");
    if (r->fallback)
        text_printf(out, ",\"fallbacks\":[\"other/m\"]");
    text_printf(out, r->kind == STORY_BROKEN ? ",\"x\":" : "}");
}

static void add_chunks(struct text *out, const struct text *body)
{
    for (size_t at = 0; at < body->len;) {
        size_t n = sim_between(1, body->len - at);
        text_printf(out, "%zx\r\n", n);
        text_add(out, body->ptr + at, n);
        text_printf(out, "\r\n");
        at += n;
    }
    text_printf(out, "0\r\n\r\n");
}

static void malformed(struct text *out)
{
    static const char *const heads[] = {
        "GET /health HTTP/1.1\r\nHost sim\r\n\r\n",
        "GET /health HTTP/9.9\r\nHost: sim\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: sim\r\nContent-Length: 2\r\n"
        "Transfer-Encoding: chunked\r\n\r\n{}",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: sim\r\nContent-Length: two\r\n\r\n{}",
        "GET /health HTTP/1.1\r\nHost: sim\r\nX-Long: ",
    };
    unsigned i = (unsigned)sim_below(sizeof(heads) / sizeof(heads[0]));
    text_printf(out, "%s", heads[i]);
    if (i == 4) {
        text_fill(out, 'x', 70000);
        text_printf(out, "\r\n\r\n");
    }
}

const char *story_path(const struct story *s, unsigned request)
{
    static const char *const paths[STORY_KIND_COUNT][2] = {
        [STORY_CHAT] = {"/openai/v1/chat/completions", "/v1/chat/completions"},
        [STORY_STREAM] = {"/openai/v1/chat/completions", "/v1/chat/completions"},
        [STORY_HEALTH] = {"/health", "/health"},
        [STORY_UNKNOWN] = {"/nowhere", "/v1/nowhere"},
        [STORY_MALFORMED] = {"", ""},
        [STORY_BROKEN] = {"/openai/v1/chat/completions", "/v1/chat/completions"},
    };
    const struct story_request *r = &s->request[request];
    return paths[r->kind][r->unified];
}

void story_request_text(const struct story *s, unsigned request, struct text *out)
{
    const struct story_request *r = &s->request[request];
    const char *path = story_path(s, request);
    struct text body = {0};
    if (r->kind == STORY_MALFORMED) {
        malformed(out);
        return;
    }
    if (r->kind == STORY_HEALTH) {
        text_printf(out, "GET %s HTTP/1.1\r\nHost: sim\r\n\r\n", path);
        return;
    }
    story_request_body(s, request, &body);
    text_printf(out, "POST %s HTTP/1.1\r\nHost: sim\r\nContent-Type: application/json\r\n", path);
    if (r->chunked) {
        text_printf(out, "Transfer-Encoding: chunked\r\n\r\n");
        add_chunks(out, &body);
    } else {
        text_printf(out, "Content-Length: %zu\r\n\r\n", body.len);
        text_add(out, body.ptr, body.len);
    }
    text_free(&body);
}

void story_check_request(const struct story *s, unsigned request, const char *body, size_t len)
{
    char mark[32];
    SIM_HOLDS(request < s->requests, "a provider got request %u, which nobody sent", request);
    const struct story_request *r = &s->request[request];
    snprintf(mark, sizeof(mark), "\"R%u ", request);
    const char *at = memmem(body, len, mark, strlen(mark));
    SIM_HOLDS(at, "request %u came without its prompt", request);
    at += strlen(mark);
    size_t n = 0;
    while (at + n < body + len && at[n] == (char)('a' + request % 26))
        n++;
    SIM_HOLDS(n == r->padding && at + n < body + len && at[n] == '"',
              "request %u came with %zu letters of %u", request, n, r->padding);
    SIM_HOLDS(body[0] == '{' && body[len - 1] == '}', "request %u is no object", request);
    SIM_HOLDS(!memmem(body, len, "fallbacks", 9), "request %u shows its fallbacks", request);
}

// ---- Answers ---------------------------------------------------------------------------------

unsigned story_try(struct story *s, unsigned request, bool stream)
{
    s->attempt = sim_realloc(s->attempt, (s->attempts + 1) * sizeof(s->attempt[0]));
    s->attempt[s->attempts] = (struct story_attempt){
        .request = request,
        .stream = stream,
        .events = (unsigned)sim_between(1, 12),
        .filler = (unsigned)sim_below(sim_chance(150) ? (stream ? 5000 : 150000) : 200),
        .usage = sim_chance(500),
    };
    return s->attempts++;
}

void story_free(struct story *s)
{
    sim_free(s->request);
    sim_free(s->attempt);
    *s = (struct story){0};
}

void story_answer_body(const struct story *s, unsigned attempt, struct text *out)
{
    const struct story_attempt *a = &s->attempt[attempt];
    text_printf(out,
                "{\"id\":\"a%u\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","
                "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"R%u ",
                attempt, a->request);
    text_fill(out, (char)('A' + attempt % 26), a->filler);
    text_printf(out, "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,"
                     "\"completion_tokens\":2,\"total_tokens\":3}}");
}

void story_event(const struct story *s, unsigned attempt, unsigned k, struct text *out)
{
    const struct story_attempt *a = &s->attempt[attempt];
    text_printf(out,
                "data: {\"id\":\"a%u\",\"object\":\"chat.completion.chunk\",\"created\":1,"
                "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"R%u E%u ",
                attempt, a->request, k);
    text_fill(out, (char)('A' + (attempt + k) % 26), a->filler);
    text_printf(out, "\"},\"finish_reason\":%s}]}\n\n", k + 1 == a->events ? "\"stop\"" : "null");
}

void story_usage_event(const struct story *s, unsigned attempt, struct text *out)
{
    (void)s;
    text_printf(out,
                "data: {\"id\":\"a%u\",\"object\":\"chat.completion.chunk\",\"created\":1,"
                "\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,"
                "\"completion_tokens\":2,\"total_tokens\":3}}\n\n",
                attempt);
}

// ---- Judging ---------------------------------------------------------------------------------

// What /v1 added is taken out again: `…,"extra_fields":{…}}` becomes `…}`.
static void without_extra(struct text *t)
{
    static const char mark[] = ",\"extra_fields\":{";
    char *at = t->len > 0 ? memmem(t->ptr, t->len, mark, sizeof(mark) - 1) : NULL;
    SIM_HOLDS(at && t->len > 2 && t->ptr[t->len - 1] == '}' && t->ptr[t->len - 2] == '}',
              "an answer of /v1 without extra_fields");
    *at = '}';
    t->len = (size_t)(at + 1 - t->ptr);
}

static unsigned attempt_of(const struct story *s, unsigned request, const char *bytes, size_t len)
{
    long n = text_number(bytes, len, "\"id\":\"a");
    SIM_HOLDS(n >= 0 && (unsigned long)
                            n<s->attempts, "request %u: no provider said: %.*s", request, len> 200
                  ? 200
                  : (int)len,
              bytes);
    SIM_HOLDS(s->attempt[n].request == request, "request %u got the answer to request %u", request,
              s->attempt[n].request);
    return (unsigned)n;
}

static void same(unsigned request, const struct text *got, const struct text *expected)
{
    size_t n = got->len < expected->len ? got->len : expected->len, i = 0;
    while (i < n && got->ptr[i] == expected->ptr[i])
        i++;
    SIM_HOLDS(i == got->len && i == expected->len,
              "request %u: what came differs from what was sent at byte %zu (%zu and %zu bytes)",
              request, i, got->len, expected->len);
}

static void check_whole(struct story *s, unsigned request, const char *body, size_t len,
                        bool complete)
{
    struct text got = {0}, expected = {0};
    if (!complete) {
        s->count.cut++;
        return;
    }
    text_add(&got, body, len);
    if (s->request[request].unified)
        without_extra(&got);
    unsigned attempt = attempt_of(s, request, body, len);
    story_answer_body(s, attempt, &expected);
    same(request, &got, &expected);
    s->count.right++;
    text_free(&got);
    text_free(&expected);
}

struct judge {
    struct story *s;
    unsigned request;
    long attempt; // -1: no event yet
    unsigned k;   // events
    bool usage, done, error;
};

// One event with its blank line.
static void check_event(struct judge *j, const char *bytes, size_t len)
{
    const struct story_request *r = &j->s->request[j->request];
    SIM_HOLDS(!j->done, "request %u: something behind [DONE]", j->request);
    if (bytes[0] == ':')
        return; // a comment
    if (memmem(bytes, len, "\"error\"", 7)) {
        j->error = true;
        return;
    }
    if (len == 14 && memcmp(bytes, "data: [DONE]\n\n", 14) == 0) {
        j->done = true;
        return;
    }
    SIM_HOLDS(!j->error, "request %u: an event behind an error", j->request);
    struct text got = {0}, expected = {0};
    text_add(&got, bytes, len - 2);
    if (r->unified)
        without_extra(&got);
    text_add(&got, "\n\n", 2);
    unsigned attempt = attempt_of(j->s, j->request, bytes, len);
    SIM_HOLDS(j->attempt < 0 || (unsigned)j->attempt == attempt,
              "request %u: events of two attempts", j->request);
    j->attempt = attempt;
    if (memmem(bytes, len, "\"choices\":[]", 12)) {
        SIM_HOLDS(!j->usage && (r->unified || r->usage) && j->k == j->s->attempt[attempt].events,
                  "request %u: usage that belongs elsewhere", j->request);
        j->usage = true;
        story_usage_event(j->s, attempt, &expected);
    } else {
        SIM_HOLDS(j->k < j->s->attempt[attempt].events, "request %u: one event too many",
                  j->request);
        story_event(j->s, attempt, j->k++, &expected);
    }
    same(j->request, &got, &expected);
    text_free(&got);
    text_free(&expected);
}

static void check_stream(struct story *s, unsigned request, const char *body, size_t len,
                         bool complete)
{
    struct judge j = {.s = s, .request = request, .attempt = -1};
    while (len > 0) {
        const char *end = memmem(body, len, "\n\n", 2);
        if (!end) {
            SIM_HOLDS(!complete, "request %u: half an event at the end", request);
            break;
        }
        check_event(&j, body, (size_t)(end + 2 - body));
        len -= (size_t)(end + 2 - body);
        body = end + 2;
    }
    if (j.error) {
        s->count.marked++;
        return;
    }
    if (!complete && !j.done) {
        s->count.cut++;
        return;
    }
    SIM_HOLDS(j.done, "request %u: a stream that looks complete, without [DONE]", request);
    SIM_HOLDS(j.attempt >= 0 && j.k == s->attempt[j.attempt].events,
              "request %u: %u events of %u, shown as complete", request, j.k,
              j.attempt >= 0 ? s->attempt[j.attempt].events : 0);
    SIM_HOLDS(s->attempt[j.attempt].whole, "request %u: complete although its provider was not",
              request);
    s->count.right++;
}

static void check_answer(struct story *s, unsigned request, const struct text *body, bool complete)
{
    const struct story_request *r = &s->request[request];
    SIM_HOLDS(r->kind != STORY_UNKNOWN && r->kind < STORY_BROKEN,
              "request %u, which is wrong, was answered with 200", request);
    if (r->kind == STORY_HEALTH)
        s->count.right++;
    else if (r->kind == STORY_STREAM)
        check_stream(s, request, body->ptr, body->len, complete);
    else
        check_whole(s, request, body->ptr, body->len, complete);
}

void story_judge(struct story *s, unsigned request, unsigned status, const struct text *body,
                 bool complete)
{
    s->request[request].over = true;
    if (status == 200) {
        check_answer(s, request, body, complete);
        return;
    }
    SIM_HOLDS(status >= 400 && status < 600, "request %u: status %u", request, status);
    if (!complete) {
        s->count.cut++;
        return;
    }
    SIM_HOLDS(body->len > 0 && memmem(body->ptr, body->len, "\"error\"", 7),
              "request %u: status %u without an error", request, status);
    SIM_HOLDS(s->request[request].kind != STORY_UNKNOWN || status == 404 || status == 503 ||
                  status == 408,
              "no such path: %u", status);
    s->count.refused++;
}
