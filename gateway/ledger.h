// SPDX-License-Identifier: Apache-2.0
//
// ledger.h: what has been used of every limit, exactly, shared by the cores and by the two
// processes of an upgrade.
//
// A counter is one cache line in a file on tmpfs that every process maps:
//
//      0        8        16          24                40           48            64
//     ┌────────┬────────┬───────────┬─────────────────┬────────────┬─────────────┐
//     │ used   │ window │ committed │ reserved[2]     │ unrecorded │ name's hash │
//     └────────┴────────┴───────────┴─────────────────┴────────────┴─────────────┘
//      └ a 16-byte word ┘             one a process
//
//     committed = used + what is reserved
//
//   reserve   one compare-and-swap on `committed`: refused when it would pass the limit
//   settle    committed += actual − estimate; used += actual, in the same word as the window it
//             went into, so that a record can say which
//   roll      the window's end: {used, window} becomes {0, next}; committed −= the old `used`.
//             Reservations outlive the window, and nothing goes below zero
//
// What a process has reserved it also keeps by itself, so that the reservations of one that died
// are given back by the next (ledger_open). No lock on the way of a request; a counter is found by
// name when a snapshot is built, and lives as long as the file.
//
//   ┌──────┐ first with this name ┌──────┐ ledger_set (start-up: ┌────────┐
//   │ FREE │ ───────────────────► │ MADE │ ────────────────────► │ FILLED │ counts
//   └──────┘                      └──────┘  the store's value)    └────────┘
//
// Amounts are requests, tokens, or 10⁻¹² dollars.
#ifndef RINGGATE_GATEWAY_LEDGER_H
#define RINGGATE_GATEWAY_LEDGER_H

#include "base/slice.h"
#include "gateway/period.h"

// Counters of one ledger: 16 MiB of tmpfs when all are used. What a management API in a loop could
// make; ERR_LIMIT.
#define LEDGER_COUNTERS_MAX (256 * 1024)
// Processes of an upgrade.
#define LEDGER_PROCESSES 2

struct ledger;

struct ledger_counter; // in the shared memory; valid until ledger_close

// One limit on one counter, as a snapshot has it.
struct ledger_limit {
    struct ledger_counter *counter;
    int64_t max;
    struct period period;
};

// Where a process keeps its ledger; opened when the first limit is read, by whoever builds
// snapshots, one at a time. Other threads see it with the snapshot that needs it.
struct ledger_place {
    const char *folder; // on tmpfs (shared_dir.h)
    struct ledger *ledger;
    bool first; // as ledger_open says
};
// 0; or as ledger_open and shared_dir_make, with a sentence in *ret_reason.
int ledger_place_open(struct ledger_place *place, const char **ret_reason);

// Maps the file at `path`, made when missing, and takes a place among the processes that use it.
// *ret_first: nobody else uses it; what an earlier process had reserved has been given back, what
// was used stands. ERR_LIMIT: two processes have it; ERR_SYSTEM with errno; ERR_NOMEM. A file of
// another version is replaced. Main thread, blocking.
int ledger_open(const char *path, struct ledger **ret, bool *ret_first);
void ledger_close(struct ledger *l); // gives nothing back: exchanges have ended; NULL is fine

// The counter of that name; made when there is none: nothing used, its window not begun.
// ERR_LIMIT. Off the data path; one thread a process, any number of processes.
int ledger_counter(struct ledger *l, struct slice name, struct ledger_counter **ret);
bool ledger_is_new(const struct ledger_counter *c); // nothing has been reserved or used yet
// Start-up and management: what has been used, in the window that began then. Reservations stay.
void ledger_set(struct ledger_counter *c, int64_t used, uint64_t window);
// Start-up of the first process, before any request. Does the ledger know this store (not 0)? Then
// only what no record tells stays used. Else it knows it from now on, and what is used stays so:
// the records of it lie elsewhere.
bool ledger_recount(struct ledger *l, uint64_t store);
// Then, for each counter, the oldest window first: what all records of that store have moved it by
// in that window, and whether it was known. Once a window; one that is older than the counter's is
// nothing.
void ledger_told(struct ledger_counter *c, int64_t value, uint64_t window, bool known);

// ---- On the way of a request: any core -------------------------------------------------------

// Rolls the window when it is over. False: `amount` more, or anything at all when the limit has
// been reached, would pass it. `amount` ≥ 0; `now` in seconds since 1970.
bool ledger_reserve(struct ledger *l, const struct ledger_limit *limit, int64_t amount,
                    uint64_t now);
// The reservation comes to nothing.
void ledger_release(struct ledger *l, const struct ledger_limit *limit, int64_t reserved);
// The reservation becomes `actual` (more or less). Returns the beginning of the window it was
// charged to. Once for each reservation.
uint64_t ledger_settle(struct ledger *l, const struct ledger_limit *limit, int64_t reserved,
                       int64_t actual, uint64_t now);
// What was just settled has no record.
void ledger_unrecorded(const struct ledger_limit *limit, int64_t actual);

// For messages, routing and /api: of this moment, and rolled first.
struct ledger_view {
    int64_t used, committed;
    uint64_t window; // 0: not begun
};
struct ledger_view ledger_view(const struct ledger_limit *limit, uint64_t now);

#endif
