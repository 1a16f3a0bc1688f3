// SPDX-License-Identifier: Apache-2.0
//
// search.c: a page of records, and one record.
//
// The rows that a page may need are kept in a heap whose root is the last of them: a scan over
// millions keeps offset + limit rows. A search in content keeps the first STORE_DEPTH_MAX rows in
// the order of time in the same way, and then reads their content one by one until it has been long
// enough.
#include "base/assert.h"
#include "base/err.h"
#include "store/contents.h"
#include "store/keys.h"
#include "store/query.h"
#include "store/record.h"

#include <ctype.h>
#include <stdlib.h>

// Rows and content of one answer.
#define PAGE_BYTES_MAX ((size_t)256 * 1024 * 1024)
// Contents read between two looks at the clock.
#define CLOCK_EVERY 16
// Of one content what is searched: a folded answer that says the same a million times must not fill
// memory.
#define TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)

// ---- The order of rows -----------------------------------------------------------------------

struct pick {
    uint64_t key; // rises in the order that is asked for, before the direction
    struct digest_row row;
};

struct picks {
    struct buf heap; // of struct pick; the root is the last one of all
    size_t max;
    enum store_sort sort;
    bool ascending;
};

static uint64_t sort_key(enum store_sort sort, const struct digest_row *row)
{
    switch (sort) {
    case STORE_BY_LATENCY:
        return row->column[DIGEST_LATENCY];
    case STORE_BY_TOKENS:
        return row->column[DIGEST_INPUT] + row->column[DIGEST_OUTPUT];
    case STORE_BY_COST:
        return row->column[DIGEST_COST] ^ UINT64_C(1) << 63;
    default:
        return row->column[DIGEST_TIME];
    }
}

// Below 0: a's number is the smaller one. Ids decide between equals, so the order is one for all
// pages.
static int by_number(const struct pick *a, const struct pick *b)
{
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    for (unsigned c = DIGEST_TIME; c <= DIGEST_NUMBER; c++)
        if (a->row.column[c] != b->row.column[c])
            return a->row.column[c] < b->row.column[c] ? -1 : 1;
    return 0;
}

static bool comes_first(const struct picks *p, const struct pick *a, const struct pick *b)
{
    int order = by_number(a, b);
    return p->ascending ? order < 0 : order > 0;
}

static struct pick *pick_at(const struct picks *p, size_t i)
{
    return (struct pick *)(void *)p->heap.ptr + i;
}

static size_t pick_count(const struct picks *p)
{
    return p->heap.len / sizeof(struct pick);
}

static void sift_up(struct picks *p, size_t at)
{
    while (at > 0) {
        struct pick *child = pick_at(p, at), *parent = pick_at(p, (at - 1) / 2);
        if (!comes_first(p, parent, child))
            return;
        struct pick swap = *child;
        *child = *parent;
        *parent = swap;
        at = (at - 1) / 2;
    }
}

static void sift_down(struct picks *p, size_t at, size_t count)
{
    for (;;) {
        size_t last = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (comes_first(p, pick_at(p, last), pick_at(p, child)))
                last = child;
        if (last == at)
            return;
        struct pick swap = *pick_at(p, at);
        *pick_at(p, at) = *pick_at(p, last);
        *pick_at(p, last) = swap;
        at = last;
    }
}

static int pick_add(struct picks *p, const struct pick *pick)
{
    size_t count = pick_count(p);
    if (count < p->max) {
        buf_add(&p->heap, slice_of(pick, sizeof(*pick)));
        if (p->heap.err)
            return p->heap.err;
        sift_up(p, count);
    } else if (count > 0 && comes_first(p, pick, pick_at(p, 0))) {
        *pick_at(p, 0) = *pick;
        sift_down(p, 0, count);
    }
    return 0;
}

// From a heap to the order that is asked for.
static void pick_sort(struct picks *p)
{
    for (size_t end = pick_count(p); end > 1; end--) {
        struct pick swap = *pick_at(p, 0);
        *pick_at(p, 0) = *pick_at(p, end - 1);
        *pick_at(p, end - 1) = swap;
        sift_down(p, 0, end - 1);
    }
}

// ---- The call --------------------------------------------------------------------------------

struct search_call {
    struct store *store;
    const struct store_query *query;
    struct picks picks;
    uint64_t total;
    bool stopped;
    uint64_t searched_us;
    size_t first;    // of the page, in picks
    unsigned count;  // of the page
    struct buf rows; // of the page, one behind the other
    size_t row_len[STORE_PAGE_MAX];
    int err;
};

static int add_matches(struct query_scan *scan, void *arg)
{
    struct search_call *c = arg;
    int err = 0;
    c->total += scan->matches;
    for (unsigned i = 0; !err && c->picks.max > 0 && i < scan->matches; i++) {
        struct pick pick;
        unsigned row = scan->match[i];
        if (c->picks.sort == STORE_BY_TIME && pick_count(&c->picks) == c->picks.max) {
            // Most rows of a long scan are not among the first: seen without being unpacked.
            uint64_t time = query_scan_column(scan, DIGEST_TIME)[row];
            const struct pick *root = pick_at(&c->picks, 0);
            if (c->picks.ascending ? time > root->key : time < root->key)
                continue;
        }
        digest_get_row(&scan->view, row, &pick.row);
        pick.key = sort_key(c->picks.sort, &pick.row);
        err = pick_add(&c->picks, &pick);
    }
    return err;
}

static int scan(struct search_call *c)
{
    struct query_scan *scan;
    bool oldest_first = c->picks.sort == STORE_BY_TIME && c->picks.ascending;
    int err = query_scan_make(c->store, c->query, &scan);
    if (err)
        return err;
    err = query_scan_run(scan, oldest_first, add_matches, c);
    query_scan_free(scan);
    if (!err)
        pick_sort(&c->picks);
    return err;
}

// ---- Content ---------------------------------------------------------------------------------

// ASCII letter case is ignored; `needle` is in lower case.
static bool contains(struct slice hay, struct slice needle)
{
    if (hay.len < needle.len)
        return false;
    unsigned char low = (unsigned char)needle.ptr[0], up = (unsigned char)toupper(low);
    for (size_t at = 0; at + needle.len <= hay.len; at++) {
        unsigned char first = (unsigned char)hay.ptr[at];
        if (first != low && first != up)
            continue;
        size_t i = 1;
        while (i < needle.len &&
               tolower((unsigned char)hay.ptr[at + i]) == (unsigned char)needle.ptr[i])
            i++;
        if (i == needle.len)
            return true;
    }
    return false;
}

static int content_matches(const struct store_query *q, struct contents *contents,
                           struct store_id id, struct slice needle, struct buf *text, bool *ret)
{
    struct content content;

    *ret = false;
    int err = contents_get(contents, id, &content);
    if (err == ERR_NOT_FOUND || err == ERR_BAD_LENGTH) // damaged: the others are searched
        return 0;
    if (err)
        return err;
    buf_reset(text);
    q->text(content.request, content.answer, content.flags & RECORD_FOLDED, text);
    *ret = contains(buf_slice(text), needle);
    return 0;
}

// From the rows in the order of time to those whose content matches, in the order asked for.
static int keep_content(struct search_call *c, struct slice needle)
{
    const struct store_query *q = c->query;
    struct contents contents;
    struct buf text;
    struct picks found = {.max = c->picks.max, .sort = q->sort, .ascending = q->ascending};
    struct mono until = mono_add_ms(clock_mono(), STORE_CONTENT_SEARCH_MS);
    size_t count = pick_count(&c->picks);
    uint64_t all = c->total;
    int err = contents_init(&contents, c->store);

    buf_init(&text, TEXT_BYTES_MAX);
    buf_init(&found.heap, c->picks.heap.max);
    c->total = 0;
    for (size_t i = 0; !err && i < count; i++) {
        struct pick pick = *pick_at(&c->picks, i);
        bool matches;
        if (i % CLOCK_EVERY == CLOCK_EVERY - 1 && !mono_before(clock_mono(), until)) {
            count = i;
            break;
        }
        err = content_matches(q, &contents, digest_id(&pick.row), needle, &text, &matches);
        c->searched_us = pick.row.column[DIGEST_TIME];
        pick.key = sort_key(q->sort, &pick.row);
        if (!err && matches)
            err = pick_add(&found, &pick);
        c->total += !err && matches;
    }
    c->stopped = count < all;
    pick_sort(&found);
    contents_done(&contents);
    buf_done(&text);
    buf_done(&c->picks.heap);
    c->picks = found;
    return err;
}

static int search_content(struct search_call *c)
{
    char lower[STORE_NEEDLE_BYTES_MAX];
    struct slice needle = slice_of(lower, c->query->content.len);
    for (size_t i = 0; i < needle.len; i++)
        lower[i] = (char)tolower((unsigned char)c->query->content.ptr[i]);
    return keep_content(c, needle);
}

// ---- Rows ------------------------------------------------------------------------------------

// Adds the row; nothing when it was not kept.
static int add_row(struct search_call *c, struct finder *rows, struct store_id id, size_t *ret_len)
{
    struct record_view view;
    struct slice row;

    int err = finder_get(rows, id, &row);
    if (err == ERR_NOT_FOUND || err == ERR_BAD_LENGTH)
        return 0;
    if (err)
        return err;
    if (record_read(row, &view) < 0) {
        atomic_fetch_add(&c->store->numbers.damaged, 1);
        return 0;
    }
    buf_add(&c->rows, row);
    *ret_len = row.len;
    return c->rows.err;
}

static int read_rows(struct search_call *c)
{
    struct finder rows;
    size_t there = pick_count(&c->picks);
    size_t left = there > c->query->offset ? there - (size_t)c->query->offset : 0;
    int err = finder_init(&rows, c->store, SEGMENT_ROWS);
    c->first = there - left;
    c->count = (unsigned)(left < c->query->limit ? left : c->query->limit);
    for (unsigned i = 0; !err && i < c->count; i++)
        err = add_row(c, &rows, digest_id(&pick_at(&c->picks, c->first + i)->row), &c->row_len[i]);
    finder_done(&rows);
    return err;
}

static void search_job(void *arg)
{
    struct search_call *c = arg;
    struct store *s = c->store;
    pthread_rwlock_rdlock(&s->db_lock);
    c->err = s->logs ? scan(c) : ERR_SYSTEM;
    if (!c->err && c->query->content.len > 0)
        c->err = search_content(c);
    if (!c->err)
        c->err = read_rows(c);
    if (c->err == ERR_SYSTEM && s->logs)
        store__failed(s, s->logs, "a search", c->err);
    pthread_rwlock_unlock(&s->db_lock);
}

static struct wall wall_of(uint64_t us)
{
    return (struct wall){.ns = (int64_t)us * NS_PER_US};
}

static void facts_of(struct store *s, const struct digest_row *row, struct store_facts *ret)
{
    const uint64_t *c = row->column;
    *ret = (struct store_facts){
        .time = wall_of(c[DIGEST_TIME]),
        .status = (uint16_t)c[DIGEST_STATUS],
        .streamed = c[DIGEST_FLAGS] & RECORD_STREAMED,
        .usage_known = c[DIGEST_FLAGS] & RECORD_USAGE_KNOWN,
        .cost_estimated = c[DIGEST_FLAGS] & RECORD_COST_ESTIMATED,
        .latency_ms = (uint32_t)c[DIGEST_LATENCY],
        .input_tokens = c[DIGEST_INPUT],
        .output_tokens = c[DIGEST_OUTPUT],
        .cached_read_tokens = c[DIGEST_CACHED_READ],
        .cached_write_tokens = c[DIGEST_CACHED_WRITE],
        .cost = (int64_t)c[DIGEST_COST],
    };
    // Words stay where they are as long as the store.
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        ret->word[i] = words_text(s->words, (enum store_word)i, (uint32_t)c[DIGEST_WORD + i]);
}

static void facts_of_record(const struct store_record *r, struct store_facts *ret)
{
    *ret = (struct store_facts){
        .time = r->time,
        .status = r->status,
        .streamed = r->streamed,
        .usage_known = r->usage_known,
        .cost_estimated = r->cost_estimated,
        .latency_ms = r->latency_ms,
        .input_tokens = r->input_tokens,
        .output_tokens = r->output_tokens,
        .cached_read_tokens = r->cached_read_tokens,
        .cached_write_tokens = r->cached_write_tokens,
        .cost = r->cost,
    };
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        ret->word[i] = r->word[i];
}

static int copy_page(struct search_call *c, struct arena *arena, struct store_page *ret)
{
    struct slice rows = arena_copy(arena, buf_slice(&c->rows));
    struct store_found *found = arena_zalloc(arena, (c->count + 1) * sizeof(*found));
    if (!rows.ptr || !found)
        return ERR_NOMEM;
    for (unsigned i = 0; i < c->count; i++) {
        const struct digest_row *row = &pick_at(&c->picks, c->first + i)->row;
        found[i].id = digest_id(row);
        facts_of(c->store, row, &found[i].facts);
        struct record_view view;
        if (c->row_len[i] > 0 && record_read(slice_take(rows, c->row_len[i]), &view) == 0) {
            found[i].row = view.record.row;
            facts_of_record(&view.record, &found[i].facts);
        }
        rows = slice_skip(rows, c->row_len[i]);
    }
    *ret = (struct store_page){.found = found,
                               .count = c->count,
                               .total = c->total,
                               .stopped = c->stopped,
                               .searched = wall_of(c->searched_us)};
    return 0;
}

int store_search_await(struct store *s, struct fiber *self, const struct store_query *query,
                       struct arena *arena, struct store_page *ret)
{
    bool content = query->content.len > 0;
    ASSERT(!content || query->text);
    if (query->limit > STORE_PAGE_MAX || query->offset + query->limit > STORE_DEPTH_MAX ||
        query->offset > STORE_DEPTH_MAX || query->content.len > STORE_NEEDLE_BYTES_MAX)
        return ERR_LIMIT;
    if (content && (query->from.ns <= 0 || query->to.ns <= 0))
        return ERR_MISSING;
    struct search_call *call = arena_zalloc(arena, sizeof(*call));
    if (!call)
        return ERR_NOMEM;
    call->store = s;
    call->query = query;
    call->picks.max = content ? STORE_DEPTH_MAX : (size_t)query->offset + query->limit;
    call->picks.sort = content ? STORE_BY_TIME : query->sort;
    call->picks.ascending = content && query->sort != STORE_BY_TIME ? false : query->ascending;
    buf_init(&call->picks.heap, call->picks.max * sizeof(struct pick));
    buf_init(&call->rows, PAGE_BYTES_MAX);
    int rc = store__call_await(s, self, search_job, call);
    rc = rc ? rc : call->err;
    if (!rc)
        rc = copy_page(call, arena, ret);
    buf_done(&call->picks.heap);
    buf_done(&call->rows);
    return rc;
}

// ---- One record ------------------------------------------------------------------------------

struct record_call {
    struct store *store;
    struct store_id id;
    struct buf row, request, answer;
    unsigned flags; // of the content
    int err;
};

static int get_row(struct record_call *c)
{
    struct finder f;
    struct slice row;

    int err = finder_init(&f, c->store, SEGMENT_ROWS);
    if (!err)
        err = finder_get(&f, c->id, &row);
    if (!err) {
        buf_add(&c->row, row);
        err = c->row.err;
    }
    finder_done(&f);
    return err;
}

static int get_content(struct record_call *c)
{
    struct contents contents;
    struct content content;

    int err = contents_init(&contents, c->store);
    if (!err)
        err = contents_get(&contents, c->id, &content);
    if (!err) {
        buf_add(&c->request, content.request);
        buf_add(&c->answer, content.answer);
        c->flags = content.flags;
        err = c->request.err ? c->request.err : c->answer.err;
    }
    contents_done(&contents);
    // The row is worth having without.
    return err == ERR_NOT_FOUND || err == ERR_BAD_LENGTH ? 0 : err;
}

static void record_job(void *arg)
{
    struct record_call *c = arg;
    struct store *s = c->store;

    pthread_rwlock_rdlock(&s->db_lock);
    c->err = s->logs ? 0 : ERR_SYSTEM;
    if (c->id.time_us < atomic_load(&s->floor_us))
        c->err = ERR_NOT_FOUND;
    if (!c->err)
        c->err = get_row(c);
    if (!c->err)
        c->err = get_content(c);
    if (c->err == ERR_SYSTEM && s->logs)
        store__failed(s, s->logs, "a record", c->err);
    if (c->err == ERR_BAD_LENGTH) // find.c has told
        c->err = ERR_SYSTEM;
    pthread_rwlock_unlock(&s->db_lock);
}

static int copy_entry(const struct record_call *c, struct arena *arena, struct store_entry *ret)
{
    struct record_view view;
    struct slice row = arena_copy(arena, buf_slice(&c->row));
    struct store_entry entry = {.request = arena_copy(arena, buf_slice(&c->request)),
                                .answer = arena_copy(arena, buf_slice(&c->answer)),
                                .answer_folded = c->flags & RECORD_FOLDED,
                                .cut = c->flags & RECORD_CUT};
    if (!row.ptr || !entry.request.ptr || !entry.answer.ptr)
        return ERR_NOMEM;
    if (record_read(row, &view) < 0)
        return ERR_SYSTEM;
    entry.row = view.record.row;
    facts_of_record(&view.record, &entry.facts);
    *ret = entry;
    return 0;
}

int store_get_record_await(struct store *s, struct fiber *self, struct store_id id,
                           struct arena *arena, struct store_entry *ret)
{
    struct record_call call = {.store = s, .id = id};
    buf_init(&call.row, BUNDLE_BYTES_MAX);
    buf_init(&call.request, STORE_CONTENT_BYTES_MAX);
    buf_init(&call.answer, STORE_CONTENT_BYTES_MAX);
    int rc = store__call_await(s, self, record_job, &call);
    rc = rc ? rc : call.err;
    if (!rc)
        rc = copy_entry(&call, arena, ret);
    buf_done(&call.row);
    buf_done(&call.request);
    buf_done(&call.answer);
    return rc;
}

// ---- Words -----------------------------------------------------------------------------------

// No database, no worker: the dictionaries are in memory, and a word stays where it is.
int store_words_await(struct store *s, struct fiber *self, enum store_word dictionary,
                      struct arena *arena, struct slice **ret, size_t *ret_count)
{
    (void)self;
    uint32_t count = words_count(s->words, dictionary);
    struct slice *words = arena_alloc(arena, (count + 1) * sizeof(*words));
    if (!words)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        words[i] = words_text(s->words, dictionary, i + 1);
    *ret = words;
    *ret_count = count;
    return 0;
}
