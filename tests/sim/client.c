// SPDX-License-Identifier: Apache-2.0
//
// client.c: see client.h.
#include "tests/sim/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_HEAD_MAX 65536

static void step(struct client *c);
static void on_change(struct wire_end *end);

static void on_wake(void *arg)
{
    struct client *c = arg;
    c->wake = NULL;
    step(c);
}

static void wake_after(struct client *c, int64_t ns)
{
    if (!c->wake)
        c->wake = sim_after(ns, on_wake, c);
}

// ---- Connections -----------------------------------------------------------------------------

static void forget(struct client *c)
{
    c->end = NULL;
    c->asked_count = 0;
    c->out.len = c->out_at = c->in.len = c->body.len = 0;
    c->part = CLIENT_HEAD;
    c->last = c->began = false;
    sim_drop(&c->leave);
}

static void hang_up(struct client *c, bool reset)
{
    wire_hang_up(c->end, reset);
    forget(c);
}

// All that were asked and not answered are given up.
static void give_up(struct client *c)
{
    for (unsigned i = 0; i < c->asked_count; i++)
        c->story->request[c->asked[i]].over = true;
    c->story->count.abandoned += c->asked_count;
    hang_up(c, sim_chance(500));
}

static void on_leave(void *arg)
{
    struct client *c = arg;
    c->leave = NULL;
    sim_trace("client %u leaves", c->number);
    give_up(c);
    wake_after(c, sim_delay());
}

static void ask(struct client *c)
{
    unsigned request = story_ask(c->story, c->large);
    story_request_text(c->story, request, &c->out);
    c->asked[c->asked_count++] = request;
    c->left--;
    sim_trace("client %u asks request %u (kind %d, %u letters)", c->number, request,
              (int)c->story->request[request].kind, c->story->request[request].padding);
    if (!c->leave && sim_chance(c->leaves))
        c->leave =
            sim_after((int64_t)sim_below(sim_chance(500) ? 4000000000 : 5000000), on_leave, c);
}

// ---- Answers ---------------------------------------------------------------------------------

static bool take_line(struct text *in, char *line, size_t size)
{
    long end = text_find(in, 0, "\r\n");
    if (end < 0)
        return false;
    SIM_HOLDS((size_t)end < size, "a line of %ld bytes", end);
    memcpy(line, in->ptr, (size_t)end);
    line[end] = '\0';
    text_cut(in, (size_t)end + 2);
    return true;
}

static bool has_field(const struct text *in, size_t len, const char *name, const char *value)
{
    for (size_t i = 0; i + strlen(name) < len; i++) {
        if (strncasecmp(in->ptr + i, name, strlen(name)) == 0) {
            const char *at = in->ptr + i + strlen(name),
                       *end = memmem(at, (size_t)(in->ptr + len - at), "\r\n", 2);
            return end && memmem(at, (size_t)(end - at), value, strlen(value));
        }
    }
    return false;
}

static bool take_head(struct client *c)
{
    long end = text_find(&c->in, 0, "\r\n\r\n");
    SIM_HOLDS(end >= 0 || c->in.len < ANSWER_HEAD_MAX, "an answer's head without end");
    if (end < 0)
        return false;
    SIM_HOLDS(c->asked_count > 0, "client %u gets an answer to nothing", c->number);
    size_t len = (size_t)end + 2;
    SIM_HOLDS(memcmp(c->in.ptr, "HTTP/1.1 ", 9) == 0, "no HTTP: %.*s", (int)len, c->in.ptr);
    c->status = (unsigned)strtoul(c->in.ptr + 9, NULL, 10);
    c->last = has_field(&c->in, len, "\r\nconnection:", "close");
    if (c->last)
        sim_trace("client %u hears that this answer is the last", c->number);
    bool chunked = has_field(&c->in, len, "\r\ntransfer-encoding:", "chunked");
    long length = -1;
    for (size_t i = 0; i + 18 < len && length < 0; i++) {
        if (strncasecmp(c->in.ptr + i, "\r\ncontent-length: ", 18) == 0)
            length = strtol(c->in.ptr + i + 18, NULL, 10);
    }
    SIM_HOLDS(chunked || length >= 0, "an answer without framing");
    SIM_HOLDS(!chunked || length < 0, "an answer with two framings");
    text_cut(&c->in, (size_t)end + 4);
    c->body.len = 0;
    c->part = chunked ? CLIENT_CHUNK : CLIENT_LENGTH;
    c->wanted = chunked ? 0 : (size_t)length;
    return true;
}

static void answer_over(struct client *c, bool complete)
{
    unsigned request = c->asked[0];
    struct story *s = c->story;
    memmove(&c->asked[0], &c->asked[1], --c->asked_count * sizeof(c->asked[0]));
    sim_trace("client %u: request %u, status %u, %zu bytes%s", c->number, request, c->status,
              c->body.len, complete ? "" : ", cut");
    story_judge(s, request, c->status, &c->body, complete);
    c->part = CLIENT_HEAD;
    c->began = false;
    if (c->asked_count == 0)
        sim_drop(&c->leave);
}

static bool take_some(struct client *c)
{
    size_t n = c->in.len < c->wanted ? c->in.len : c->wanted;
    text_add(&c->body, c->in.ptr, n);
    text_cut(&c->in, n);
    c->wanted -= n;
    return c->wanted == 0;
}

// One step through what is here. False: more bytes are needed.
static bool take(struct client *c)
{
    char line[128];
    switch (c->part) {
    case CLIENT_HEAD:
        if (c->in.len == 0)
            return false;
        c->began = true;
        return take_head(c);
    case CLIENT_LENGTH:
        if (!take_some(c))
            return false;
        answer_over(c, true);
        return true;
    case CLIENT_CHUNK:
        if (!take_line(&c->in, line, sizeof(line)))
            return false;
        c->wanted = strtoul(line, NULL, 16) + 2; // with its line end
        c->last_chunk = c->wanted == 2;
        c->part = CLIENT_CHUNK_DATA;
        return true;
    case CLIENT_CHUNK_DATA:
        if (!take_some(c))
            return false;
        c->body.len -= 2;
        SIM_HOLDS(memcmp(c->body.ptr + c->body.len, "\r\n", 2) == 0, "a chunk without its end");
        c->part = CLIENT_CHUNK;
        if (c->last_chunk)
            answer_over(c, true);
        return true;
    default:
        return false;
    }
}

// The connection has ended: what does that say about what was asked on it?
static void lost(struct client *c, bool reset)
{
    bool struck = c->end->struck || c->may_be_lost || c->was_deaf;
    SIM_HOLDS(!c->began || c->part != CLIENT_HEAD || struck || reset, "half a head, then the end");
    if (c->asked_count > 0 && c->part != CLIENT_HEAD) {
        answer_over(c, false);
        c->last = true;
    }
    // Behind an answer that closes, or that broke off, nothing else is answered.
    SIM_HOLDS(c->asked_count == 0 || c->last || struck || c->out_at < c->out.len,
              "client %u: request %u gets no answer at all", c->number, c->asked[0]);
    for (unsigned i = 0; i < c->asked_count; i++)
        c->story->request[c->asked[i]].over = true;
    c->story->count.unanswered += c->asked_count;
    hang_up(c, false);
    wake_after(c, sim_delay());
}

// ---- Steps -----------------------------------------------------------------------------------

static void connect(struct client *c)
{
    c->end = wire_dial(c->port, on_change, c);
    if (!c->end && c->closing)
        c->done = true;
    else if (!c->end)
        wake_after(c, 10 * NS_PER_MS);
}

static void say(struct client *c)
{
    while (c->out_at < c->out.len) {
        long n = wire_send(c->end, c->out.ptr + c->out_at, c->out.len - c->out_at);
        if (n < 0)
            return; // no room, or the receive will tell
        c->out_at += (size_t)n;
    }
    c->out.len = c->out_at = 0;
}

// False: the connection is over.
static bool hear(struct client *c)
{
    char bytes[65536];
    size_t most = c->read_most > 0 && c->read_most < sizeof(bytes) ? c->read_most : sizeof(bytes);
    while (sim.now_ns >= c->reads_at) {
        long n = wire_recv(c->end, bytes, most);
        if (n == -EAGAIN)
            return true;
        if (n <= 0) {
            lost(c, n < 0);
            return false;
        }
        text_add(&c->in, bytes, (size_t)n);
        while (take(c)) {
        }
        if (c->read_most > 0)
            c->reads_at = sim.now_ns + (int64_t)sim_below((uint64_t)c->read_pause_ns);
        if (c->deaf && !c->was_deaf && sim_chance(100)) {
            c->was_deaf = true;
            c->reads_at = sim.now_ns + 100 * NS_PER_S;
        }
    }
    wake_after(c, c->reads_at - sim.now_ns);
    return true;
}

static bool wants_more(const struct client *c)
{
    return c->left > 0 && !c->closing && !c->last && c->asked_count < c->pipeline;
}

static void step(struct client *c)
{
    if (c->done)
        return;
    if (!c->end && (c->left == 0 || c->closing)) {
        c->done = true;
        return;
    }
    if (!c->end)
        connect(c);
    if (!c->end)
        return;
    bool idle = c->asked_count == 0 && c->story->requests > 0;
    if (wants_more(c) && idle && !c->wake && sim_chance(300)) {
        wake_after(c, (int64_t)sim_below(2 * (uint64_t)NS_PER_S)); // thinks
        return;
    }
    while (wants_more(c) && !(c->asked_count > 0 && sim_chance(300)))
        ask(c);
    say(c);
    if (!hear(c))
        return;
    if (c->asked_count > 0)
        return;
    if (c->left == 0 || c->closing) {
        c->done = true;
        if (sim_chance(500))
            hang_up(c, sim_chance(200));
    } else if (c->last) {
        hang_up(c, false);
        wake_after(c, sim_delay());
    } else {
        wake_after(c, sim_delay());
    }
}

static void on_change(struct wire_end *end)
{
    struct client *c = end->actor;
    if (!c->done) {
        step(c);
        return;
    }
    // It keeps an idle connection; the gateway may close it, but has nothing to say.
    char byte;
    long n = wire_recv(end, &byte, 1);
    SIM_HOLDS(n <= 0, "client %u gets an answer to nothing", c->number);
    if (n != -EAGAIN)
        hang_up(c, false);
}

void client_begin(struct client *c, struct story *story, unsigned number, unsigned port)
{
    static const size_t sizes[] = {0, 0, 0, 1, 100, 4096};
    *c = (struct client){.story = story, .number = number, .port = port};
    c->left = (unsigned)sim_between(1, 6);
    c->pipeline = sim_chance(300) ? (unsigned)sim_between(2, CLIENT_PIPELINE_MAX) : 1;
    c->leaves = sim_chance(400) ? (unsigned)sim_below(600) : 0;
    c->read_most = sizes[sim_below(6)];
    c->read_pause_ns = c->read_most == 1 ? 10000 : 20 * NS_PER_MS;
    c->deaf = sim_chance(60);
    c->large = sim_chance(200);
    wake_after(c, (int64_t)sim_below(sim_chance(500) ? 1000000 : 3000000000));
}

void client_no_more(struct client *c)
{
    c->closing = true;
    if (!c->end && !c->done) {
        c->done = true;
        sim_drop(&c->wake);
    }
}

void client_hang_up(struct client *c)
{
    if (c->end)
        give_up(c);
}

void client_end(struct client *c)
{
    client_hang_up(c);
    sim_drop(&c->wake);
    text_free(&c->out);
    text_free(&c->in);
    text_free(&c->body);
}
