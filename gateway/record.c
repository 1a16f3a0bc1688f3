// SPDX-License-Identifier: Apache-2.0
//
// record.c: the row of a target. attempt.c opens; attempt.c (it failed) and exchange_settle.c
// close.
//
// The row is the API's LogEntry but for the id, which the ring gives, and the content, which is
// made of the stored bodies when a row is read. A price that nobody knows leaves `cost` out: it is
// not nothing.

#include "gateway/record.h"
#include "base/assert.h"
#include "base/civil.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "codec/json_write.h"
#include "codec/sse.h"
#include "gateway/admission.h"
#include "gateway/exchange.h"
#include "providers/price.h"
#include "store/store.h"
#include <stdio.h>

#define HEADER_PREFIX SLICE("x-bf-lh-")
#define ROW_GUESS     2048

_Static_assert(STORE_MOVES_MAX >= GOVERNANCE_LIMITS_MAX, "every gate's move has a place");

// ---- Opening ---------------------------------------------------------------------------------

// In front of all, or behind one.
static void link_in(struct gateway_core *core, struct record_link *l, struct record_link *after)
{
    struct record_link **at = after ? &after->next : &core->live;

    l->prev = after;
    l->next = *at;
    if (l->next)
        l->next->prev = l;
    *at = l;
}

static void link_out(struct gateway_core *core, struct record_link *l)
{
    if (l->prev)
        l->prev->next = l->next;
    else
        core->live = l->next;
    if (l->next)
        l->next->prev = l->prev;
}

void record_mark(struct gateway_core *core, struct record_link *mark, struct record_link *after)
{
    mark->mark = true;
    link_in(core, mark, after);
}

void record_unmark(struct gateway_core *core, struct record_link *mark)
{
    ASSERT(mark->mark);
    link_out(core, mark);
}

int record_open(struct exchange *x)
{
    struct gateway_core *core = x->core;

    ASSERT(!x->record.open);
    if (!core->records)
        return 0;
    int rc = store_reserve(core->records);
    if (rc)
        return rc;
    x->record = (struct record){
        .open = true, .serial = core->records_begun++, .started = ring_now(core->net.ring)};
    link_in(core, &x->record.link, NULL);
    return 0;
}

// ---- Content ---------------------------------------------------------------------------------

static bool keeps_content(const struct exchange *x)
{
    const struct config_logging *l = &x->config->logging;
    const struct http_field *f = NULL;

    if (!x->record.open || x->record.bare)
        return false;
    if (l->content_choice)
        f = http_head_find(&x->stream->request, SLICE("x-bf-disable-content-logging"));
    return f ? !slice_ieq(f->value, SLICE("true")) : !l->no_content;
}

struct slice record_request(const struct exchange *x)
{
    return x->body.ptr && keeps_content(x) ? x->body : SLICE_EMPTY;
}

void record_content(struct exchange *x, struct slice request, struct slice answer)
{
    if (!keeps_content(x))
        return;
    x->record.request = request;
    x->record.answer = answer;
}

void record_commit(struct exchange *x)
{
    struct record *r = &x->record;

    if (!keeps_content(x))
        return;
    ASSERT(!r->keeps);
    r->keeps = true;
    kept_init(&r->kept, &x->stream->arena, &x->core->kept_bytes);
    struct slice request = slice_take(record_request(x), STORE_CONTENT_BYTES_MAX);
    r->cut = request.len < x->body.len;
    if (kept_reserve(&r->kept, request.len))
        r->request = arena_copy(&x->stream->arena, request);
    r->cut = r->cut || r->request.len < request.len;
}

void record_event(struct exchange *x, struct slice raw)
{
    if (x->record.keeps)
        kept_event(&x->record.kept, sse_begins_with_owed_lf(raw) ? slice_skip(raw, 1) : raw);
}

void record_run(struct exchange *x, struct slice raw)
{
    if (x->record.keeps)
        kept_run(&x->record.kept, raw);
}

void record_span(struct exchange *x, struct slice span)
{
    if (x->record.keeps)
        kept_span(&x->record.kept, span);
}

// What of the content is to be stored, at the end.
static void add_content(struct exchange *x, const struct failure *failure, struct store_record *r)
{
    struct record *c = &x->record;

    if (c->request.len == 0)
        c->request = record_request(x);
    if (c->keeps) {
        c->answer = kept_join(&c->kept);
        r->answer_folded = c->kept.folded;
        c->cut = c->cut || c->kept.cut;
    } else if (failure && c->answer.len == 0 && keeps_content(x)) {
        c->answer = failure->raw;
    }
    r->request = c->request;
    r->answer = c->answer;
    r->content_cut = c->cut;
}

// ---- The row ---------------------------------------------------------------------------------

static void add_time(struct json_writer *w, struct slice name, struct wall at)
{
    char text[CIVIL_TEXT_BYTES];

    json_member_string(w, name, civil_text(at, 6, text));
}

static void add_text(struct json_writer *w, struct slice name, struct slice value)
{
    if (value.len > 0)
        json_member_string(w, name, slice_take(value, RECORD_TEXT_BYTES_MAX));
}

static void add_usage(struct json_writer *w, const struct usage *u)
{
    if (!u->known)
        return;
    json_key(w, SLICE("token_usage"));
    json_object(w);
    json_member_number(w, SLICE("prompt_tokens"), u->input_tokens);
    json_member_number(w, SLICE("completion_tokens"), u->output_tokens);
    json_member_number(w, SLICE("total_tokens"), u->total_tokens);
    if (u->cached_read_tokens > 0 || u->cached_write_tokens > 0) {
        json_key(w, SLICE("prompt_tokens_details"));
        json_object(w);
        json_member_number(w, SLICE("cached_read_tokens"), u->cached_read_tokens);
        json_member_number(w, SLICE("cached_write_tokens"), u->cached_write_tokens);
        json_object_end(w);
    }
    json_object_end(w);
}

// Fields that carry keys are in no row, whoever names them.
static bool is_credential(struct slice name)
{
    static const struct slice names[] = {
        SLICE("authorization"), SLICE("proxy-authorization"), SLICE("cookie"),  SLICE("x-api-key"),
        SLICE("api-key"),       SLICE("x-goog-api-key"),      SLICE("x-bf-vk"),
    };
    return slice_iin(name, names, ARRAY_LEN(names));
}

static bool is_listed(const struct config_logging *l, struct slice name)
{
    return slice_iin(name, l->headers, l->header_count) && !is_credential(name);
}

static void add_metadata(struct json_writer *w, const struct exchange *x)
{
    const struct http_head *h = &x->stream->request;
    unsigned count = 0;

    json_key(w, SLICE("metadata"));
    json_object(w);
    json_key(w, SLICE("request_id"));
    json_string(w, x->request_id);
    for (unsigned i = 0; i < h->count && count < RECORD_METADATA_MAX; i++) {
        struct slice name = h->fields[i].name;
        if (slice_istarts(name, HEADER_PREFIX))
            name = slice_skip(name, HEADER_PREFIX.len);
        else if (!is_listed(&x->config->logging, name))
            continue;
        if (name.len == 0 || slice_ieq(name, SLICE("request_id")))
            continue;
        json_key(w, name); // a token: nothing in it needs an escape
        json_string(w, slice_take(h->fields[i].value, RECORD_TEXT_BYTES_MAX));
        count++;
    }
    json_object_end(w);
}

static void add_failure(struct json_writer *w, const struct failure *f, unsigned status)
{
    json_key(w, SLICE("error_details"));
    json_object(w);
    json_key(w, SLICE("is_bifrost_error"));
    json_bool(w, f->from_gateway);
    json_member_number(w, SLICE("status_code"), status);
    json_key(w, SLICE("error"));
    json_object(w);
    add_text(w, SLICE("type"), f->type);
    add_text(w, SLICE("code"), f->code);
    add_text(w, SLICE("message"), f->message);
    add_text(w, SLICE("param"), f->param);
    json_object_end(w);
    json_object_end(w);
}

static void add_cost(struct json_writer *w, const struct store_record *r, const struct charge *c)
{
    char text[48];

    if (!c->cost_known)
        return;
    int n = snprintf(text, sizeof(text), "%.12g", (double)r->cost / (double)PRICE_DOLLAR);
    json_key(w, SLICE("cost"));
    json_raw(w, slice_of(text, (size_t)n));
}

static void add_begin(struct json_writer *w, const struct exchange *x, const struct store_record *r,
                      struct slice status, struct wall began, struct wall made)
{
    json_object(w);
    add_text(w, SLICE("provider"), r->word[STORE_WORD_PROVIDER]);
    add_text(w, SLICE("model"), r->word[STORE_WORD_MODEL]);
    json_member_string(w, SLICE("status"), status);
    add_text(w, SLICE("object"), r->word[STORE_WORD_OBJECT]);
    add_time(w, SLICE("timestamp"), began);
    add_time(w, SLICE("created_at"), made);
    json_member_number(w, SLICE("number_of_retries"), x->attempt);
    json_member_number(w, SLICE("fallback_index"), x->target_index);
    if (x->target_index > 0)
        add_text(w, SLICE("parent_request_id"), x->request_id);
}

static void add_who(struct json_writer *w, const struct exchange *x)
{
    if (x->key) {
        add_text(w, SLICE("selected_key_id"), x->key->id);
        add_text(w, SLICE("selected_key_name"), x->key->name);
    }
    if (x->virtual_key) {
        add_text(w, SLICE("virtual_key_id"), x->virtual_key->id);
        add_text(w, SLICE("virtual_key_name"), x->virtual_key->name);
    }
    json_key(w, SLICE("stream"));
    json_bool(w, x->stream_wanted);
}

static void add_end(struct json_writer *w, const struct exchange *x)
{
    if (x->dialect)
        add_text(w, SLICE("dialect"), x->dialect->name);
    add_metadata(w, x);
    json_object_end(w);
}

static void add_row(struct json_writer *w, const struct exchange *x, const struct store_record *r,
                    const struct failure *f, const struct charge *c)
{
    struct wall began = {.ns = r->time.ns - (int64_t)r->latency_ms * NS_PER_MS};

    add_begin(w, x, r, f ? SLICE("error") : SLICE("success"), began, r->time);
    json_member_number(w, SLICE("latency"), r->latency_ms);
    add_cost(w, r, c);
    if (r->cost_estimated) {
        json_key(w, SLICE("cost_estimated"));
        json_bool(w, true);
    }
    add_who(w, x);
    if (!f || x->state == EXCHANGE_SETTLED) // it was told before the client left
        add_usage(w, &x->usage);
    if (f)
        add_failure(w, f, r->status);
    add_end(w, x);
}

// ---- While it is open ------------------------------------------------------------------------

static struct slice cut(struct slice word)
{
    return slice_take(word, STORE_WORD_BYTES_MAX);
}

static void set_words(const struct exchange *x, struct store_record *r)
{
    r->word[STORE_WORD_PROVIDER] = cut(x->target[x->target_index].provider->name);
    r->word[STORE_WORD_MODEL] = cut(x->target[x->target_index].model);
    r->word[STORE_WORD_OBJECT] = operation_name(x->route->operation, x->stream_wanted);
    if (x->key)
        r->word[STORE_WORD_KEY] = cut(x->key->id);
    if (x->virtual_key)
        r->word[STORE_WORD_VIRTUAL_KEY] = cut(x->virtual_key->id);
}

static uint32_t latency_ms(const struct exchange *x)
{
    return (uint32_t)(mono_diff_ns(ring_now(x->core->net.ring), x->record.started) / NS_PER_MS);
}

void record_describe(const struct exchange *x, struct store_record *ret)
{
    struct ring *ring = x->core->net.ring;

    ASSERT(x->record.open);
    *ret = (struct store_record){.latency_ms = latency_ms(x)};
    ret->time.ns = ring_wall(ring).ns - mono_diff_ns(ring_now(ring), x->record.started);
    set_words(x, ret);
}

void record_tell(const struct exchange *x, struct json_writer *w)
{
    struct store_record r;

    record_describe(x, &r);
    add_begin(w, x, &r, SLICE("processing"), r.time, r.time);
    add_who(w, x);
    add_end(w, x);
}

// ---- Closing ---------------------------------------------------------------------------------

static void add_moves(const struct exchange *x, struct store_record *r)
{
    const struct admission *a = x->admission;

    if (!a || a->state != ADMISSION_CHARGED)
        return;
    for (unsigned i = 0; i < a->count; i++)
        r->move[r->moves++] = (struct store_move){
            .counter = a->gates[i].gate.limit->counter,
            .window = a->gates[i].window,
            .delta = a->gates[i].actual,
        };
}

// A stream that broke off has a good status and is a failure all the same.
static unsigned status_of(const struct exchange *x, const struct failure *f)
{
    if (!f)
        return x->status;
    if (x->status >= 400)
        return x->status;
    return f->status >= 400 ? f->status : 502;
}

void record_close(struct exchange *x, const struct failure *failure)
{
    struct charge charge = failure && x->state != EXCHANGE_SETTLED
                               ? (struct charge){.cost_known = true} // it was refused
                               : x->charge;
    struct json_writer w;
    struct store_id id;

    if (!x->record.open)
        return;
    struct store_record r = {
        .time = ring_wall(x->core->net.ring),
        .status = (uint16_t)status_of(x, failure),
        .streamed = x->stream_wanted,
        .usage_known = x->usage.known,
        .cost_estimated = charge.estimated,
        .latency_ms = latency_ms(x),
        .input_tokens = x->usage.input_tokens,
        .output_tokens = x->usage.output_tokens,
        .cached_read_tokens = x->usage.cached_read_tokens,
        .cached_write_tokens = x->usage.cached_write_tokens,
        .cost = charge.cost_known ? charge.cost : 0,
    };
    add_content(x, failure, &r);
    x->record.open = false;
    link_out(x->core, &x->record.link);
    set_words(x, &r);
    add_moves(x, &r);
    json_writer_init(&w, &x->stream->arena, ROW_GUESS);
    add_row(&w, x, &r, failure, &charge);
    if (json_writer_done(&w, &r.row) != 0)
        r.row = SLICE_EMPTY; // without memory the usage is kept
    (void)store_put_record(x->core->records, &r, &id);
    kept_done(&x->record.kept);
    x->record = (struct record){0};
}

void record_refuse(struct exchange *x, const struct failure *failure)
{
    struct gateway_core *core = x->core;
    int64_t second = ring_now(core->net.ring).ns / NS_PER_S;

    if (core->refusals_second != second)
        core->refusals = 0;
    core->refusals_second = second;
    if (core->refusals >= RECORD_REFUSALS_MAX || record_open(x) != 0)
        return;
    core->refusals++;
    x->record.bare = true;
    record_close(x, failure);
}
