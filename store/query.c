// SPDX-License-Identifier: Apache-2.0
//
// query.c: the scan over digests.
//
// A digest spans an hour at most (STORE_DIGEST_SPAN_US) and its key has its first time: so a scan
// begins an hour before what it looks for. What is older than `floor` has been deleted, though
// digests may still speak of it.
#include "store/query.h"

#include "base/container.h"
#include "base/err.h"
#include "store/keys.h"
#include "store/record.h"

#include <stdio.h>
#include <stdlib.h>

// A filter by a list of words: all models of a provider, and more.
#define WORDS_BYTES_MAX ((size_t)1024 * 1024)

// ---- Making ----------------------------------------------------------------------------------

static int add_words(struct query_scan *scan, unsigned dictionary)
{
    const struct store_query *q = scan->query;
    struct buf *numbers = &scan->number[dictionary];
    for (unsigned i = 0; i < q->words[dictionary]; i++) {
        uint32_t number =
            words_number(scan->store->words, (enum store_word)dictionary, q->word[dictionary][i]);
        if (number != 0)
            buf_add(numbers, slice_of(&number, sizeof(number)));
    }
    if (q->words[dictionary] > 0 && numbers->len == 0)
        scan->nothing = true;
    return numbers->err;
}

static struct query_scan *scan_new(void)
{
    return calloc(1, sizeof(struct query_scan));
}

int query_scan_make(struct store *s, const struct store_query *query, struct query_scan **ret)
{
    struct query_scan *scan = scan_new();
    if (!scan)
        return ERR_NOMEM;
    uint64_t floor = atomic_load(&s->floor_us);
    scan->store = s;
    scan->query = query;
    scan->from_us = query->from.ns > 0 ? (uint64_t)(query->from.ns / NS_PER_US) : 0;
    scan->from_us = scan->from_us < floor ? floor : scan->from_us;
    scan->to_us = query->to.ns > 0 ? (uint64_t)(query->to.ns / NS_PER_US) : UINT64_MAX;
    int err = 0;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++) {
        buf_init(&scan->number[i], WORDS_BYTES_MAX);
        if (!err)
            err = add_words(scan, i);
    }
    if (err) {
        query_scan_free(scan);
        return err;
    }
    *ret = scan;
    return 0;
}

void query_scan_free(struct query_scan *scan)
{
    if (!scan)
        return;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        buf_done(&scan->number[i]);
    free(scan);
}

// ---- Filters ---------------------------------------------------------------------------------

const uint64_t *query_scan_column(struct query_scan *scan, enum digest_column column)
{
    if (!scan->loaded[column]) {
        digest_get_column(&scan->view, column, scan->column[column]);
        scan->loaded[column] = true;
    }
    return scan->column[column];
}

// Rows of the list whose value lies in [min, max].
static void keep_range(struct query_scan *scan, const uint64_t *values, uint64_t min, uint64_t max)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < scan->matches; i++) {
        uint16_t row = scan->match[i];
        scan->match[kept] = row;
        kept += values[row] >= min && values[row] <= max;
    }
    scan->matches = kept;
}

static void keep_words(struct query_scan *scan, unsigned dictionary)
{
    const struct buf *numbers = &scan->number[dictionary];
    unsigned kept = 0;
    if (numbers->len == 0)
        return;
    const uint64_t *values =
        query_scan_column(scan, (enum digest_column)(DIGEST_WORD + dictionary));
    for (unsigned i = 0; i < scan->matches; i++) {
        uint16_t row = scan->match[i];
        bool found = false;
        for (size_t at = 0; !found && at < numbers->len; at += sizeof(uint32_t)) {
            uint32_t number;
            memcpy(&number, numbers->ptr + at, sizeof(number));
            found = values[row] == number;
        }
        scan->match[kept] = row;
        kept += found;
    }
    scan->matches = kept;
}

static uint64_t max_or_all(uint64_t max)
{
    return max > 0 ? max : UINT64_MAX;
}

static void keep_tokens(struct query_scan *scan)
{
    const struct store_query *q = scan->query;
    uint64_t sum[STORE_DIGEST_ROWS];
    if (q->tokens_min == 0 && q->tokens_max == 0)
        return;
    const uint64_t *input = query_scan_column(scan, DIGEST_INPUT);
    const uint64_t *output = query_scan_column(scan, DIGEST_OUTPUT);
    for (unsigned i = 0; i < scan->view.rows; i++)
        sum[i] = input[i] + output[i];
    keep_range(scan, sum, q->tokens_min, max_or_all(q->tokens_max));
}

static void keep_cost(struct query_scan *scan)
{
    const struct store_query *q = scan->query;
    const uint64_t bias = UINT64_C(1) << 63;
    uint64_t ordered[STORE_DIGEST_ROWS];
    if (q->cost_min == 0 && q->cost_max == 0 && !q->only_without_cost)
        return;
    const uint64_t *cost = query_scan_column(scan, DIGEST_COST);
    if (q->only_without_cost)
        keep_range(scan, cost, 0, 0);
    for (unsigned i = 0; i < scan->view.rows; i++)
        ordered[i] = cost[i] ^ bias;
    keep_range(scan, ordered, q->cost_min ? (uint64_t)q->cost_min ^ bias : 0,
               q->cost_max ? (uint64_t)q->cost_max ^ bias : UINT64_MAX);
}

static void match(struct query_scan *scan)
{
    const struct store_query *q = scan->query;
    for (unsigned i = 0; i < scan->view.rows; i++)
        scan->match[i] = (uint16_t)i;
    scan->matches = scan->view.rows;
    memset(scan->loaded, 0, sizeof(scan->loaded));
    if (scan->view.time_min < scan->from_us || scan->view.time_max > scan->to_us)
        keep_range(scan, query_scan_column(scan, DIGEST_TIME), scan->from_us, scan->to_us);
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        keep_words(scan, i);
    if (q->only_failed)
        keep_range(scan, query_scan_column(scan, DIGEST_STATUS), 400, UINT64_MAX);
    if (q->only_succeeded)
        keep_range(scan, query_scan_column(scan, DIGEST_STATUS), 0, 399);
    if (q->latency_min_ms > 0 || q->latency_max_ms > 0)
        keep_range(scan, query_scan_column(scan, DIGEST_LATENCY), q->latency_min_ms,
                   max_or_all(q->latency_max_ms));
    keep_tokens(scan);
    keep_cost(scan);
}

// ---- The scan --------------------------------------------------------------------------------

static int look(struct query_scan *scan, struct rocks_iter *it, query_scan_fn fn, void *arg)
{
    struct slice value = rocks_iter_value(it);
    if (digest_read(value, &scan->view) < 0) {
        char name[16 + 2 * KEYS_RECORD_BYTES];
        struct slice key = rocks_iter_key(it);
        int len = snprintf(name, sizeof(name), "digest-");
        for (size_t i = 0; i < key.len && i < KEYS_RECORD_BYTES; i++)
            len +=
                snprintf(name + len, sizeof(name) - (size_t)len, "%02x", (unsigned char)key.ptr[i]);
        atomic_fetch_add(&scan->store->numbers.damaged, 1);
        store__set_aside(scan->store, name, value);
        return 0;
    }
    if (scan->view.time_max < scan->from_us || scan->view.time_min > scan->to_us)
        return 0;
    match(scan);
    return scan->matches > 0 ? fn(scan, arg) : 0;
}

static bool in_table(const struct rocks_iter *it, enum keys_table table)
{
    return rocks_iter_valid(it) && (unsigned char)rocks_iter_key(it).ptr[0] == table &&
           rocks_iter_key(it).len == KEYS_RECORD_BYTES;
}

static uint64_t scan_begin(const struct query_scan *scan)
{
    uint64_t span = (uint64_t)STORE_DIGEST_SPAN_US;
    return scan->from_us > span ? scan->from_us - span : 0;
}

static int run_pieces(struct query_scan *scan, struct rocks_iter *it, query_scan_fn fn, void *arg)
{
    struct keys_key from = keys_begin(KEYS_PIECE);
    int rc = 0;
    for (rocks_iter_seek(it, keys_slice(&from)); rc == 0 && in_table(it, KEYS_PIECE);
         rocks_iter_next(it))
        rc = look(scan, it, fn, arg);
    return rc;
}

static int run_digests(struct query_scan *scan, struct rocks_iter *it, query_scan_fn fn, void *arg)
{
    struct keys_key from = keys_time(KEYS_DIGEST, scan_begin(scan));
    int rc = 0;
    for (rocks_iter_seek(it, keys_slice(&from)); rc == 0 && in_table(it, KEYS_DIGEST);
         rocks_iter_next(it)) {
        if (keys_to_id(rocks_iter_key(it)).time_us > scan->to_us)
            break;
        rc = look(scan, it, fn, arg);
    }
    return rc;
}

static int run_digests_back(struct query_scan *scan, struct rocks_iter *it, query_scan_fn fn,
                            void *arg)
{
    struct store_id last = {scan->to_us, UINT16_MAX, UINT32_MAX};
    struct keys_key from = keys_id(KEYS_DIGEST, last);
    int rc = 0;
    for (rocks_iter_seek_prev(it, keys_slice(&from)); rc == 0 && in_table(it, KEYS_DIGEST);
         rocks_iter_prev(it)) {
        if (keys_to_id(rocks_iter_key(it)).time_us < scan_begin(scan))
            break;
        rc = look(scan, it, fn, arg);
    }
    return rc;
}

int query_scan_run(struct query_scan *scan, bool oldest_first, query_scan_fn fn, void *arg)
{
    struct keys_key from = keys_begin(KEYS_DIGEST), to = keys_end(KEYS_PIECE);
    if (scan->nothing)
        return 0;
    struct rocks_iter *it = rocks_iter_new(scan->store->logs, keys_slice(&from), keys_slice(&to));
    if (!it)
        return ERR_NOMEM;
    int rc = oldest_first ? run_digests(scan, it, fn, arg) : run_pieces(scan, it, fn, arg);
    if (rc == 0)
        rc = rocks_iter_error(it);
    if (rc == 0)
        rc = oldest_first ? run_pieces(scan, it, fn, arg) : run_digests_back(scan, it, fn, arg);
    if (rc == 0)
        rc = rocks_iter_error(it);
    rocks_iter_free(it);
    return rc;
}
