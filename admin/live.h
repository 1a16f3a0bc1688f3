// SPDX-License-Identifier: Apache-2.0
//
// live.h: rows of requests that have not ended: from the cores' memory, `processing`.
//
// A mail visits each core, looks at its open records and brings home the rows of those that match
// (gateway/tour.h). They have no content, usage or cost yet. Their ids are no record's: which name
// a record gets is known when it is put. `metadata.request_id` stays.
//
//     id   live-CORE-SERIAL      live-3-42, in hexadecimal digits
//
// The records of another process, whose place this one takes in an upgrade or gives up, are not
// seen: they are found when they have ended.
#ifndef RINGGATE_ADMIN_LIVE_H
#define RINGGATE_ADMIN_LIVE_H

#include "base/arena.h"
#include "base/buf.h"
#include "store/store.h"

struct exchange;
struct fiber;

// Brought home for one answer; more are only counted. A crowd of streams must not fill memory.
#define LIVE_ROWS_MAX  1000
#define LIVE_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct live_row {
    struct wall began;
    size_t at, len; // of its text in `text`
};

struct live {
    struct buf text;
    struct live_row row[LIVE_ROWS_MAX]; // the newest first
    unsigned count;
    uint64_t total; // that match
};

// Does a question leave room for such rows? Not when it asks for content, tokens or a cost.
bool live_may_match(const struct store_query *query);
// 0, ERR_NOMEM or an interruption. *ret lies in the arena; live_done in any case, NULL is fine.
int live_search_await(struct exchange *x, struct fiber *self, const struct store_query *query,
                      struct arena *arena, struct live **ret);
// The row of an id of that form. ERR_NOT_FOUND: it is none, or has ended.
int live_get_await(struct exchange *x, struct fiber *self, struct slice id, struct arena *arena,
                   struct live **ret);
void live_done(struct live *l);

static inline struct slice live_text(const struct live *l, unsigned i)
{
    return slice_of(l->text.ptr + l->row[i].at, l->row[i].len);
}

#endif
