// SPDX-License-Identifier: Apache-2.0
//
// relay.c: answers that are no event streams, whole, large or translated, and what both relays
// share.
//
// The answer that arrives in one run, which is the common one, is sent from where it was received.
// One that comes in pieces is copied together up to WHOLE_BYTES_MAX: its length must be known
// before its head is written, and nothing has been promised to the client until then.

#include "gateway/relay.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "gateway/decode.h"
#include "gateway/error.h"
#include "gateway/headers.h"
#include "gateway/raw.h"
#include "gateway/splice.h"
#include "gateway/translate.h"
#include "ring/work.h"

// ---- Pulling ---------------------------------------------------------------------------------

int relay_wait_await(struct exchange *x, struct fiber *self, struct body *b, int64_t *budget_ns)
{
    struct ring *ring = x->core->net.ring;
    struct mono begin = ring_now(ring);

    fiber_set_deadline(self, (struct mono){.ns = begin.ns + *budget_ns});
    int rc = b == x->answer && decoder_has_work(x->decoder)
                 ? work_await(x->core->gateway->work, self, decoder_work, x->decoder)
                 : body_wait_await(b, self);
    fiber_set_deadline(self, MONO_NEVER);
    *budget_ns -= mono_diff_ns(ring_now(ring), begin);
    if (*budget_ns < 1)
        *budget_ns = 1;
    return rc == ERR_DEADLINE ? ERR_UPSTREAM_TIMEOUT : rc;
}

int relay_pull_await(struct exchange *x, struct fiber *self, struct body *b, int64_t *budget_ns,
                     struct body_part *ret)
{
    for (;;) {
        int rc = body_take(b, ret);
        if (rc != ERR_MORE)
            return rc;
        rc = relay_wait_await(x, self, b, budget_ns);
        if (rc)
            return rc;
    }
}

// More of what has been gathered than a turn may copy: another thread's.
struct move {
    char *to;
    const struct gathered *from;
};

static void move_job(void *arg)
{
    const struct move *m = arg;
    memcpy(m->to, m->from->ptr, m->from->len);
}

// Room for a part, before it is pulled, where making it later would hold the loop.
static int make_room_await(struct exchange *x, struct fiber *self, struct gathered *g)
{
    struct arena *arena = &x->stream->arena;
    if (g->len <= TRANSLATE_TURN_BYTES || g->cap - g->len >= BODY_CREDIT_BYTES)
        return 0;
    struct move move = {.to = arena_large(arena, g->cap * 2), .from = g};
    if (!move.to)
        return ERR_NOMEM;
    int rc = work_await(x->core->gateway->work, self, move_job, &move);
    if (rc)
        return rc; // the arena has it
    arena_drop_large(arena, g->ptr);
    g->ptr = move.to;
    g->cap *= 2;
    return 0;
}

int gathered_add(struct exchange *x, struct gathered *g, const struct body_part *part)
{
    struct arena *arena = &x->stream->arena;

    if (g->len + part->bytes > g->cap) {
        size_t cap = g->cap * 2 > g->len + part->bytes ? g->cap * 2 : g->len + part->bytes;
        char *more = arena_large(arena, cap);
        if (!more)
            return ERR_NOMEM;
        if (g->len > 0)
            memcpy(more, g->ptr, g->len);
        if (g->ptr)
            arena_drop_large(arena, g->ptr);
        g->ptr = more;
        g->cap = cap;
    }
    for (unsigned i = 0; i < part->count; i++) {
        memcpy(g->ptr + g->len, part->span[i].ptr, part->span[i].len);
        g->len += part->span[i].len;
    }
    g->last = part->last;
    return 0;
}

int gathered_fill_await(struct exchange *x, struct fiber *self, struct body *b, int64_t *budget_ns,
                        size_t bytes, struct gathered *g)
{
    struct body_part part;

    while (!g->last && g->len < bytes) {
        int rc = make_room_await(x, self, g);
        if (rc == 0)
            rc = relay_pull_await(x, self, b, budget_ns, &part);
        if (rc)
            return rc;
        rc = gathered_add(x, g, &part);
        body_put(b, &part);
        if (rc)
            return rc;
    }
    return 0;
}

// ---- Commit and head -------------------------------------------------------------------------

bool relay_client_left(const struct exchange *x, int err)
{
    return x->stream->gone || err == ERR_CLIENT_GONE || err == ERR_CANCELLED;
}

// All of it but the body's memory.
static void begin_commit(struct exchange *x, struct upstream *u)
{
    exchange_set_state(x, EXCHANGE_COMMITTED);
    x->status = u->head.status;
    // No retry needs them any more; how long the body was is still counted.
    x->body.ptr = NULL;
    x->scan = NULL;
    x->edit_scan = NULL;
    x->edit_scan_of = NULL;
    translate_drop(x);
}

void relay_commit(struct exchange *x, struct upstream *u)
{
    record_commit(x);
    begin_commit(x, u);
    http_drop_body(x->stream);
}

void relay_head(struct exchange *x, const struct upstream *u, int64_t content_length,
                struct http_field *out, struct http_answer *ret)
{
    unsigned count = headers_down(x, &u->head, out, HEADERS_MAX - GATEWAY_CORS_FIELDS);
    count += gateway_cors_fields(x, out + count);
    *ret = (struct http_answer){
        .status = u->head.status,
        .fields = out,
        .count = count,
        .content_length = content_length,
    };
}

static enum price_tier tier_of(enum dialect_tier tier)
{
    return tier == DIALECT_TIER_PRIORITY ? PRICE_TIER_PRIORITY
           : tier == DIALECT_TIER_FLEX   ? PRICE_TIER_FLEX
                                         : PRICE_TIER_DEFAULT;
}

void relay_set_usage(struct exchange *x, const struct dialect_usage *usage)
{
    x->usage = (struct usage){
        .known = usage->known && !usage->opening,
        .input_tokens = usage->input_tokens,
        .output_tokens = usage->output_tokens,
        .total_tokens = usage->total_tokens,
        .cached_read_tokens = usage->cached_read_tokens,
        .cached_write_tokens = usage->cached_write_tokens,
        .cached_write_1h_tokens = usage->cached_write_1h_tokens,
        .input_audio_tokens = usage->input_audio_tokens,
        .output_audio_tokens = usage->output_audio_tokens,
        .searches = usage->searches,
        .tier = tier_of(usage->tier),
        .dollars = usage->dollars,
    };
}

int64_t relay_latency_ms(const struct exchange *x)
{
    return mono_diff_ns(ring_now(x->core->net.ring), x->upstream_started) / NS_PER_MS;
}

static enum outcome failed(struct exchange *x, int err, struct failure *ret)
{
    if (relay_client_left(x, err))
        return OUTCOME_GONE;
    failure_of(ret, err, SLICE_EMPTY, SLICE_EMPTY);
    return OUTCOME_FAILED;
}

bool relay_is_coded(const struct upstream *u)
{
    const struct http_field *f = http_head_get(&u->head, HTTP_N_CONTENT_ENCODING);
    return f && f->value.len > 0 && !slice_ieq(f->value, SLICE("identity"));
}

bool relay_is_events(const struct upstream *u)
{
    const struct http_field *f = http_head_get(&u->head, HTTP_N_CONTENT_TYPE);
    return f && slice_istarts(f->value, SLICE("text/event-stream"));
}

static bool is_spliced(const struct exchange *x, const struct upstream *u)
{
    return route_mount(x->route)->extra_fields && !relay_is_coded(u);
}

// ---- Whole answers ---------------------------------------------------------------------------

// What a whole answer goes out as.
struct pieces {
    struct iovec piece[JSON_PIECES_MAX];
    unsigned count;
    size_t bytes;
};

static enum outcome send_whole_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                     const struct pieces *p, struct slice text,
                                     const struct dialect_usage *usage)
{
    struct slice request = record_request(x);
    struct slice span[JSON_PIECES_MAX];
    struct http_field field[HEADERS_MAX];
    struct http_answer answer;

    for (unsigned i = 0; i < p->count; i++)
        span[i] = slice_of(p->piece[i].iov_base, p->piece[i].iov_len);
    begin_commit(x, u);
    relay_head(x, u, (int64_t)p->bytes, field, &answer);
    relay_set_usage(x, usage);
    record_content(x, request, text);
    x->answer_bytes = p->bytes;
    exchange_settle(x);
    http_drop_body(x->stream);
    // A client that leaves now has been counted; http_end sees that it is gone.
    (void)http_answer_await(x->stream, self, &answer, span, p->count, true);
    return OUTCOME_SERVED;
}

static enum outcome answer_whole_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                       struct slice text, struct failure *ret)
{
    struct pieces p;
    struct dialect_usage usage = {0};
    int rc = ERR_BAD_JSON;

    if (is_spliced(x, u)) {
        struct slice member = splice_member(x, relay_latency_ms(x), text);
        rc = member.ptr
                 ? splice_object(&x->stream->arena, text, member, p.piece, &p.count, &p.bytes)
                 : ERR_NOMEM;
        if (rc == ERR_NOMEM)
            return failed(x, rc, ret);
    }
    if (rc) { // as it is
        p.piece[0] = (struct iovec){.iov_base = (void *)(uintptr_t)text.ptr, .iov_len = text.len};
        p.count = 1;
        p.bytes = text.len;
    }
    if (!relay_is_coded(u))
        x->dialect->answer_usage(text, &usage);
    return send_whole_await(x, self, u, &p, relay_is_coded(u) ? SLICE_EMPTY : text, &usage);
}

// ---- Translated answers ----------------------------------------------------------------------

// What was a stream goes out as something else.
static void become_json(struct http_head *head)
{
    for (unsigned i = 0; i < head->count; i++)
        if (slice_ieq(head->fields[i].name, SLICE("content-type")))
            head->fields[i].value = SLICE("application/json");
}

static enum outcome send_translated_await(struct exchange *x, struct fiber *self,
                                          struct upstream *u, struct translate_answer *a,
                                          struct failure *ret)
{
    struct pieces p;

    int rc = translate_answer_await(x, self, a);
    if (rc && relay_client_left(x, rc))
        return OUTCOME_GONE;
    if (rc) {
        translate_answer_failure(a, &x->stream->arena, rc, ret);
        return OUTCOME_FAILED;
    }
    if (a->events)
        become_json(&u->head);
    p.count = a->count;
    p.bytes = a->bytes;
    memcpy(p.piece, a->piece, a->count * sizeof(a->piece[0]));
    return send_whole_await(x, self, u, &p, a->whole, &a->usage);
}

// All of it must be here before a word can be said in another dialect.
static enum outcome answer_translated_await(struct exchange *x, struct fiber *self,
                                            struct upstream *u, int64_t *budget_ns,
                                            struct failure *ret)
{
    struct translate_answer *a = arena_zalloc(&x->stream->arena, sizeof(*a));
    struct gathered g = {0};

    int rc =
        a ? gathered_fill_await(x, self, x->answer, budget_ns, TRANSLATE_ANSWER_BYTES_MAX + 1, &g)
          : ERR_NOMEM;
    if (rc == 0 && g.len > TRANSLATE_ANSWER_BYTES_MAX)
        rc = ERR_UPSTREAM_FOREIGN;
    if (rc == 0 && relay_is_coded(u))
        rc = ERR_UPSTREAM_PROTOCOL;
    if (rc == 0 && is_spliced(x, u)) {
        a->member = splice_member(x, relay_latency_ms(x),
                                  relay_is_events(u) ? SLICE_EMPTY : slice_of(g.ptr, g.len));
        rc = a->member.ptr ? 0 : ERR_NOMEM;
    }
    if (rc)
        return failed(x, rc, ret);
    a->text = slice_of(g.ptr, g.len);
    a->events = relay_is_events(u) && x->upstream_dialect->translation->read_event;
    enum outcome outcome = send_translated_await(x, self, u, a, ret);
    translate_answer_done(a);
    return outcome;
}

// ---- Large answers ---------------------------------------------------------------------------

struct large {
    struct upstream *u;
    struct slice member; // extra_fields; empty: the bytes pass as they are
    struct hold hold;
    char tail[USAGE_TAIL_BYTES];
    size_t tail_len;
    struct slice out[BODY_SPANS_MAX + 4];
};

static void remember_tail(struct large *l, struct slice s)
{
    if (s.len >= sizeof(l->tail)) {
        memcpy(l->tail, s.ptr + s.len - sizeof(l->tail), sizeof(l->tail));
        l->tail_len = sizeof(l->tail);
        return;
    }
    size_t keep = sizeof(l->tail) - s.len;
    if (l->tail_len > keep) {
        memmove(l->tail, l->tail + l->tail_len - keep, keep);
        l->tail_len = keep;
    }
    if (s.len > 0)
        memcpy(l->tail + l->tail_len, s.ptr, s.len);
    l->tail_len += s.len;
}

// The text of the object that begins at `s`, or empty when its end is not in `s`.
static struct slice object_at(struct slice s)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            return slice_take(s, i + 1);
        }
    }
    return SLICE_EMPTY;
}

void relay_usage_of_tail(const struct dialect *dialect, struct slice tail,
                         struct dialect_usage *ret)
{
    static const char name[] = "\"usage\"";
    char text[USAGE_TAIL_BYTES + 16];

    *ret = (struct dialect_usage){0};
    for (size_t end = tail.len; end >= sizeof(name); end--) {
        const char *at = tail.ptr + end - sizeof(name);
        // The quote of a string's inside has a backslash before it.
        if (memcmp(at, name, sizeof(name) - 1) != 0 || (at > tail.ptr && at[-1] == '\\'))
            continue;
        struct slice rest = slice_skip(tail, (size_t)(at - tail.ptr) + sizeof(name) - 1);
        while (rest.len > 0 && memchr(" \t\r\n:", rest.ptr[0], 5))
            rest = slice_skip(rest, 1);
        struct slice object = rest.len > 0 && rest.ptr[0] == '{' ? object_at(rest) : SLICE_EMPTY;
        if (object.len == 0 || object.len > USAGE_TAIL_BYTES)
            continue;
        memcpy(text, "{\"usage\":", 9);
        memcpy(text + 9, object.ptr, object.len);
        text[9 + object.len] = '}';
        dialect->answer_usage(slice_of(text, object.len + 10), ret);
        return;
    }
}

static void settle_large(struct exchange *x, struct large *l, bool broken)
{
    struct dialect_usage usage = {0};
    if (!broken && !relay_is_coded(l->u))
        relay_usage_of_tail(x->dialect, slice_of(l->tail, l->tail_len), &usage);
    relay_set_usage(x, &usage);
    x->broken = broken;
    exchange_settle(x);
}

// What goes out for these spans; after the last of them also what was held.
static unsigned large_slices(struct large *l, const struct slice *spans, unsigned count, bool last)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        remember_tail(l, spans[i]);
    if (l->member.len > 0) {
        n = hold_feed(&l->hold, spans, count, l->out);
        if (last)
            n += hold_end(&l->hold, l->member, l->out + n);
        return n;
    }
    if (count > 0)
        memcpy(l->out, spans, count * sizeof(spans[0]));
    return count;
}

static int send_large_await(struct exchange *x, struct fiber *self, struct large *l,
                            const struct slice *spans, unsigned count, bool last)
{
    unsigned n = large_slices(l, spans, count, last);
    bool coded = relay_is_coded(l->u);

    for (unsigned i = 0; i < count && !coded; i++)
        record_span(x, spans[i]);
    for (unsigned i = 0; i < n; i++)
        x->answer_bytes += l->out[i].len;
    if (last)
        settle_large(x, l, false);
    if (x->stream->answered)
        return n > 0 || last ? http_write_await(x->stream, self, l->out, n, last) : 0;

    struct http_field field[HEADERS_MAX];
    struct http_answer answer;
    relay_head(x, l->u, l->member.len > 0 ? -1 : l->u->head.content_length, field, &answer);
    return http_answer_await(x->stream, self, &answer, l->out, n, last);
}

// Everything behind the first bytes. The client's head has gone out.
static int rest_large_await(struct exchange *x, struct fiber *self, struct large *l,
                            int64_t *budget_ns)
{
    struct body_part part;
    bool last = false;

    while (!last) {
        int rc = relay_pull_await(x, self, x->answer, budget_ns, &part);
        if (rc)
            return rc;
        last = part.last;
        rc = send_large_await(x, self, l, part.span, part.count, last);
        body_put(x->answer, &part);
        if (rc)
            return relay_client_left(x, rc) ? rc : ERR_CLIENT_GONE;
    }
    return 0;
}

static enum outcome answer_large_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                       struct gathered *g, int64_t *budget_ns, struct failure *ret)
{
    struct large *l = arena_alloc(&x->stream->arena, sizeof(*l));
    struct slice first = slice_of(g->ptr, g->len);

    if (!l)
        return failed(x, ERR_NOMEM, ret);
    l->u = u;
    l->tail_len = 0;
    l->member = is_spliced(x, u) ? splice_member(x, relay_latency_ms(x), SLICE_EMPTY) : SLICE_EMPTY;
    hold_init(&l->hold);
    relay_commit(x, u);
    int rc = send_large_await(x, self, l, &first, 1, g->last);
    arena_drop_large(&x->stream->arena, g->ptr);
    if (rc == 0 && !g->last)
        rc = rest_large_await(x, self, l, budget_ns);
    if (rc == 0 || x->state == EXCHANGE_SETTLED)
        return OUTCOME_SERVED;
    if (relay_client_left(x, rc))
        return OUTCOME_GONE;
    // Half an answer is out: the connection is reset so that it never looks whole.
    failure_of(&x->failure, rc, SLICE_EMPTY, SLICE_EMPTY);
    settle_large(x, l, true);
    return OUTCOME_SERVED;
}

// ---- Which of the two ------------------------------------------------------------------------

enum outcome relay_answer_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                int64_t *budget_ns, struct failure *ret)
{
    struct body_part part;
    struct gathered g = {0};

    if (x->translated)
        return answer_translated_await(x, self, u, budget_ns, ret);
    // Coded events cannot be told apart, so none may wait for its length.
    bool as_it_comes = (!is_spliced(x, u) && u->head.content_length > WHOLE_BYTES_MAX) ||
                       (x->stream_wanted && relay_is_coded(u));

    // One that is shown in itself must be whole for that.
    size_t whole = is_spliced(x, u) && x->raw & RAW_RESPONSE ? RAW_BYTES_MAX : WHOLE_BYTES_MAX;

    int rc = relay_pull_await(x, self, x->answer, budget_ns, &part);
    if (rc)
        return failed(x, rc, ret);
    if (part.last && part.count <= 1 && part.bytes <= whole) {
        // The common answer: it lies in one run where it was received, and is sent from there.
        struct slice text = part.count > 0 ? part.span[0] : SLICE("");
        enum outcome outcome = answer_whole_await(x, self, u, text, ret);
        body_put(x->answer, &part);
        return outcome;
    }
    rc = gathered_add(x, &g, &part);
    body_put(x->answer, &part);
    if (rc == 0 && !as_it_comes)
        rc = gathered_fill_await(x, self, x->answer, budget_ns, whole + 1, &g);
    if (rc)
        return failed(x, rc, ret);
    if (g.last && g.len <= whole)
        return answer_whole_await(x, self, u, slice_of(g.ptr, g.len), ret);
    return answer_large_await(x, self, u, &g, budget_ns, ret);
}
