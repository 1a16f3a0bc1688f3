// SPDX-License-Identifier: Apache-2.0
//
// search_test.c: searches, sums and deletions against a list that is looked through row by row.
#include "tests/unit/store/fixture.h"

#include "base/fold.h"
#include "base/prng.h"
#include <ctype.h>

#define ROWS 5000

struct row {
    struct store_record record;
    struct store_id id;
    char text[40];
    char question[64];
    bool gone;
};

struct model {
    struct store *store;
    struct prng prng;
    struct row *rows;
    struct row *order[ROWS];
};

static const char *const models[] = {"gpt-4o", "gpt-4o-mini", "claude", "gemini", "llama"};
static const char *const providers[] = {"openai", "anthropic", ""};
static const char *const questions[] = {"How tall is Everest?", "write a poem", "TRANSLATE this"};

static void make_row(struct model *m, struct row *r, uint64_t us)
{
    struct prng *p = &m->prng;
    struct store_record *c = &r->record;
    *c = sample(us);
    c->word[STORE_WORD_MODEL] = slice_str(models[prng_below(p, 5)]);
    c->word[STORE_WORD_PROVIDER] = slice_str(providers[prng_below(p, 3)]);
    c->status = prng_below(p, 5) == 0 ? 429 : 200;
    c->latency_ms = (uint32_t)prng_below(p, prng_below(p, 2) ? 40 : 100000);
    c->input_tokens = prng_below(p, 1000);
    c->output_tokens = prng_below(p, 50);
    c->cost = (int64_t)prng_below(p, 20) - 4;
    c->row = slice_of(r->text, (size_t)snprintf(r->text, sizeof(r->text), "{\"n\":%llu}",
                                                (unsigned long long)us));
    c->request = slice_of(r->question, (size_t)snprintf(r->question, sizeof(r->question), "%s",
                                                        questions[prng_below(p, 3)]));
}

// Rows of some hours, mostly in the order of time, in batches of any size.
static void fill(struct model *m, uint64_t seed)
{
    uint64_t us = T0_US;
    prng_seed(&m->prng, seed);
    m->store = memory_open();
    m->rows = calloc(ROWS, sizeof(*m->rows));
    for (unsigned i = 0; i < ROWS; i++) {
        us += prng_below(&m->prng, 100) == 0 ? UINT64_C(1800000000) * prng_below(&m->prng, 5)
                                             : prng_below(&m->prng, 3000000);
        uint64_t early = prng_below(&m->prng, 20) == 0 ? prng_below(&m->prng, 9000000000) : 0;
        make_row(m, &m->rows[i], us - early);
        m->rows[i].id = put(m->store, 0, &m->rows[i].record, STORE_KEPT_ALL);
        if (prng_below(&m->prng, 300) == 0)
            drain(m->store);
    }
    drain(m->store);
}

static void done(struct model *m)
{
    store_close(m->store);
    free(m->rows);
}

// ---- The model -------------------------------------------------------------------------------

static bool holds(struct slice hay, struct slice needle)
{
    return slice_ifind(hay, needle) >= 0;
}

static bool any_word(const struct store_query *q, unsigned dictionary, const struct row *r)
{
    if (q->words[dictionary] == 0)
        return true;
    for (unsigned i = 0; i < q->words[dictionary]; i++)
        if (slice_eq(q->word[dictionary][i], r->record.word[dictionary]))
            return true;
    return false;
}

static bool matches(const struct store_query *q, const struct row *r)
{
    const struct store_record *c = &r->record;
    uint64_t tokens = c->input_tokens + c->output_tokens;
    if (r->gone || (q->from.ns && c->time.ns < q->from.ns) || (q->to.ns && c->time.ns > q->to.ns))
        return false;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        if (!any_word(q, i, r))
            return false;
    if (c->latency_ms < q->latency_min_ms ||
        (q->latency_max_ms && c->latency_ms > q->latency_max_ms))
        return false;
    if (tokens < q->tokens_min || (q->tokens_max && tokens > q->tokens_max))
        return false;
    if ((q->cost_min && c->cost < q->cost_min) || (q->cost_max && c->cost > q->cost_max))
        return false;
    if ((q->only_failed && c->status < 400) || (q->only_succeeded && c->status >= 400) ||
        (q->only_without_cost && c->cost != 0))
        return false;
    return q->content.len == 0 || holds(c->request, q->content);
}

static int64_t key_of(enum store_sort sort, const struct row *r)
{
    switch (sort) {
    case STORE_BY_LATENCY:
        return r->record.latency_ms;
    case STORE_BY_TOKENS:
        return (int64_t)(r->record.input_tokens + r->record.output_tokens);
    case STORE_BY_COST:
        return r->record.cost;
    default:
        return r->record.time.ns;
    }
}

static int compare_rows(const void *a, const void *b, void *query)
{
    const struct store_query *q = query;
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    int64_t kx = key_of(q->sort, x), ky = key_of(q->sort, y);
    int order = kx != ky ? (kx < ky ? -1 : 1)
                         : (x->id.time_us != y->id.time_us
                                ? (x->id.time_us < y->id.time_us ? -1 : 1)
                                : (x->id.number < y->id.number ? -1 : x->id.number > y->id.number));
    return q->ascending ? order : -order;
}

static unsigned expected(struct model *m, const struct store_query *q)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ROWS; i++)
        if (matches(q, &m->rows[i]))
            m->order[count++] = &m->rows[i];
    qsort_r(m->order, count, sizeof(m->order[0]), compare_rows, (void *)q);
    return count;
}

// ---- Random queries --------------------------------------------------------------------------

struct words {
    struct slice model[3], provider[2];
};

static struct store_query random_query(struct model *m, struct words *w)
{
    struct prng *p = &m->prng;
    struct store_query q = {.sort = (enum store_sort)prng_below(p, 4),
                            .ascending = prng_below(p, 2),
                            .limit = (unsigned)prng_below(p, 50),
                            .offset = prng_below(p, 4) == 0 ? prng_below(p, 3000) : 0};
    uint64_t span = m->rows[ROWS - 1].id.time_us - T0_US;
    if (prng_below(p, 2))
        q.from = wall_us(T0_US + prng_below(p, span));
    if (prng_below(p, 2))
        q.to = wall_us(T0_US + prng_below(p, span));
    if (prng_below(p, 2)) {
        q.words[STORE_WORD_MODEL] = (unsigned)prng_below(p, 4);
        for (unsigned i = 0; i < q.words[STORE_WORD_MODEL]; i++)
            w->model[i] =
                prng_below(p, 6) ? slice_str(models[prng_below(p, 5)]) : SLICE("never heard of");
        q.word[STORE_WORD_MODEL] = w->model;
    }
    if (prng_below(p, 4) == 0) {
        q.words[STORE_WORD_PROVIDER] = 1;
        w->provider[0] = slice_str(providers[prng_below(p, 2)]);
        q.word[STORE_WORD_PROVIDER] = w->provider;
    }
    if (prng_below(p, 4) == 0)
        q.latency_min_ms = (uint32_t)prng_below(p, 100);
    if (prng_below(p, 4) == 0)
        q.latency_max_ms = (uint32_t)prng_below(p, 50000);
    if (prng_below(p, 4) == 0)
        q.tokens_min = prng_below(p, 500);
    if (prng_below(p, 4) == 0)
        q.tokens_max = prng_below(p, 1000);
    if (prng_below(p, 4) == 0)
        q.cost_min = (int64_t)prng_below(p, 6) - 3;
    if (prng_below(p, 4) == 0)
        q.cost_max = (int64_t)prng_below(p, 10);
    q.only_failed = prng_below(p, 6) == 0;
    q.only_succeeded = prng_below(p, 6) == 0;
    q.only_without_cost = prng_below(p, 8) == 0;
    return q;
}

static void compare(struct model *m, const struct store_query *q, const struct store_page *page)
{
    unsigned count = expected(m, q);
    assert_int_equal(page->total, count);
    unsigned left = count > q->offset ? count - (unsigned)q->offset : 0;
    assert_int_equal(page->count, left < q->limit ? left : q->limit);
    for (unsigned i = 0; i < page->count; i++) {
        const struct row *r = m->order[q->offset + i];
        const struct store_found *f = &page->found[i];
        assert_int_equal(f->id.time_us, r->id.time_us);
        assert_int_equal(f->id.number, r->id.number);
        assert_true(slice_eq(f->row, r->record.row));
        assert_true(slice_eq(f->facts.word[STORE_WORD_MODEL], r->record.word[STORE_WORD_MODEL]));
        assert_int_equal(f->facts.latency_ms, r->record.latency_ms);
        assert_int_equal(f->facts.cost, r->record.cost);
    }
}

static void check_queries(struct model *m, unsigned count)
{
    struct asker a;
    struct words w;
    asker_open(&a, m->store);
    for (unsigned i = 0; i < count; i++) {
        struct search s = {.query = random_query(m, &w)};
        ask(&a, search_fn, &s);
        assert_int_equal(s.err, 0);
        compare(m, &s.query, &s.page);
    }
    asker_close(&a);
}

static void any_query_finds_what_the_list_has(void **state)
{
    (void)state;
    struct model m = {0};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        fill(&m, seed);
        check_queries(&m, 200);
        done(&m);
    }
}

static void content_is_searched_in_a_span_of_time(void **state)
{
    (void)state;
    struct model m = {0};
    struct asker a;
    fill(&m, 4);
    asker_open(&a, m.store);
    struct search s = {.query = {.content = SLICE("EVEREST"),
                                 .text = plain_text,
                                 .to = wall_us(m.rows[ROWS - 1].id.time_us),
                                 .limit = 20,
                                 .sort = STORE_BY_COST}};
    ask(&a, search_fn, &s);
    assert_int_equal(s.err, ERR_MISSING);
    s.query.from = wall_us(T0_US);
    ask(&a, search_fn, &s);
    assert_int_equal(s.err, 0);
    if (!s.page.stopped)
        compare(&m, &s.query, &s.page);
    s.query.sort = STORE_BY_TIME;
    s.query.ascending = true;
    s.query.to = wall_us(m.rows[300].id.time_us);
    ask(&a, search_fn, &s);
    if (!s.page.stopped)
        compare(&m, &s.query, &s.page);
    s.query.content = SLICE("no such words");
    ask(&a, search_fn, &s);
    assert_int_equal(s.page.total, 0);
    asker_close(&a);
    done(&m);
}

// What differs from the text before lies alone in what is stored; its neighbours do not.
static void folded_answers_are_searched_unfolded(void **state)
{
    static const struct slice texts[] = {SLICE("the answer is north of here, they said\n"),
                                         SLICE("the answer is south of here, they said\n")};
    struct fold f = {0};
    char folded[256];
    struct asker a;
    (void)state;
    size_t len = fold_add(&f, texts[0], folded);
    len += fold_add(&f, texts[1], folded + len);
    struct store *s = memory_open();
    struct store_record r = sample(T0_US);
    r.answer = slice_of(folded, len);
    r.answer_folded = r.content_cut = true;
    struct store_id id = put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    asker_open(&a, s);
    struct store_query q = {.content = SLICE("IS SOUTH OF"),
                            .text = plain_text,
                            .from = wall_us(T0_US - 1),
                            .to = wall_us(T0_US + 1)};
    assert_int_equal(search_for(&a, q).total, 1);
    q.content = SLICE("is west of");
    assert_int_equal(search_for(&a, q).total, 0);
    struct got got = {.id = id};
    ask(&a, got_fn, &got);
    assert_int_equal(got.err, 0);
    assert_true(got.entry.answer_folded && got.entry.cut);
    assert_true(slice_eq(got.entry.answer, r.answer));
    asker_close(&a);
    store_close(s);
}

static void pages_too_far_away_are_refused(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct asker a;
    asker_open(&a, s);
    struct search q = {.query = {.limit = STORE_PAGE_MAX + 1}};
    ask(&a, search_fn, &q);
    assert_int_equal(q.err, ERR_LIMIT);
    q.query = (struct store_query){.limit = 10, .offset = STORE_DEPTH_MAX - 9};
    ask(&a, search_fn, &q);
    assert_int_equal(q.err, ERR_LIMIT);
    asker_close(&a);
    store_close(s);
}

// ---- Sums ------------------------------------------------------------------------------------

struct sum {
    struct store_query query;
    unsigned bucket_s;
    enum store_word by;
    struct store_bucket *buckets;
    unsigned count;
    int err;
};

static void sum_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct sum *s = arg;
    s->err = store_sum_await(a->store, self, &s->query, s->bucket_s, s->by, &a->arena, &s->buckets,
                             &s->count);
}

static bool in_bucket(const struct sum *s, const struct store_bucket *b, const struct row *r)
{
    if (!matches(&s->query, r))
        return false;
    if (s->by != STORE_WORD_COUNT && !slice_eq(r->record.word[s->by], b->word))
        return false;
    int64_t bucket_ns = (int64_t)s->bucket_s * NS_PER_S;
    return s->bucket_s == 0 || r->record.time.ns / bucket_ns == b->begin.ns / bucket_ns;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void near(uint32_t got, const uint32_t *sorted, unsigned count, unsigned percent)
{
    uint32_t exact = sorted[(count * percent + 99) / 100 - 1];
    assert_true(got >= exact);
    assert_true((double)got <= (double)exact * 1.03125);
}

static void check_bucket(struct model *m, const struct sum *s, const struct store_bucket *b,
                         uint64_t *all)
{
    static uint32_t latency[ROWS];
    struct store_bucket want = {.requests = 0};
    for (unsigned i = 0; i < ROWS; i++) {
        const struct store_record *c = &m->rows[i].record;
        if (!in_bucket(s, b, &m->rows[i]))
            continue;
        latency[want.requests++] = c->latency_ms;
        want.failed += c->status >= 400;
        want.input_tokens += c->input_tokens;
        want.output_tokens += c->output_tokens;
        want.latency_ms_sum += c->latency_ms;
        want.cost += c->cost;
    }
    assert_int_equal(b->requests, want.requests);
    assert_int_equal(b->failed, want.failed);
    assert_int_equal(b->input_tokens, want.input_tokens);
    assert_int_equal(b->output_tokens, want.output_tokens);
    assert_int_equal(b->latency_ms_sum, want.latency_ms_sum);
    assert_int_equal(b->cost, want.cost);
    qsort(latency, want.requests, sizeof(latency[0]), by_value);
    near(b->latency_ms_p90, latency, (unsigned)want.requests, 90);
    near(b->latency_ms_p95, latency, (unsigned)want.requests, 95);
    near(b->latency_ms_p99, latency, (unsigned)want.requests, 99);
    *all += want.requests;
}

static void sums_are_those_of_the_list(void **state)
{
    (void)state;
    static const unsigned buckets[] = {0, 60, 3600, 86400};
    static const enum store_word by[] = {STORE_WORD_COUNT, STORE_WORD_MODEL, STORE_WORD_PROVIDER};
    struct model m = {0};
    struct asker a;
    struct words w;
    fill(&m, 5);
    asker_open(&a, m.store);
    for (unsigned i = 0; i < 60; i++) {
        struct sum s = {.query = random_query(&m, &w), .bucket_s = buckets[i % 4], .by = by[i % 3]};
        uint64_t all = 0;
        ask(&a, sum_fn, &s);
        assert_int_equal(s.err, 0);
        for (unsigned b = 0; b < s.count; b++) {
            check_bucket(&m, &s, &s.buckets[b], &all);
            assert_true(b == 0 || s.buckets[b].begin.ns >= s.buckets[b - 1].begin.ns);
        }
        assert_int_equal(all, expected(&m, &s.query));
    }
    struct sum s = {.bucket_s = 1, .by = STORE_WORD_MODEL};
    ask(&a, sum_fn, &s);
    assert_true(s.err == 0 || s.err == ERR_LIMIT);
    asker_close(&a);
    done(&m);
}

// ---- Deletions and single records ------------------------------------------------------------

struct record_ask {
    struct store_id id;
    struct store_entry entry;
    int err;
};

static void record_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct record_ask *r = arg;
    r->err = store_get_record_await(a->store, self, r->id, &a->arena, &r->entry);
}

static void deleted_records_are_found_no_more(void **state)
{
    (void)state;
    struct model m = {0};
    struct asker a;
    struct store_id ids[100];
    fill(&m, 6);
    asker_open(&a, m.store);
    for (unsigned round = 0; round < 20; round++) {
        struct removal r = {.ids = ids, .count = 1 + (unsigned)prng_below(&m.prng, 100)};
        // The newest are in the open digest.
        unsigned last = round % 4 == 0 ? 300 : ROWS;
        for (unsigned i = 0; i < r.count; i++) {
            struct row *row = &m.rows[ROWS - 1 - prng_below(&m.prng, last)];
            row->gone = true;
            ids[i] = row->id;
        }
        ask(&a, remove_fn, &r);
        assert_int_equal(r.err, 0);
    }
    asker_close(&a);
    check_queries(&m, 50);
    asker_open(&a, m.store);
    for (unsigned i = 0; i < 500; i++) {
        const struct row *row = &m.rows[prng_below(&m.prng, ROWS)];
        struct record_ask r = {.id = row->id};
        ask(&a, record_fn, &r);
        assert_int_equal(r.err, row->gone ? ERR_NOT_FOUND : 0);
        if (!row->gone) {
            assert_true(slice_eq(r.entry.row, row->record.row));
            assert_true(slice_eq(r.entry.request, row->record.request));
            assert_int_equal(r.entry.answer.len, 0);
        }
    }
    // What is only in a ring is deleted too.
    struct store_record late = sample(T0_US);
    ids[0] = put(m.store, 0, &late, STORE_KEPT_ALL);
    struct removal r = {.ids = ids, .count = 1};
    ask(&a, remove_fn, &r);
    struct record_ask gone = {.id = ids[0]};
    drain(m.store);
    ask(&a, record_fn, &gone);
    assert_int_equal(gone.err, ERR_NOT_FOUND);
    asker_close(&a);
    done(&m);
}

// ---- Words -----------------------------------------------------------------------------------

struct words_ask {
    struct slice *words;
    size_t count;
};

static void words_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct words_ask *w = arg;
    assert_int_equal(
        store_words_await(a->store, self, STORE_WORD_MODEL, &a->arena, &w->words, &w->count), 0);
}

static void a_dictionary_is_what_a_filter_offers(void **state)
{
    (void)state;
    struct model m = {0};
    struct asker a;
    struct words_ask w = {0};
    fill(&m, 7);
    asker_open(&a, m.store);
    ask(&a, words_fn, &w);
    assert_int_equal(w.count, 5);
    for (size_t i = 0; i < w.count; i++) {
        bool known = false;
        for (unsigned n = 0; n < 5; n++)
            known |= slice_eq(w.words[i], slice_str(models[n]));
        assert_true(known);
    }
    asker_close(&a);
    done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_query_finds_what_the_list_has),
        cmocka_unit_test(content_is_searched_in_a_span_of_time),
        cmocka_unit_test(folded_answers_are_searched_unfolded),
        cmocka_unit_test(pages_too_far_away_are_refused),
        cmocka_unit_test(sums_are_those_of_the_list),
        cmocka_unit_test(deleted_records_are_found_no_more),
        cmocka_unit_test(a_dictionary_is_what_a_filter_offers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
