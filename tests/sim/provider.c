// SPDX-License-Identifier: Apache-2.0
//
// provider.c: see provider.h.
//
// An answer is written as a whole into `out` when its request is understood, with places where the
// script pauses and, for those that die, the place where it ends.
#include "tests/sim/provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSES_MAX 16
// What a lazy provider reads at once.
#define LAZY_BYTES 4000
// Of a chunk, where an answer comes in many.
#define FINE_BYTES       3000
#define REQUEST_HEAD_MAX 65536
// [DONE] and the last chunk, cut into pieces.
#define LAST_BYTES 128

enum deed {
    DEED_ANSWER,
    DEED_EARLY,      // answers at the head
    DEED_REFUSE,     // an error status
    DEED_DIE,        // the answer breaks off
    DEED_STALL,      // the answer stops, the connection stays
    DEED_HANG_UP,    // no answer at all
    DEED_SILENT,     // nothing ever
    DEED_UNFINISHED, // a stream without [DONE]
    DEED_ERROR_EVENT,
    DEED_NONSENSE, // no HTTP
    DEED_COUNT,
};

enum after { AFTER_KEEP, AFTER_CLOSE, AFTER_RESET, AFTER_STALL };

struct provider_conn {
    struct provider *provider;
    struct provider_conn *next;
    struct wire_end *end;
    struct text in, out;
    size_t out_at, out_stop;
    size_t pause[PAUSES_MAX];
    unsigned pauses, paused; // so many were kept
    struct sim_event *wake;
    size_t head_len; // of the request; 0: its head has not come
    size_t body_len;
    enum deed deed;
    enum after after;
    long attempt;
    int64_t reads_at;
    struct sim_event *read_wake;
    bool answering, stalled;
    bool deaf; // reads nothing any more
};

static void step(struct provider_conn *c);

static void conn_over(struct provider_conn *c, bool reset)
{
    struct provider_conn **at = &c->provider->conns;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->provider->open--;
    sim_drop(&c->wake);
    sim_drop(&c->read_wake);
    wire_hang_up(c->end, reset);
    text_free(&c->in);
    text_free(&c->out);
    sim_free(c);
}

// ---- Writing answers -------------------------------------------------------------------------

static void pause_here(struct provider_conn *c)
{
    if (c->pauses < PAUSES_MAX)
        c->pause[c->pauses++] = c->out.len;
}

// The body's framing: by length, in chunks, or by the end of the connection.
static void add_framed(struct provider_conn *c, const char *fields, const struct text *body,
                       const size_t *cut, unsigned cuts)
{
    unsigned how = (unsigned)sim_below(cuts > 0 ? 10 : 3);
    text_printf(&c->out, "HTTP/1.1 200 OK\r\n%s", fields);
    if (how == 0) {
        text_printf(&c->out, "Connection: close\r\n\r\n");
        c->after = c->after == AFTER_KEEP ? AFTER_CLOSE : c->after;
    } else if (how == 1 && cuts == 0) {
        text_printf(&c->out, "Content-Length: %zu\r\n\r\n", body->len);
    } else {
        how = 2;
        text_printf(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
    }
    unsigned next = 0;
    bool fine = sim_chance(200);
    for (size_t at = 0; at < body->len;) {
        size_t end = body->len;
        while (next < cuts && cut[next] <= at)
            next++;
        if (next < cuts)
            end = cut[next];
        if (fine && end - at > FINE_BYTES)
            end = at + sim_between(1, FINE_BYTES);
        else if (sim_chance(300))
            end = at + sim_between(1, end - at);
        if (how == 2)
            text_printf(&c->out, "%zx\r\n", end - at);
        text_add(&c->out, body->ptr + at, end - at);
        if (how == 2)
            text_printf(&c->out, "\r\n");
        if (!fine && sim_chance(400))
            pause_here(c);
        at = end;
    }
    if (how == 2)
        text_printf(&c->out, "0\r\n\r\n");
}

static void write_stream(struct provider_conn *c)
{
    struct story *s = c->provider->story;
    struct story_attempt *a = &s->attempt[c->attempt];
    unsigned attempt = (unsigned)c->attempt, broken = a->events;
    struct text body = {0};
    size_t cut[32];
    unsigned cuts = 0;
    if (c->deed == DEED_ERROR_EVENT)
        broken = (unsigned)sim_below(a->events + 1);
    for (unsigned k = 0; k < a->events && k < broken; k++) {
        if (sim_chance(50))
            text_printf(&body, ": still here\n\n");
        story_event(s, attempt, k, &body);
        cut[cuts++] = body.len;
    }
    if (c->deed == DEED_ERROR_EVENT)
        text_printf(&body, "data: {\"error\":{\"message\":\"the model is tired\"}}\n\n");
    else if (a->usage)
        story_usage_event(s, attempt, &body);
    if (c->deed != DEED_ERROR_EVENT && c->deed != DEED_UNFINISHED)
        text_printf(&body, "data: [DONE]\n\n");
    add_framed(c, "Content-Type: text/event-stream\r\n", &body, cut, cuts);
    text_free(&body);
}

static void write_refusal(struct provider_conn *c)
{
    static const unsigned statuses[] = {429, 500, 503, 400, 529};
    unsigned status = statuses[sim_below(5)];
    const char *body = "{\"error\":{\"message\":\"not now\",\"type\":\"trouble\"}}";
    text_printf(&c->out, "HTTP/1.1 %u No\r\nContent-Type: application/json\r\n", status);
    if (status == 429 && sim_chance(500))
        text_printf(&c->out, "Retry-After: 1\r\n");
    text_printf(&c->out, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
}

static void write_answer(struct provider_conn *c)
{
    struct story *s = c->provider->story;
    c->answering = true;
    c->out.len = c->out_at = 0;
    c->pauses = c->paused = 0;
    c->after = AFTER_KEEP;
    if (c->deed == DEED_REFUSE) {
        write_refusal(c);
    } else if (c->deed == DEED_NONSENSE) {
        text_printf(&c->out, "SSH-2.0-nonsense\r\n\r\n");
        c->after = AFTER_CLOSE;
    } else if (s->attempt[c->attempt].stream) {
        write_stream(c);
    } else {
        struct text body = {0};
        story_answer_body(s, (unsigned)c->attempt, &body);
        add_framed(c, "Content-Type: application/json\r\n", &body, NULL, 0);
        text_free(&body);
    }
    c->out_stop = c->out.len;
    if (c->deed == DEED_DIE || c->deed == DEED_STALL) {
        c->out_stop = sim_below(c->out.len);
        // Where closing is the framing, an early FIN is no failure that anybody could see.
        bool reset = c->after == AFTER_CLOSE || sim_chance(500);
        c->after = c->deed == DEED_STALL ? AFTER_STALL : reset ? AFTER_RESET : AFTER_CLOSE;
    }
}

// ---- Hearing requests ------------------------------------------------------------------------

static enum deed draw_deed(const struct provider *p)
{
    if (!sim_chance(p->trouble))
        return sim_chance(50) ? DEED_EARLY : DEED_ANSWER;
    return (enum deed)sim_between(DEED_EARLY, DEED_COUNT - 1);
}

static bool hear_head(struct provider_conn *c)
{
    long end = text_find(&c->in, 0, "\r\n\r\n");
    SIM_HOLDS(end >= 0 || c->in.len < REQUEST_HEAD_MAX, "a provider hears a head without end");
    if (end < 0)
        return false;
    long length = text_number(c->in.ptr, (size_t)end, "ontent-length: ");
    if (length < 0)
        length = text_number(c->in.ptr, (size_t)end, "ontent-Length: ");
    SIM_HOLDS(memcmp(c->in.ptr, "POST ", 5) == 0 && length > 0, "a provider hears no request: %.*s",
              (int)end, c->in.ptr);
    c->head_len = (size_t)end + 4;
    c->body_len = (size_t)length;
    c->deed = draw_deed(c->provider);
    c->attempt = -1;
    c->deaf = c->deed == DEED_SILENT && sim_chance(500);
    return true;
}

// The prompt's beginning tells which request it is.
static bool know_request(struct provider_conn *c)
{
    const char *body = c->in.ptr + c->head_len;
    size_t here = c->in.len - c->head_len;
    if (c->attempt >= 0)
        return true;
    if (here < 100 && here < c->body_len)
        return false;
    long request = text_number(body, here, "\"R");
    SIM_HOLDS(request >= 0, "a provider hears no prompt: %.*s", (int)here, body);
    struct story *s = c->provider->story;
    bool stream = s->request[request].kind == STORY_STREAM;
    c->attempt = story_try(s, (unsigned)request, stream);
    sim_trace("provider %u: request %ld is answer %ld, deed %d", c->provider->port, request,
              c->attempt, (int)c->deed);
    return true;
}

// The request is here: it must be what was asked. Ready for the next one behind it.
static void heard(struct provider_conn *c)
{
    struct story *s = c->provider->story;
    story_check_request(s, s->attempt[c->attempt].request, c->in.ptr + c->head_len, c->body_len);
}

static void hear(struct provider_conn *c)
{
    if (c->answering && c->head_len == 0)
        return;
    if (c->head_len == 0 && !hear_head(c))
        return;
    bool whole = c->in.len - c->head_len >= c->body_len;
    if (!know_request(c))
        return;
    if (whole)
        heard(c);
    if (c->answering || (!whole && c->deed != DEED_EARLY))
        return;
    if (c->deed == DEED_SILENT)
        c->stalled = true;
    else
        write_answer(c);
}

// ---- Steps -----------------------------------------------------------------------------------

static void on_wake(void *arg)
{
    struct provider_conn *c = arg;
    c->wake = NULL;
    step(c);
}

static bool pauses(struct provider_conn *c)
{
    if (c->paused == c->pauses || c->out_at < c->pause[c->paused])
        return false;
    if (c->wake)
        return true;
    c->paused++;
    uint64_t most = c->provider->slow ? 8 * (uint64_t)NS_PER_S : 300 * (uint64_t)NS_PER_MS;
    c->wake = sim_after((int64_t)sim_below(most), on_wake, c);
    return true;
}

static void on_read_wake(void *arg)
{
    struct provider_conn *c = arg;
    c->read_wake = NULL;
    step(c);
}

// The script's answer is out. False: the connection is over.
static bool answered(struct provider_conn *c)
{
    if (c->after == AFTER_STALL) {
        c->stalled = true;
        return true;
    }
    if (c->after != AFTER_KEEP) {
        conn_over(c, c->after == AFTER_RESET);
        return false;
    }
    if (c->in.len - c->head_len < c->body_len)
        return true; // answered early: the rest of the request is still to come
    text_cut(&c->in, c->head_len + c->body_len);
    c->head_len = c->body_len = 0;
    c->answering = false;
    return true;
}

// Where in its last bytes an answer becomes whole is not looked at closely.
static void note_whole(struct provider_conn *c)
{
    bool right = c->attempt >= 0 && c->deed != DEED_UNFINISHED && c->deed != DEED_ERROR_EVENT;
    if (right && c->out_at + LAST_BYTES >= c->out.len)
        c->provider->story->attempt[c->attempt].whole = true;
}

// False: the connection is over.
static bool say(struct provider_conn *c)
{
    while (c->answering && !c->stalled) {
        size_t until = c->out_stop;
        if (c->wake || pauses(c))
            return true;
        if (c->paused < c->pauses && c->pause[c->paused] < until)
            until = c->pause[c->paused];
        if (c->out_at < until) {
            long n = wire_send(c->end, c->out.ptr + c->out_at, until - c->out_at);
            if (n == -EAGAIN)
                return true;
            if (n < 0) {
                conn_over(c, false);
                return false;
            }
            c->out_at += (size_t)n;
        }
        note_whole(c);
        if (c->out_at < c->out_stop)
            continue;
        if (!answered(c))
            return false;
        if (c->answering)
            return true;
    }
    return true;
}

// False: the connection is over.
static bool receive(struct provider_conn *c)
{
    char bytes[65536];
    struct provider *p = c->provider;
    size_t most = p->lazy ? LAZY_BYTES : sizeof(bytes);
    while (sim.now_ns >= c->reads_at && !c->deaf) {
        long n = wire_recv(c->end, bytes, most);
        if (n == -EAGAIN)
            return true;
        if (n <= 0) {
            conn_over(c, false);
            return false;
        }
        text_add(&c->in, bytes, (size_t)n);
        if (p->lazy)
            c->reads_at = sim.now_ns + (int64_t)sim_below(20 * (uint64_t)NS_PER_MS);
    }
    if (!c->read_wake && !c->deaf)
        c->read_wake = sim_at(c->reads_at, on_read_wake, c);
    return true;
}

static void step(struct provider_conn *c)
{
    if (!receive(c) || c->stalled)
        return;
    // What was answered early may have its end and the next request here.
    for (bool again = true; again && !c->stalled;) {
        hear(c);
        if (c->head_len > 0 && c->deed == DEED_HANG_UP && c->answering) {
            conn_over(c, sim_chance(500));
            return;
        }
        bool answering = c->answering;
        if (!say(c))
            return;
        again = answering && !c->answering && c->in.len > 0;
    }
}

static void on_change(struct wire_end *end)
{
    step(end->actor);
}

static struct wire_end *answer(void *provider)
{
    struct provider *p = provider;
    if (p->trouble > 0 && sim_chance(20))
        return NULL;
    struct provider_conn *c = sim_alloc(sizeof(*c));
    c->provider = p;
    c->next = p->conns;
    p->conns = c;
    p->open++;
    c->end = wire_actor(on_change, c);
    return c->end;
}

void provider_begin(struct provider *p, struct story *story, unsigned port)
{
    *p = (struct provider){.story = story, .port = port};
    p->trouble = sim_chance(300) ? 0 : (unsigned)sim_below(700);
    p->slow = p->trouble > 0 && sim_chance(300);
    p->lazy = sim_chance(250);
    wire_listen(port, answer, p);
}

void provider_end(struct provider *p)
{
    while (p->conns)
        conn_over(p->conns, false);
}
