// SPDX-License-Identifier: Apache-2.0
//
// relay_stream.c: a provider's events on their way to the client.
//
// One pull, one send: what has arrived is cut into events, each judged by the filter (or a run of
// them that only pass, in one look), and the slices of all of them leave in one write; then the
// bytes go back and the next pull begins. No event waits for another. What a pull needs, its part
// and the gather, is memory of that pull: ten thousand streams that wait for their providers own
// none. How the stream ends for the client:
//
//   what the provider did                        | what the client sees
//   ---------------------------------------------+-----------------------------------------------
//   terminal event, end of body                  | all of it, end of stream
//   terminal event, then silence (STREAM_END_MS) | all of it, end of stream
//   an error event after others, then the end    | all of it; on /v1 chat and text then [DONE]
//   an error event as the very first             | nothing: the attempt failed
//   end of body without terminal event           | an error event: truncated
//   cut off, malformed, silent for too long      | an error event; half an event is never shown
//
// Ours after an error event: `data: [DONE]` on /v1 chat and text, nothing on drop-ins and never
// where events have names. The exchange settles before the write that carries the terminal event.
//
// When the provider speaks another dialect, each of its events first becomes the client's events
// that say the same (translate.h), which then pass as if the provider had sent them:
//
//     provider's span ─splitter─► event ─translator─► text ─its splitter─► filter ─► gather

#include "base/assert.h"
#include "base/err.h"
#include "gateway/error.h"
#include "gateway/event_filter.h"
#include "gateway/headers.h"
#include "gateway/raw.h"
#include "gateway/relay.h"
#include "gateway/splice.h"
#include "gateway/translate.h"
#include "ring/work.h"

// Texts inserted into the rare edited events of one pull; a copy of one whole event is the most.
#define EDIT_BYTES_MAX (2u * SSE_EVENT_BYTES_MAX)

// A gather and a part: a block each.
#define WORK_BYTES_MAX (4u * BLOCK_BYTES)

#define DONE_EVENT SLICE("data: [DONE]\n\n")

struct stream {
    struct exchange *x;
    struct fiber *self;
    struct upstream *u;
    struct sse_splitter splitter;
    struct event_filter filter;
    struct translate_stream *translate; // NULL: the provider speaks the client's dialect
    struct arena work;                  // of the pull under way: the two that follow
    struct body_part *part;             // NULL between pulls, as is the gather
    struct gather *gather;
    struct arena edits;     // emptied after each write
    struct mono last_chunk; // for the latency of the next
    int64_t budget_ns;      // what is left of waiting for the next event
    struct failure *failure;
    struct block_pool *far; // where its memory comes from once a worker had a part in it; or NULL
    bool finished;          // the client's stream has ended properly
};

// ---- The memory of a pull --------------------------------------------------------------------

static int work_begin(struct stream *st)
{
    if (st->gather)
        return 0;
    st->gather = arena_alloc(&st->work, sizeof(*st->gather));
    st->part = arena_alloc(&st->work, sizeof(*st->part));
    if (!st->gather || !st->part)
        return ERR_NOMEM;
    gather_reset(st->gather);
    return 0;
}

// The part has been put, the gather been sent.
static void work_end(struct stream *st)
{
    st->gather = NULL;
    st->part = NULL;
    arena_done(&st->work);
    if (st->translate)
        translate_stream_rest(st->translate);
}

// ---- Too long for a turn ---------------------------------------------------------------------

static struct block_pool *blocks_of(struct stream *st)
{
    return st->far ? st->far : &st->x->core->net.blocks;
}

// Runs it here, or by a worker when it is long: then what it may take memory from is moved out of
// the core's pool, once. The fiber waits, so nothing is pulled and nothing overtakes.
static int run_await(struct stream *st, bool is_long, void (*fn)(void *), void *job)
{
    if (!is_long) {
        fn(job);
        return 0;
    }
    if (!st->far) {
        struct block_pool *far = arena_alloc(&st->x->stream->arena, sizeof(*far));
        if (!far)
            return ERR_NOMEM;
        block_pool_init(far, 0);
        arena_move(&st->edits, far);
        if (st->translate)
            translate_stream_move(st->translate, far);
        st->far = far;
    }
    return work_await(st->x->core->gateway->work, st->self, fn, job);
}

static bool is_long(struct slice text)
{
    return text.len > TRANSLATE_TURN_BYTES;
}

// ---- Out -------------------------------------------------------------------------------------

static void set_event_stream_head(struct exchange *x, const struct upstream *u,
                                  struct http_field *field, struct http_answer *answer)
{
    relay_head(x, u, -1, field, answer);
    if (!http_head_get(&u->head, HTTP_N_CONTENT_TYPE))
        field[answer->count++] =
            (struct http_field){.name = SLICE("content-type"), .value = SLICE("text/event-stream")};
    for (unsigned i = 0; i < answer->count; i++)
        if (slice_ieq(field[i].name, SLICE("cache-control")))
            return;
    field[answer->count++] =
        (struct http_field){.name = SLICE("cache-control"), .value = SLICE("no-cache")};
}

// The head and the first bytes. A function of its own: its frame is large, and the stack below a
// stream that lives is given back only as far down as each event reaches again.
static __attribute__((noinline)) int answer_await(struct stream *st, bool last)
{
    struct exchange *x = st->x;
    struct http_field field[HEADERS_MAX + 2];
    struct http_answer answer;

    set_event_stream_head(x, st->u, field, &answer);
    return http_answer_await(x->stream, st->self, &answer, st->gather->slice, st->gather->count,
                             last);
}

// Sends what is gathered. 0, or the client's error.
static int flush_await(struct stream *st, bool last)
{
    struct exchange *x = st->x;
    struct gather *g = st->gather;
    int rc = 0;

    if (x->state != EXCHANGE_SETTLED)
        x->answer_bytes += g->bytes;
    if (!x->stream->answered) {
        rc = answer_await(st, last);
    } else if (g->count > 0 || last) {
        rc = http_write_await(x->stream, st->self, g->slice, g->count, last);
    }
    gather_reset(g);
    if (st->edits.bytes > 0) {
        arena_done(&st->edits);
        arena_init(&st->edits, blocks_of(st), EDIT_BYTES_MAX);
    }
    st->finished = st->finished || (last && rc == 0);
    return rc == 0 || relay_client_left(x, rc) ? rc : ERR_CLIENT_GONE;
}

static void settle(struct stream *st, bool broken)
{
    struct exchange *x = st->x;

    if (x->state == EXCHANGE_SETTLED)
        return;
    relay_set_usage(x, st->translate ? &st->translate->usage : &st->filter.usage);
    x->chunks = st->filter.events;
    x->answer_bytes += st->gather->bytes; // what the write that follows carries
    x->broken = broken;
    exchange_settle(x);
}

static bool adds_done(const struct stream *st)
{
    return route_mount(st->x->route)->extra_fields && !st->x->dialect->named_events;
}

// The stream cannot go on: the client is told by an event, and its stream ends as it should.
static int break_off_await(struct stream *st, int err)
{
    struct exchange *x = st->x;

    if (st->gather->count + 2 > GATHER_SLICES) {
        int rc = flush_await(st, false);
        if (rc)
            return rc;
    }
    if (st->translate)
        translate_failure(st->translate, &x->stream->arena, err, &x->failure);
    else
        failure_of(&x->failure, err, SLICE_EMPTY, SLICE_EMPTY);
    x->chunks = st->filter.events; // the event is numbered behind them
    gather_add(st->gather, error_event(x, &x->failure));
    if (adds_done(st))
        gather_add(st->gather, DONE_EVENT);
    settle(st, true);
    return flush_await(st, true);
}

// ---- In --------------------------------------------------------------------------------------

// The first event: from here the client has an answer.
static void commit(struct stream *st)
{
    struct exchange *x = st->x;

    if (x->state == EXCHANGE_COMMITTED || x->state == EXCHANGE_SETTLED)
        return;
    relay_commit(x, st->u);
    st->filter.committed = true;
    x->first_event = ring_now(x->core->net.ring);
    st->last_chunk = x->first_event;
    metrics_first_event(x, (double)mono_diff_ns(x->first_event, x->upstream_started) /
                               (double)NS_PER_S);
}

// An error event before anything else counts as an answer with an error status.
static int refuse(struct stream *st, const struct sse_event *event)
{
    struct exchange *x = st->x;
    // One that is longer than any error says nothing that could be found within a turn.
    struct slice text = is_long(event->data) ? SLICE("{}") : event->data;
    struct slice data = arena_copy(&x->stream->arena, text);
    struct slice code = SLICE_EMPTY;
    unsigned status = 500;
    uint64_t number = 0;
    struct json_scanner scan;
    static const struct slice names[] = {SLICE("error"), SLICE("code"), SLICE("status")};

    if (!data.ptr)
        return ERR_NOMEM;
    if (json_scan(&scan, data, names, ARRAY_LEN(names), 0) == 0) {
        struct slice error = scan.member[0].type == JSON_OBJECT ? scan.member[0].value : data;
        code = json_object_get(error, SLICE("code")).value;
        if (json_u64(code, &number) != 0)
            code = json_object_get(error, SLICE("status")).value;
        if (code.len > 0 && json_u64(code, &number) != 0)
            number = 0;
    }
    if (number >= 400 && number <= 599)
        status = (unsigned)number;
    failure_of_answer(st->failure, &x->stream->arena, status, data, NULL);
    if (number == status)
        return ERR_UPSTREAM_PROTOCOL;
    st->failure->status = 0;
    error_complete(st->failure);
    if (st->failure->status == 500 && provider_is_rate_limit(data))
        st->failure->status = 429;
    else if (st->failure->status == 500 && slice_find(data, SLICE("\"invalid_request")) >= 0)
        st->failure->status = 400;
    return ERR_UPSTREAM_PROTOCOL;
}

// How long the provider took for this event, in whole milliseconds.
static int64_t chunk_latency_ms(struct stream *st, struct mono now)
{
    if (st->x->state != EXCHANGE_COMMITTED)
        return mono_diff_ns(now, st->x->upstream_started) / NS_PER_MS;
    return mono_diff_ns(now, st->last_chunk) / NS_PER_MS;
}

struct filter_job {
    struct stream *st;
    const struct sse_event *event;
    struct slice span;
    int64_t latency_ms;
    enum event_verdict verdict;
};

static void filter_job(void *arg)
{
    struct filter_job *j = arg;
    j->verdict = event_filter_add(&j->st->filter, j->st->gather, j->event, j->span, j->latency_ms);
}

// 0; an error of the client's side; ERR_UPSTREAM_PROTOCOL when st->failure is filled.
static int event_await(struct stream *st, const struct sse_event *event, struct slice span)
{
    struct mono now = ring_now(st->x->core->net.ring);

    for (;;) {
        struct filter_job job = {
            .st = st, .event = event, .span = span, .latency_ms = chunk_latency_ms(st, now)};
        int rc = run_await(st, is_long(event->raw), filter_job, &job);
        if (rc)
            return rc;
        switch (job.verdict) {
        case EVENT_NOMEM:
            return ERR_NOMEM;
        case EVENT_REFUSED:
            return refuse(st, event);
        case EVENT_KEPT:
            return 0; // the provider has the request's own time for its first event, as before
        case EVENT_PASSED:
        case EVENT_WITHHELD:
        case EVENT_URGENT:
            commit(st);
            if (event->has_data) {
                st->last_chunk = now;
                record_event(st->x, event->raw);
            }
            if (st->filter.ended)
                settle(st, st->filter.failed);
            return job.verdict == EVENT_URGENT ? flush_await(st, false) : 0;
        case EVENT_FULL:
            rc = flush_await(st, false);
            if (rc)
                return rc;
            break;
        }
    }
}

struct translate_job {
    struct translate_stream *t;
    const struct sse_event *event; // of the provider
    struct slice text;
    struct sse_event own; // the client's next
    int rc;
};

static void translate_job(void *arg)
{
    struct translate_job *j = arg;
    j->rc = translate_event(j->t, j->event, &j->text);
}

static void next_job(void *arg)
{
    struct translate_job *j = arg;
    j->rc = sse_next(&j->t->out, &j->own);
}

// What the client gets for one event of a provider that speaks another dialect, at once.
static int translated_await(struct stream *st, const struct sse_event *event)
{
    struct translate_stream *t = st->translate;
    struct translate_job job = {.t = t, .event = event};

    st->filter.source = event;

    int rc = run_await(st, translate_is_long(t, event), translate_job, &job);
    if (rc == 0)
        rc = job.rc;
    if (rc) {
        if (st->x->state == EXCHANGE_TRYING && !relay_client_left(st->x, rc))
            translate_failure(t, &st->x->stream->arena, rc, st->failure);
        return rc;
    }
    if (job.text.len == 0)
        return 0;
    sse_feed(&t->out, job.text);
    for (;;) {
        rc = run_await(st, is_long(job.text), next_job, &job);
        if (rc || job.rc)
            break;
        rc = event_await(st, &job.own, job.text);
        if (rc)
            return rc;
    }
    ASSERT(rc || !sse_partial(&t->out)); // whole events
    return rc ? rc : job.rc == ERR_MORE ? 0 : job.rc;
}

static int provider_event_await(struct stream *st, const struct sse_event *event, struct slice span)
{
    return st->translate ? translated_await(st, event) : event_await(st, event, span);
}

static int span_await(struct stream *st, struct slice span)
{
    struct sse_event event;
    struct slice run;
    int rc;

    sse_feed(&st->splitter, span);
    for (;;) {
        if (!st->translate &&
            event_filter_add_run(&st->filter, st->gather, &st->splitter, &run) > 0) {
            st->last_chunk = ring_now(st->x->core->net.ring);
            record_run(st->x, run);
        }
        rc = sse_next(&st->splitter, &event);
        if (rc)
            return rc == ERR_MORE ? 0 : rc;
        rc = provider_event_await(st, &event, span);
        if (rc)
            return rc;
    }
}

// No event will bring the second half of the last line end; there is room for it.
static void add_owed_lf(struct stream *st)
{
    if (sse_owes_lf(&st->splitter) && !st->filter.withheld && !st->translate)
        gather_add(st->gather, SLICE("\n"));
}

struct last_job {
    struct stream *st;
    struct sse_event event;
    bool ends;
};

static void last_job(void *arg)
{
    struct last_job *j = arg;
    struct dialect_event d;

    if (sse_next(&j->st->splitter, &j->event) != 0)
        return;
    j->st->x->upstream_dialect->event(&j->event, &d);
    j->ends = d.kind == DIALECT_EVENT_END;
}

// Some vendors forget the blank line behind [DONE]; half of any other event is not shown.
static int last_event_await(struct stream *st)
{
    struct last_job job = {.st = st};

    if (!sse_partial(&st->splitter) || st->filter.ended)
        return 0;
    bool long_one = st->splitter.carry.len > TRANSLATE_TURN_BYTES;
    sse_feed(&st->splitter, SLICE("\n\n"));
    int rc = run_await(st, long_one, last_job, &job);
    return rc || !job.ends ? rc : provider_event_await(st, &job.event, SLICE_EMPTY);
}

// The body has ended.
static int end_await(struct stream *st)
{
    int rc = last_event_await(st);
    if (rc)
        return rc;
    if (st->x->state == EXCHANGE_TRYING)
        return ERR_UPSTREAM_TRUNCATED; // not one event
    if (st->gather->count + 2 > GATHER_SLICES) {
        rc = flush_await(st, false);
        if (rc)
            return rc;
    }
    add_owed_lf(st);
    if (!st->filter.ended && !st->filter.failed)
        return break_off_await(st, ERR_UPSTREAM_TRUNCATED);
    if (!st->filter.ended && adds_done(st))
        gather_add(st->gather, DONE_EVENT);
    settle(st, st->filter.failed);
    return flush_await(st, true);
}

// 0 with the memory of a pull and its part, or the error.
static int part_await(struct stream *st)
{
    for (;;) {
        int rc = work_begin(st);
        if (rc)
            return rc;
        rc = body_take(st->x->answer, st->part);
        if (rc != ERR_MORE)
            return rc;
        work_end(st);
        rc = relay_wait_await(st->x, st->self, st->x->answer, &st->budget_ns);
        if (rc)
            return rc;
    }
}

// One pull: its events go out before this returns.
static int pull_await(struct stream *st)
{
    struct exchange *x = st->x;

    int rc = part_await(st);
    if (rc)
        return rc;
    struct body_part *part = st->part;
    bool last = part->last;
    bool committed = x->state == EXCHANGE_COMMITTED;
    struct mono before = st->last_chunk;
    uint64_t events = st->filter.events;
    for (unsigned i = 0; i < part->count && rc == 0; i++)
        rc = span_await(st, part->span[i]);
    if (committed && st->filter.events > events)
        metrics_event_gap(x, (double)mono_diff_ns(st->last_chunk, before) / (double)NS_PER_S);
    if (rc == 0 && last) {
        rc = end_await(st);
    } else if (x->state != EXCHANGE_TRYING && !relay_client_left(x, rc)) {
        // Also before an error is told: what came whole goes out while its bytes are here.
        int sent = flush_await(st, false);
        rc = rc ? rc : sent;
    }
    body_put(x->answer, part);
    work_end(st);
    if (x->state == EXCHANGE_COMMITTED)
        st->budget_ns = (int64_t)x->target[x->target_index].provider->stream_idle_ms * NS_PER_MS;
    else if (x->state == EXCHANGE_SETTLED && st->budget_ns > STREAM_END_MS * NS_PER_MS)
        st->budget_ns = STREAM_END_MS * NS_PER_MS;
    return rc;
}

static int loop_await(struct stream *st)
{
    int rc = 0;
    while (rc == 0 && !st->finished)
        rc = pull_await(st);
    return rc;
}

// What an error of the loop means, by how far the exchange had come.
static enum outcome conclude_await(struct stream *st, int rc)
{
    struct exchange *x = st->x;

    if (rc == 0)
        return OUTCOME_SERVED;
    if (relay_client_left(x, rc))
        return OUTCOME_GONE;
    if (x->state == EXCHANGE_TRYING) {
        if (st->failure->status == 0)
            failure_of(st->failure, rc, SLICE_EMPTY, SLICE_EMPTY);
        return OUTCOME_FAILED;
    }
    if (work_begin(st) != 0)
        return x->state == EXCHANGE_SETTLED ? OUTCOME_SERVED : OUTCOME_GONE;
    gather_reset(st->gather);
    if (x->state == EXCHANGE_SETTLED) {
        // The terminal event is out; what else the provider does is its own affair.
        add_owed_lf(st);
        (void)flush_await(st, true);
        return OUTCOME_SERVED;
    }
    // Before the first event the request's own time ran; now it is the provider's silence.
    rc = break_off_await(st, rc == ERR_UPSTREAM_TIMEOUT ? ERR_UPSTREAM_IDLE : rc);
    return rc == 0 ? OUTCOME_SERVED : OUTCOME_GONE;
}

enum outcome relay_stream_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                int64_t *budget_ns, struct failure *ret)
{
    struct stream *st = arena_alloc(&x->stream->arena, sizeof(*st));
    bool extra_fields = route_mount(x->route)->extra_fields;
    int rc = ERR_NOMEM;

    if (!st) {
        failure_of(ret, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
        return OUTCOME_FAILED;
    }
    *st = (struct stream){.x = x, .self = self, .u = u, .failure = ret, .budget_ns = *budget_ns};
    ret->status = 0;
    sse_init(&st->splitter);
    arena_init(&st->work, &x->core->net.blocks, WORK_BYTES_MAX);
    arena_init(&st->edits, &x->core->net.blocks, EDIT_BYTES_MAX);
    st->filter = (struct event_filter){
        .dialect = x->dialect,
        .arena = &st->edits,
        .withhold = !extra_fields && !x->usage_wanted,
    };
    if (extra_fields)
        st->filter.prefix = splice_prefix(x);
    st->filter.raw_response = extra_fields && x->raw & RAW_RESPONSE;
    st->filter.raw_request = x->raw_request;
    if (x->translated)
        st->translate = translate_stream_new(x);
    if ((!extra_fields || st->filter.prefix.ptr) && (!x->translated || st->translate))
        rc = loop_await(st);
    enum outcome outcome = conclude_await(st, rc);
    if (outcome == OUTCOME_GONE) // what the client had of it has been used
        relay_set_usage(x, st->translate ? &st->translate->usage : &st->filter.usage);
    work_end(st);
    arena_done(&st->edits);
    sse_done(&st->splitter);
    translate_stream_done(st->translate);
    if (st->far)
        block_pool_done(st->far);
    return outcome;
}
