// SPDX-License-Identifier: Apache-2.0
//
// logs.c: a query string made into a store_query, and rows made into the API's answers.
//
// A stored row is told by gateway/row.h, its id in front; one that was not kept, or cannot be read,
// by its facts. What was asked and answered is told by /api/logs/{id} only (content.h). Requests
// that have not ended have rows too, from memory (live.h): they stand in front of the stored ones
// where the newest come first, else behind.
#include "admin/logs.h"
#include "admin/content.h"
#include "admin/guard.h"
#include "admin/live.h"
#include "admin/search_text.h"

#include "base/buf.h"
#include "base/civil.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/json.h"
#include "gateway/error.h"
#include "gateway/row.h"
#include "providers/price.h"
#include "ring/work.h"
#include "store/store.h"
#include <math.h>
#include <stdlib.h>

// A page of the longest rows that are likely; beyond it the page is refused.
#define LOGS_BYTES_MAX ((size_t)64 << 20)
// Values of one filter.
#define LOGS_VALUES_MAX    64
#define LOGS_LIMIT_DEFAULT 50
#define LOGS_ID_DIGITS     28
// A page of more rows is written by a worker.
#define LOGS_TURN_ROWS 100
// Rows and content that are longer are read and written by a worker: they would hold the loop too
// long.
#define LOGS_TURN_BYTES ((size_t)32 * 1024)

// ---- The query -------------------------------------------------------------------------------

struct search {
    struct arena *arena;
    struct store_query query;
    bool stored, processing; // of which rows
};

static int read_list(struct search *s, struct slice value, const struct slice **ret,
                     unsigned *count)
{
    struct slice *list = arena_alloc(s->arena, LOGS_VALUES_MAX * sizeof(*list));
    unsigned n = 0;

    if (!list)
        return ERR_NOMEM;
    while (value.len > 0) {
        ptrdiff_t comma = slice_find_char(value, ',');
        struct slice one = comma < 0 ? value : slice_take(value, (size_t)comma);
        value = comma < 0 ? SLICE_EMPTY : slice_skip(value, (size_t)comma + 1);
        if (one.len == 0)
            continue;
        if (n == LOGS_VALUES_MAX)
            return ERR_LIMIT;
        list[n++] = one;
    }
    *ret = list;
    *count = n;
    return 0;
}

static int read_number(struct slice value, double max, double *ret)
{
    char text[40], *end;

    if (value.len == 0 || value.len >= sizeof(text))
        return ERR_BAD_TYPE;
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    *ret = strtod(text, &end);
    return *end == '\0' && isfinite(*ret) && *ret >= 0 && *ret <= max ? 0 : ERR_BAD_TYPE;
}

static int read_words(struct search *s, struct slice value, enum store_word word)
{
    return read_list(s, value, &s->query.word[word], &s->query.words[word]);
}

static int read_status(struct search *s, struct slice value)
{
    const struct slice *list;
    unsigned n = 0;
    bool good = false, bad = false, processing = false;

    int rc = read_list(s, value, &list, &n);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        if (slice_eq(list[i], SLICE("success")))
            good = true;
        else if (slice_eq(list[i], SLICE("error")))
            bad = true;
        else if (slice_eq(list[i], SLICE("processing")))
            processing = true;
        else
            rc = ERR_BAD_TYPE;
    }
    if (n > 0) {
        s->stored = good || bad;
        s->processing = processing;
    }
    s->query.only_succeeded = good && !bad;
    s->query.only_failed = bad && !good;
    return rc;
}

static int read_sort(struct search *s, struct slice value)
{
    static const struct slice names[] = {
        [STORE_BY_TIME] = SLICE("timestamp"),
        [STORE_BY_LATENCY] = SLICE("latency"),
        [STORE_BY_TOKENS] = SLICE("tokens"),
        [STORE_BY_COST] = SLICE("cost"),
    };
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(names[i], value)) {
            s->query.sort = (enum store_sort)i;
            return 0;
        }
    }
    return ERR_BAD_TYPE;
}

static int read_order(struct search *s, struct slice value)
{
    s->query.ascending = slice_eq(value, SLICE("asc"));
    return s->query.ascending || slice_eq(value, SLICE("desc")) ? 0 : ERR_BAD_TYPE;
}

static int read_missing(struct search *s, struct slice value)
{
    s->query.only_without_cost = slice_eq(value, SLICE("true"));
    return s->query.only_without_cost || slice_eq(value, SLICE("false")) ? 0 : ERR_BAD_TYPE;
}

enum parameter {
    P_PROVIDERS,
    P_MODELS,
    P_STATUS,
    P_OBJECTS,
    P_KEYS,
    P_VIRTUAL_KEYS,
    P_RULES,
    P_FROM,
    P_TO,
    P_LATENCY_MIN,
    P_LATENCY_MAX,
    P_TOKENS_MIN,
    P_TOKENS_MAX,
    P_COST_MIN,
    P_COST_MAX,
    P_MISSING,
    P_CONTENT,
    P_SORT,
    P_ORDER,
    P_LIMIT,
    P_OFFSET,
    P_COUNT
};

static const struct slice parameters[P_COUNT] = {
    [P_PROVIDERS] = SLICE("providers"),
    [P_MODELS] = SLICE("models"),
    [P_STATUS] = SLICE("status"),
    [P_OBJECTS] = SLICE("objects"),
    [P_KEYS] = SLICE("selected_key_ids"),
    [P_VIRTUAL_KEYS] = SLICE("virtual_key_ids"),
    [P_RULES] = SLICE("routing_rule_ids"),
    [P_FROM] = SLICE("start_time"),
    [P_TO] = SLICE("end_time"),
    [P_LATENCY_MIN] = SLICE("min_latency"),
    [P_LATENCY_MAX] = SLICE("max_latency"),
    [P_TOKENS_MIN] = SLICE("min_tokens"),
    [P_TOKENS_MAX] = SLICE("max_tokens"),
    [P_COST_MIN] = SLICE("min_cost"),
    [P_COST_MAX] = SLICE("max_cost"),
    [P_MISSING] = SLICE("missing_cost_only"),
    [P_CONTENT] = SLICE("content_search"),
    [P_SORT] = SLICE("sort_by"),
    [P_ORDER] = SLICE("order"),
    [P_LIMIT] = SLICE("limit"),
    [P_OFFSET] = SLICE("offset"),
};

static int read_quantity(struct search *s, enum parameter p, struct slice value)
{
    struct store_query *q = &s->query;
    double n;
    bool whole = p == P_LIMIT || p == P_OFFSET || p == P_TOKENS_MIN || p == P_TOKENS_MAX;
    bool cost = p == P_COST_MIN || p == P_COST_MAX;

    int rc = read_number(value, cost ? 1e6 : p == P_LIMIT ? STORE_PAGE_MAX : UINT32_MAX, &n);
    if (rc || (whole && n != floor(n)) || (p == P_LIMIT && n < 1))
        return ERR_BAD_TYPE;
    if (p == P_LATENCY_MIN)
        q->latency_min_ms = (uint32_t)n;
    else if (p == P_LATENCY_MAX)
        q->latency_max_ms = (uint32_t)n;
    else if (p == P_TOKENS_MIN)
        q->tokens_min = (uint64_t)n;
    else if (p == P_TOKENS_MAX)
        q->tokens_max = (uint64_t)n;
    else if (p == P_COST_MIN)
        q->cost_min = (int64_t)(n * (double)PRICE_DOLLAR);
    else if (p == P_COST_MAX)
        q->cost_max = (int64_t)(n * (double)PRICE_DOLLAR);
    else if (p == P_LIMIT)
        q->limit = (unsigned)n;
    else
        q->offset = (uint64_t)n;
    return 0;
}

static int read_parameter(struct search *s, enum parameter p, struct slice value)
{
    switch (p) {
    case P_PROVIDERS:
        return read_words(s, value, STORE_WORD_PROVIDER);
    case P_MODELS:
        return read_words(s, value, STORE_WORD_MODEL);
    case P_OBJECTS:
        return read_words(s, value, STORE_WORD_OBJECT);
    case P_KEYS:
        return read_words(s, value, STORE_WORD_KEY);
    case P_VIRTUAL_KEYS:
        return read_words(s, value, STORE_WORD_VIRTUAL_KEY);
    case P_RULES:
        return read_words(s, value, STORE_WORD_ROUTING_RULE);
    case P_STATUS:
        return read_status(s, value);
    case P_FROM:
        return civil_parse(value, &s->query.from);
    case P_TO:
        return civil_parse(value, &s->query.to);
    case P_MISSING:
        return read_missing(s, value);
    case P_CONTENT:
        s->query.content = value;
        s->query.text = search_text;
        return value.len <= STORE_NEEDLE_BYTES_MAX ? 0 : ERR_LIMIT;
    case P_SORT:
        return read_sort(s, value);
    case P_ORDER:
        return read_order(s, value);
    default:
        return read_quantity(s, p, value);
    }
}

// As forms write a space.
static struct slice plus_to_space(struct arena *arena, struct slice text)
{
    if (slice_find_char(text, '+') < 0)
        return text;
    char *out = arena_alloc(arena, text.len);
    for (size_t i = 0; out && i < text.len; i++)
        out[i] = text.ptr[i] == '+' ? ' ' : text.ptr[i];
    return slice_of(out, out ? text.len : 0);
}

// 0, or an error with the parameter at fault. An empty value does not filter.
static int read_query(struct search *s, struct slice text, struct slice *ret_param)
{
    while (text.len > 0) {
        ptrdiff_t amp = slice_find_char(text, '&');
        struct slice pair = amp < 0 ? text : slice_take(text, (size_t)amp);
        text = amp < 0 ? SLICE_EMPTY : slice_skip(text, (size_t)amp + 1);
        ptrdiff_t eq = slice_find_char(pair, '=');
        struct slice name = eq < 0 ? pair : slice_take(pair, (size_t)eq);
        unsigned p = 0;
        while (p < P_COUNT && !slice_eq(parameters[p], name))
            p++;
        struct slice value = eq < 0 ? SLICE_EMPTY : slice_skip(pair, (size_t)eq + 1);
        if (p != P_FROM && p != P_TO) // a time's own + has not always been escaped
            value = plus_to_space(s->arena, value);
        value = route_decode(s->arena, value);
        if (value.len == 0)
            continue;
        *ret_param = name;
        int rc = p < P_COUNT ? read_parameter(s, (enum parameter)p, value) : ERR_BAD_TYPE;
        if (rc)
            return rc;
    }
    *ret_param = SLICE("start_time");
    bool bounded = s->query.from.ns > 0 && s->query.to.ns > 0;
    return s->query.content.len > 0 && !bounded ? ERR_MISSING : 0;
}

// ---- Answers ---------------------------------------------------------------------------------

static void add_id(struct buf *b, struct store_id id)
{
    buf_printf(b, "{\"id\":\"%016llx%04x%08x\"", (unsigned long long)id.time_us, id.ring,
               id.number);
}

// Of one whose row is not there: what the digest knows.
static void add_facts(struct buf *b, const struct store_facts *f)
{
    buf_add(b, SLICE(",\"provider\":"));
    buf_add_json(b, f->word[STORE_WORD_PROVIDER]);
    buf_add(b, SLICE(",\"model\":"));
    buf_add_json(b, f->word[STORE_WORD_MODEL]);
    buf_printf(b, ",\"status\":\"%s\",\"latency\":%u", f->status < 400 ? "success" : "error",
               f->latency_ms);
}

// But for its last brace.
static void add_row(struct buf *b, struct store_id id, const struct store_facts *f,
                    struct slice bytes)
{
    struct row row;

    add_id(b, id);
    if (row_read(bytes, &row) == 0)
        row_tell(&row, f, b);
    else
        add_facts(b, f);
}

static void add_stats(struct buf *b, const struct store_bucket *sum)
{
    uint64_t n = sum->requests;
    buf_printf(b,
               "{\"total_requests\":%llu,\"total_tokens\":%llu,\"total_cost\":%.12g,"
               "\"average_latency\":%.6g,\"success_rate\":%.6g}",
               (unsigned long long)n, (unsigned long long)(sum->input_tokens + sum->output_tokens),
               (double)sum->cost / (double)PRICE_DOLLAR,
               n > 0 ? (double)sum->latency_ms_sum / (double)n : 0,
               n > 0 ? 100.0 * (double)(n - sum->failed) / (double)n : 0);
}

// What a page is made of, and where it goes.
struct page {
    struct buf *b;
    const struct store_query *query;
    const struct store_page *stored;
    const struct store_bucket *sum;
    const struct live *live; // or NULL
    unsigned live_from, live_count;
    bool live_first;
};

static void add_live(const struct page *p, bool *comma)
{
    bool oldest_first = p->query->sort == STORE_BY_TIME && p->query->ascending;

    for (unsigned i = p->live_from; i < p->live_from + p->live_count; i++) {
        if (*comma)
            buf_add_char(p->b, ',');
        buf_add(p->b, live_text(p->live, oldest_first ? p->live->count - 1 - i : i));
        *comma = true;
    }
}

static void add_stored(const struct page *p, bool *comma)
{
    for (unsigned i = 0; i < p->stored->count; i++) {
        const struct store_found *f = &p->stored->found[i];
        if (*comma)
            buf_add_char(p->b, ',');
        add_row(p->b, f->id, &f->facts, f->row);
        buf_add_char(p->b, '}');
        *comma = true;
    }
}

static void add_page(void *arg)
{
    const struct page *p = arg;
    const struct store_query *q = p->query;
    struct buf *b = p->b;
    bool comma = false;
    static const char *const sorts[] = {[STORE_BY_TIME] = "timestamp",
                                        [STORE_BY_LATENCY] = "latency",
                                        [STORE_BY_TOKENS] = "tokens",
                                        [STORE_BY_COST] = "cost"};
    buf_add(b, SLICE("{\"logs\":["));
    if (p->live_first)
        add_live(p, &comma);
    add_stored(p, &comma);
    if (!p->live_first)
        add_live(p, &comma);
    uint64_t total = p->stored->total + (p->live ? p->live->total : 0);
    buf_printf(b,
               "],\"pagination\":{\"limit\":%u,\"offset\":%llu,\"sort_by\":\"%s\",\"order\":\"%s\","
               "\"total_count\":%llu},\"stats\":",
               q->limit, (unsigned long long)q->offset, sorts[q->sort],
               q->ascending ? "asc" : "desc", (unsigned long long)total);
    add_stats(b, p->sum);
    buf_printf(b, ",\"has_logs\":%s}", total > 0 ? "true" : "false");
}

static void send_await(struct exchange *x, struct fiber *self, int rc, struct buf *b)
{
    if (rc == 0)
        rc = b->err;
    if (rc == 0)
        json_answer_await(x, self, 200, buf_slice(b));
    else if (!x->stream->gone)
        error_reply_await(x, self, rc, SLICE_EMPTY, SLICE_EMPTY);
    buf_done(b);
}

// False: refused and answered.
static bool allowed_await(struct exchange *x, struct fiber *self)
{
    struct failure f;
    if (!admin_open(x)) {
        guard_refuse_await(x, self);
        return false;
    }
    if (x->core->gateway->store)
        return true;
    failure_of(&f, ERR_NOT_FOUND, SLICE("no logs are kept (client.enable_logging)"), SLICE_EMPTY);
    f.status = 404;
    error_answer_await(x, self, &f);
    return false;
}

// Both kinds of rows as one list: where its page begins and ends in the two.
static void share_page(struct page *p, struct store_query *q)
{
    unsigned there = p->live ? p->live->count : 0;
    uint64_t before = p->live_first ? 0 : p->stored->total;

    if (q->offset + q->limit <= before)
        return;
    uint64_t from = q->offset > before ? q->offset - before : 0;
    p->live_from = from < there ? (unsigned)from : there;
    p->live_count = q->limit - p->stored->count;
    if (p->live_count > there - p->live_from)
        p->live_count = there - p->live_from;
    if (p->live_first) {
        q->offset = from > there ? from - there : 0;
        q->limit -= p->live_count;
    }
}

static bool is_long(const struct page *p)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < p->stored->count; i++)
        bytes += p->stored->found[i].row.len;
    return p->stored->count + p->live_count > LOGS_TURN_ROWS || bytes > LOGS_TURN_BYTES;
}

static int page_await(struct exchange *x, struct fiber *self, const struct search *s,
                      const struct live *live, struct buf *b)
{
    struct store *store = x->core->gateway->store;
    struct store_bucket none = {0}, *sum = &none;
    struct store_page stored = {0};
    struct store_query rest = s->query;
    struct page p = {.b = b, .query = &s->query, .stored = &stored, .sum = &none, .live = live};
    unsigned sums = 0;
    int rc = 0;

    p.live_first = s->query.sort == STORE_BY_TIME && !s->query.ascending;
    if (p.live_first)
        share_page(&p, &rest);
    if (s->stored)
        rc = store_search_await(store, self, &rest, s->arena, &stored);
    if (rc == 0 && s->stored)
        rc = store_sum_await(store, self, &rest, 0, STORE_WORD_COUNT, s->arena, &sum, &sums);
    if (rc)
        return rc;
    if (!p.live_first)
        share_page(&p, &rest);
    p.sum = sums > 0 ? sum : &none;
    if (is_long(&p))
        return work_await(x->core->gateway->work, self, add_page, &p);
    add_page(&p);
    return 0;
}

void logs_search_await(struct exchange *x, struct fiber *self)
{
    struct search s = {.arena = &x->stream->arena,
                       .query = {.limit = LOGS_LIMIT_DEFAULT},
                       .stored = true,
                       .processing = true};
    struct slice param = SLICE_EMPTY;
    struct live *live = NULL;
    struct buf b;

    if (!allowed_await(x, self))
        return;
    int rc = read_query(&s, x->stream->request.query, &param);
    if (rc) {
        struct failure f;
        failure_of(&f, ERR_BAD_TYPE,
                   arena_printf(s.arena, "bad value of the parameter `%.*s`",
                                SLICE_ARG(slice_take(param, 64))),
                   param);
        f.status = 400;
        error_answer_await(x, self, &f);
        return;
    }
    buf_init(&b, LOGS_BYTES_MAX);
    if (s.processing && live_may_match(&s.query))
        rc = live_search_await(x, self, &s.query, s.arena, &live);
    if (rc == 0)
        rc = page_await(x, self, &s, live, &b);
    live_done(live);
    send_await(x, self, rc, &b);
}

static bool read_id(struct slice text, struct store_id *ret)
{
    uint64_t part[2] = {0, 0};
    if (text.len != LOGS_ID_DIGITS)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
        if (digit > 15 || (digit > 9 && (c < 'a' || c > 'f')))
            return false;
        part[i / 16] = part[i / 16] << 4 | digit;
    }
    *ret = (struct store_id){
        .time_us = part[0], .ring = (uint16_t)(part[1] >> 32), .number = (uint32_t)part[1]};
    return true;
}

struct telling {
    struct buf *b;
    struct store_id id;
    const struct store_entry *entry;
};

static void tell_entry(void *telling)
{
    const struct telling *t = telling;
    add_row(t->b, t->id, &t->entry->facts, t->entry->row);
    content_tell(t->entry, t->b);
    buf_add_char(t->b, '}');
}

void logs_entry_await(struct exchange *x, struct fiber *self)
{
    struct store_entry entry = {0};
    struct store_id id = {0};
    struct live *live = NULL;
    struct buf b;

    if (!allowed_await(x, self))
        return;
    buf_init(&b, LOGS_BYTES_MAX);
    int rc = live_get_await(x, self, x->route_part, &x->stream->arena, &live);
    if (rc == 0) {
        buf_add(&b, live_text(live, 0));
        live_done(live);
        send_await(x, self, 0, &b);
        return;
    }
    live_done(live);
    if (rc == ERR_NOT_FOUND && read_id(x->route_part, &id))
        rc = store_get_record_await(x->core->gateway->store, self, id, &x->stream->arena, &entry);
    struct telling t = {.b = &b, .id = id, .entry = &entry};
    if (rc == 0 && entry.row.len + content_weight(&entry) > LOGS_TURN_BYTES)
        rc = work_await(x->core->gateway->work, self, tell_entry, &t);
    else if (rc == 0)
        tell_entry(&t);
    if (rc == ERR_NOT_FOUND) {
        struct failure f;
        failure_of(&f, ERR_NOT_FOUND, SLICE("no such log"), SLICE_EMPTY);
        f.status = 404;
        error_answer_await(x, self, &f);
        buf_done(&b);
        return;
    }
    send_await(x, self, rc, &b);
}
