// SPDX-License-Identifier: Apache-2.0
//
// live.c: the tour through the cores' open records.
//
// A visit looks at so many records and writes so many rows, then leaves a mark in the core's list
// and goes on behind it in a later turn: what ends meanwhile is gone, what begins stands in front.

#include "admin/live.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "gateway/exchange.h"
#include "gateway/tour.h"
#include "ring/fiber.h"

#include <stdlib.h>

#define PREFIX SLICE("live-")
// Of one visit: about a third of a millisecond each.
#define VISIT_LOOKS 1024
#define VISIT_ROWS  128

struct look {
    struct tour tour;
    struct fiber_wait wait;
    const struct store_query *query; // NULL: the one below
    unsigned core;
    uint64_t serial;
    struct live *live;
    struct record_link mark; // in the list of the core that is being visited
    bool marked;
    int err;
};

// ---- One record ------------------------------------------------------------------------------

static bool any_of(const struct slice *list, unsigned count, struct slice word)
{
    return count == 0 || slice_in(word, list, count);
}

static bool matches(const struct look *k, const struct exchange *x)
{
    const struct store_query *q = k->query;
    struct store_facts f;

    if (!q)
        return x->core->index == k->core && x->record.serial == k->serial;
    record_describe(x, &f);
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        if (!any_of(q->word[i], q->words[i], f.word[i]))
            return false;
    return f.time.ns >= q->from.ns && (q->to.ns == 0 || f.time.ns <= q->to.ns) &&
           f.latency_ms >= q->latency_min_ms &&
           (q->latency_max_ms == 0 || f.latency_ms <= q->latency_max_ms);
}

static void write_row(struct look *k, const struct exchange *x)
{
    struct live *l = k->live;
    struct store_facts f;
    size_t at = l->text.len;

    record_describe(x, &f);
    buf_printf(&l->text, "{\"id\":\"live-%x-%llx\"", x->core->index,
               (unsigned long long)x->record.serial);
    record_tell(x, &l->text);
    buf_add_char(&l->text, '}');
    if (l->text.err) {
        k->err = l->text.err == ERR_NOMEM ? ERR_NOMEM : k->err;
        l->text.len = at;
    } else {
        l->row[l->count++] = (struct live_row){.began = f.time, .at = at, .len = l->text.len - at};
    }
}

// ---- The tour --------------------------------------------------------------------------------

// True: this core has been looked at.
static bool visit(struct tour *t, struct gateway_core *core)
{
    struct look *k = container_of(t, struct look, tour);
    struct record_link *at = core->live, *last = NULL;
    unsigned looks = 0, rows = 0;

    if (!k->query && core->index != k->core)
        return true;
    if (k->marked) {
        at = k->mark.next;
        record_unmark(core, &k->mark);
        k->marked = false;
    }
    for (; at && looks < VISIT_LOOKS && rows < VISIT_ROWS; at = at->next) {
        last = at;
        looks++;
        if (at->mark)
            continue;
        const struct exchange *x = container_of(at, struct exchange, record.link);
        if (!matches(k, x))
            continue;
        k->live->total++;
        if (k->live->count == LIVE_ROWS_MAX || k->live->text.err)
            continue;
        write_row(k, x);
        rows++;
    }
    if (!at)
        return true;
    record_mark(core, &k->mark, last);
    k->marked = true;
    return false;
}

static void come_home(struct tour *t)
{
    struct look *k = container_of(t, struct look, tour);
    fiber_wait_done(&k->wait, k->err);
}

static int newest_first(const void *a, const void *b)
{
    const struct live_row *one = a, *other = b;
    return one->began.ns == other->began.ns ? 0 : one->began.ns > other->began.ns ? -1 : 1;
}

static int look_await(struct exchange *x, struct fiber *self, struct look *k, struct arena *arena,
                      struct live **ret)
{
    int result = 0;

    *ret = NULL;
    k->live = arena_zalloc(arena, sizeof(*k->live));
    if (!k->live)
        return ERR_NOMEM;
    buf_init(&k->live->text, LIVE_BYTES_MAX);
    *ret = k->live;
    fiber_wait_begin(&k->wait);
    tour_start(&k->tour, x->core, visit, come_home);
    int rc = fiber_wait_await(&k->wait, self, &result);
    if (rc < 0) {
        fiber_wait_shielded_await(&k->wait, self);
        return rc;
    }
    ASSERT(!k->marked);
    qsort(k->live->row, k->live->count, sizeof(k->live->row[0]), newest_first);
    return result;
}

bool live_may_match(const struct store_query *q)
{
    return q->tokens_min == 0 && q->cost_min == 0 && q->content.len == 0 && !q->only_without_cost;
}

int live_search_await(struct exchange *x, struct fiber *self, const struct store_query *query,
                      struct arena *arena, struct live **ret)
{
    struct look *k = arena_zalloc(arena, sizeof(*k));

    *ret = NULL;
    if (!k)
        return ERR_NOMEM;
    k->query = query;
    return look_await(x, self, k, arena, ret);
}

static bool read_hex(struct slice *rest, uint64_t *ret)
{
    size_t n = 0;

    *ret = 0;
    for (; n < rest->len && n < 16 && rest->ptr[n] != '-'; n++) {
        char c = rest->ptr[n];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *ret = *ret << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *rest = slice_skip(*rest, n);
    return n > 0;
}

int live_get_await(struct exchange *x, struct fiber *self, struct slice id, struct arena *arena,
                   struct live **ret)
{
    struct look *k = arena_zalloc(arena, sizeof(*k));
    struct slice rest = slice_skip(id, PREFIX.len);
    uint64_t core = 0;

    *ret = NULL;
    if (!k)
        return ERR_NOMEM;
    if (!slice_starts(id, PREFIX) || !read_hex(&rest, &core) || !slice_starts(rest, SLICE("-")))
        return ERR_NOT_FOUND;
    rest = slice_skip(rest, 1);
    if (!read_hex(&rest, &k->serial) || rest.len > 0 || core >= x->core->gateway->cores)
        return ERR_NOT_FOUND;
    k->core = (unsigned)core;
    int rc = look_await(x, self, k, arena, ret);
    return rc ? rc : k->live->count == 1 ? 0 : ERR_NOT_FOUND;
}

void live_done(struct live *l)
{
    if (l)
        buf_done(&l->text);
}
