// SPDX-License-Identifier: Apache-2.0
//
// record.c: the row of a target. attempt.c opens; attempt.c (it failed) and exchange_settle.c
// close.
//
// What the store knows of a record by itself is said once, in its own members; the row has the rest
// (row.h), and both become the API's LogEntry when somebody asks.

#include "gateway/record.h"
#include "base/assert.h"
#include "base/container.h"
#include "codec/dialect.h"
#include "codec/sse.h"
#include "gateway/admission.h"
#include "gateway/exchange.h"
#include "gateway/row.h"
#include "store/store.h"

#define HEADER_PREFIX SLICE("x-bf-lh-")

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

static struct slice cut(struct slice word)
{
    return slice_take(word, STORE_WORD_BYTES_MAX);
}

// Whose request it is: in the record, and to whom its text is known (store_put_request).
static struct slice virtual_key_word(const struct exchange *x)
{
    return x->virtual_key ? cut(x->virtual_key->id) : SLICE_EMPTY;
}

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
    if (store_put_request(x->core->records, ring_wall(x->core->net.ring), virtual_key_word(x),
                          request, &x->stream->arena, &r->early))
        return;
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

    if (c->request.len == 0 && c->early.refers.len == 0)
        c->request = record_request(x);
    if (c->keeps) {
        c->answer = kept_join(&c->kept);
        r->answer_folded = c->kept.folded;
        c->cut = c->cut || c->kept.cut;
    } else if (failure && c->answer.len == 0 && keeps_content(x)) {
        c->answer = failure->raw;
    }
    r->request = c->request;
    r->early = c->early;
    r->answer = c->answer;
    r->content_cut = c->cut;
}

// ---- The row ---------------------------------------------------------------------------------

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

static void add_headers(struct row *row, const struct exchange *x)
{
    const struct http_head *h = &x->stream->request;

    for (unsigned i = 0; i < h->count && row->headers < ROW_HEADERS_MAX; i++) {
        struct slice name = h->fields[i].name;
        if (slice_istarts(name, HEADER_PREFIX))
            name = slice_skip(name, HEADER_PREFIX.len);
        else if (!is_listed(&x->config->logging, name))
            continue;
        if (name.len == 0 || slice_ieq(name, SLICE("request_id")))
            continue;
        row->header[row->headers++] =
            (struct row_header){.name = name, .value = h->fields[i].value};
    }
}

static void add_failure(struct row *row, const struct failure *f)
{
    row->state = ROW_ERROR;
    row->flags |= f->from_gateway ? ROW_FROM_GATEWAY : 0u;
    row->text[ROW_ERROR_TYPE] = f->type;
    row->text[ROW_ERROR_CODE] = f->code;
    row->text[ROW_ERROR_MESSAGE] = f->message;
    row->text[ROW_ERROR_PARAM] = f->param;
}

// What is known whatever becomes of it.
static void begin_row(struct row *row, const struct exchange *x)
{
    row_init(row);
    row->retries = x->attempt;
    row->fallback = x->target_index;
    row->text[ROW_REQUEST_ID] = x->request_id;
    if (x->key)
        row->text[ROW_KEY_NAME] = x->key->name;
    if (x->virtual_key)
        row->text[ROW_VIRTUAL_KEY_NAME] = x->virtual_key->name;
    if (x->dialect)
        row->text[ROW_DIALECT] = x->dialect->name;
    add_headers(row, x);
}

static void add_row(struct exchange *x, const struct failure *f, const struct charge *c,
                    struct store_record *r)
{
    struct row row;

    begin_row(&row, x);
    row.flags |= c->cost_known ? ROW_COST_KNOWN : 0u;
    // Of a failure: it was told before the client left.
    if (x->usage.known && (!f || x->state == EXCHANGE_SETTLED)) {
        row.flags |= ROW_USAGE_TOLD;
        row.total_tokens = x->usage.total_tokens;
    }
    if (f)
        add_failure(&row, f);
    (void)row_write(&row, &x->stream->arena, &r->row); // without memory the usage is kept
}

// ---- While it is open ------------------------------------------------------------------------

static void set_words(const struct exchange *x, struct slice word[STORE_WORD_COUNTER])
{
    word[STORE_WORD_PROVIDER] = cut(x->target[x->target_index].provider->name);
    word[STORE_WORD_MODEL] = cut(x->target[x->target_index].model);
    word[STORE_WORD_OBJECT] = operation_name(x->route->operation, x->stream_wanted);
    if (x->key)
        word[STORE_WORD_KEY] = cut(x->key->id);
    word[STORE_WORD_VIRTUAL_KEY] = virtual_key_word(x);
}

static uint32_t latency_ms(const struct exchange *x)
{
    return (uint32_t)(mono_diff_ns(ring_now(x->core->net.ring), x->record.started) / NS_PER_MS);
}

void record_describe(const struct exchange *x, struct store_facts *ret)
{
    struct ring *ring = x->core->net.ring;

    ASSERT(x->record.open);
    *ret = (struct store_facts){.latency_ms = latency_ms(x), .streamed = x->stream_wanted};
    ret->time.ns = ring_wall(ring).ns - mono_diff_ns(ring_now(ring), x->record.started);
    set_words(x, ret->word);
}

void record_tell(const struct exchange *x, struct buf *out)
{
    struct store_facts facts;
    struct row row;

    record_describe(x, &facts);
    begin_row(&row, x);
    row.state = ROW_PROCESSING;
    row_tell(&row, &facts, out);
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
    set_words(x, r.word);
    add_moves(x, &r);
    add_row(x, failure, &charge, &r);
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
