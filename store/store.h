// SPDX-License-Identifier: Apache-2.0
//
// store.h: what outlives the process, as typed tables that answer to fibers.
//
// Two databases, because they promise different things. `config` holds what people have decided:
// few rows, each written synced before the call returns. `logs` holds what has happened: many rows,
// written by nobody's fiber. A core copies the record of a finished exchange into a ring of its own
// in shared memory (tmpfs): no system call, no lock, no disk fault on the way of a request. A
// worker drains the rings in large batches; a batch writes, together or not at all, the rows, what
// search needs of them, the values of the counters they moved, and the ring positions it reached.
// Rows and contents, which are much and never change, are appended to files beside the database.
// Start-up goes on behind those positions: each record once, no more, no less.
//
//   core's fiber                worker
//   store_put_record            one batch
//        │                     ┌──────────────────────────────────────┐
//        ▼                     │ rows · contents, appended            │──► segments
//   ring │▒▒▒▒▒▒│    │ ───────►├──────────────────────────────────────┤
//        from    to            │ where they lie · digest · words ·    │
//                              │ counters · the rings' positions      │──► logs
//                              └──────────────────────────────────────┘
//
//   ┌────────┐ batch taken  ┌──────────┐ batch written   ┌─────────┐ log synced,     ┌────────┐
//   │ QUEUED │ ───────────► │ DRAINING │ ──────────────► │ WRITTEN │ ──────────────► │ SYNCED │
//   └────────┘              └──────────┘                 └─────────┘ every second    └────────┘
//
//   QUEUED    in the ring: survives the end of the process, also `kill -9`, not the machine's
//   DRAINING  still in the ring, and read again after an end in the middle
//   WRITTEN   in a segment and the database's own log, in the kernel's hands: found by reads; its
//   ring space is
//             free; survives the process, not the machine
//   SYNCED    survives the machine
//
// When the disk fills, the least is given up first, each loss counted (store_health):
//
//   ┌─────┐ free_bytes_min ┌────────────┐ still less ┌─────────┐
//   │ ALL │ ─────────────► │ NO_CONTENT │ ─────────► │ NO_ROWS │   usage goes on: its space on the
//   └─────┘ ◄───────────── └────────────┘ ◄───────── └─────────┘   disk is reserved
//             space is back
//
// The same order holds in a ring that nobody drains fast enough: content is dropped before the row,
// the row before the usage, whose place in the ring was reserved at admission.
//
// Search has no index for each field. A row leaves a digest of fixed size: time, dictionary ids,
// status, latency, tokens, cost. 1,024 of them, packed by column, are one value with its least and
// greatest time. Filters, sorts, counts and histograms scan digests on a worker; what a filter
// offers is a dictionary. Only a search in content reads content, inside a span of time, and says
// where it stopped. Keys begin with the time (keys.h), so retention deletes a range, and files.
//
// Ownership: one process has the databases open. What goes in is borrowed until the call returns;
// what comes out lies in the caller's arena. A call parks its fiber, a worker does the work; an
// interrupted fiber gets its interruption when the worker has let go of what it was lent (at once
// when it has not begun), so an interrupted write may have happened. No call is made from a loop's
// callback but those of records and store_health, which never park.
//
// Errors: ERR_NOMEM; ERR_LIMIT (the disk is full, too many calls wait, a bound below); ERR_SYSTEM
// (the disk or a damaged database: logged with its reason, counted); an interruption. Beyond these,
// what the prototype names. A read never returns half a value.
//
// This header names no engine and no engine's type: an engine for many machines comes in behind it.
//
// docs/store.md tells the life of a record, what is durable when, and what to do about a full disk
// and a damaged database.
#ifndef RINGGATE_STORE_STORE_H
#define RINGGATE_STORE_STORE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

// The store's folder in the app-dir: where the commands look for it.
#define STORE_FOLDER "store"
// An encryption key's passphrase; a file by mistake must not be hashed.
#define STORE_KEY_BYTES_MAX 4096
// One value of `config`; a pasted file must not become a row.
#define STORE_VALUE_BYTES_MAX (1024 * 1024)
// Changes that become durable together.
#define STORE_CHANGES_MAX 256
// Bodies kept for one record, both together, or a request that was put before it; beyond it they
// are cut and say so.
#define STORE_CONTENT_BYTES_MAX (1024 * 1024)
// Counters one exchange moves; no less than the limits it may meet (gateway/governance.h).
#define STORE_MOVES_MAX 32
// A name of a provider, a model, a counter. A longer word is cut, for its place in a ring is
// promised before it is known; a counter's id is never longer: the caller sees to it.
#define STORE_WORD_BYTES_MAX 128
// A row; a longer one is lost.
#define STORE_ROW_BYTES_MAX (256 * 1024)
// Different words of one dictionary, counters apart; names that clients invent must not fill
// memory. Later ones are counted as STORE_WORD_OTHER.
#define STORE_WORDS_MAX  65536
#define STORE_WORD_OTHER "(other)"
// Records of one page of a search.
#define STORE_PAGE_MAX 1000
// Records a page may be away from the first that matches: they are all sorted. ERR_LIMIT.
#define STORE_DEPTH_MAX 100000
// What is searched for in content. ERR_LIMIT.
#define STORE_NEEDLE_BYTES_MAX 1024
// How long a search in content reads.
#define STORE_CONTENT_SEARCH_MS 2000
// Buckets of one sum. ERR_LIMIT.
#define STORE_BUCKETS_MAX 10000
// Calls that wait for a worker; a dashboard in a loop must not fill memory. ERR_LIMIT.
#define STORE_CALLS_MAX 256
// Rows to a digest value.
#define STORE_DIGEST_ROWS 1024
// A sentence about why it does not start.
#define STORE_REASON_BYTES 768

struct buf;
struct fiber;
struct store;
struct store_ring;

// ---- Life: the main thread, blocking ---------------------------------------------------------

struct store_options {
    const char *dir;         // of both databases; made when missing
    const char *rings;       // of the shared rings, on tmpfs
    bool memory;             // for tests: both databases in memory, gone at the end; no `dir`
                             // and no `rings`
    unsigned cores;          // a ring each
    uint64_t ring_bytes;     // of one; a power of two from 64 kB to 1 GB. Each request in flight
                             // needs 3.2 kB of it
    unsigned row_days;       // retention; 0: for ever
    unsigned content_days;   // at most row_days
    uint64_t logs_bytes_max; // max_size_gb; the oldest go first; 0: no limit
    uint64_t free_bytes_min; // below it the disk counts as full; 0: it never does
    // Seals the values of all config rows (seal.h); empty: they are kept as they are. Rows that
    // were written before there was a key are read, and sealed when they are written again.
    struct slice encryption_key;
    // What a person should know: why a call failed, what was skipped, levels. Any thread, not from
    // within store_put_record. NULL: nobody wants to.
    void (*notice)(void *arg, enum log_level level, const char *text);
    void *notice_arg;
    // Another process may still have the databases (an upgrade): the rings of this one work at
    // once, and that process drains them; a thread opens the databases when it has let go. Until
    // then calls end in ERR_LIMIT.
    bool standby;
};
// Opens or makes both databases, finds the rings, drains what an earlier process left in them.
// ERR_SYSTEM: another process has them, or they are damaged; ERR_UNSUPPORTED: a newer format;
// ERR_CREDENTIAL: not the key that its rows are sealed with, and nothing was changed; ERR_LIMIT: no
// room for the rings or on the disk; ERR_NOMEM. All with a sentence in `ret_reason`.
int store_open(const struct store_options *options, struct store **ret,
               char ret_reason[STORE_REASON_BYTES]);
// Are the databases open? False only in standby, or for ever when they could not be opened then
// (`notice` has said why).
bool store_is_ready(const struct store *s);
// From any thread: new numbers for retention, from the next clean-up on.
void store_retain(struct store *s, unsigned row_days, unsigned content_days,
                  uint64_t logs_bytes_max);
// From a core whose fibers have all ended, before its ring is freed: no worker is still in a call
// that wakes it.
void store_leave(struct store *s);
// Drains the rings, syncs, closes. No call is waiting. NULL is fine.
void store_close(struct store *s);

// ---- Records: a core's thread, never parks ---------------------------------------------------

// What the dictionaries hold: a row keeps a number for each.
enum store_word {
    STORE_WORD_PROVIDER,
    STORE_WORD_MODEL,
    STORE_WORD_KEY,
    STORE_WORD_VIRTUAL_KEY,
    STORE_WORD_ROUTING_RULE,
    STORE_WORD_OBJECT,  // the operation, as the API names it
    STORE_WORD_COUNTER, // ids of counters
    STORE_WORD_COUNT
};

// (counter, window, delta): what an exchange did to a counter. Exactly what was added in shared
// memory, so that the sum of the moves is the value.
struct store_move {
    struct slice counter; // its id
    uint64_t window;      // when the window began, in seconds since 1970
    int64_t delta;        // requests, tokens, or 10⁻¹² dollars
};

// A request that was put before its record (store_put_request): what the record says of it.
struct store_early {
    struct slice refers; // where it lies; empty: it was not
    uint32_t losses;     // of the ring, when that was true
};

// One finished exchange.
struct store_record {
    struct wall time;
    struct slice word[STORE_WORD_COUNTER]; // empty: absent
    uint16_t status;                       // HTTP, 499 when the client left
    bool streamed;
    bool usage_known;    // false: the tokens are absent
    bool cost_estimated; // the reservation stood as the charge
    uint32_t latency_ms;
    uint64_t input_tokens, output_tokens, cached_read_tokens, cached_write_tokens;
    int64_t cost; // in 10⁻¹² dollars
    struct store_move move[STORE_MOVES_MAX];
    unsigned moves;
    struct slice row;     // the rest of the log row, in its writer's own form; empty: none
    struct slice request; // content; empty: not kept, or
    struct store_early early;
    struct slice answer;
    bool answer_folded; // `answer` is texts folded (base/fold.h)
    bool content_cut;   // it was more than its writer keeps
};

// A record's name for good: its place in time and in the ring it came through. As text it is the
// id of a log row, 28 hexadecimal digits: the key's own bytes (keys.h).
struct store_id {
    uint64_t time_us;
    uint16_t ring;
    uint32_t number; // of that ring, wraps
};

enum store_kept {
    STORE_KEPT_ALL,
    STORE_KEPT_NO_CONTENT,
    STORE_KEPT_USAGE // counters and digest only
};

// The ring of this core; as long as the store.
struct store_ring *store_ring(struct store *s, unsigned core);
// Before a request is sent up: the place its usage will need. ERR_LIMIT: the request is refused
// with 503, because what it costs could not be kept.
int store_reserve(struct store_ring *r);
// The request ended without a record.
void store_unreserve(struct store_ring *r);
// The request of an exchange that will last: into the ring now, so that nobody has to keep it until
// the end. What of it the ring's records have already is not put again. True: the record takes *ret
// (in the arena) instead of the request. False: it is short, there is no room for content or no
// memory: the caller keeps it.
bool store_put_request(struct store_ring *r, struct wall time, struct slice virtual_key,
                       struct slice request, struct arena *arena, struct store_early *ret);
// Copies the record into the ring, in the place that was reserved. QUEUED when it returns. Cannot
// fail; says how much of it there was room for.
enum store_kept store_put_record(struct store_ring *r, const struct store_record *record,
                                 struct store_id *ret_id);

// ---- Counters --------------------------------------------------------------------------------

// A counter's stored value: what all WRITTEN records have moved it by.
struct store_counter {
    struct slice counter;
    uint64_t window;
    int64_t value;
};
// All counters whose window began at `since` or later, for the first fill of shared memory after
// store_open, which has drained the rings. Main thread, blocking.
int store_load_counters(struct store *s, uint64_t since, struct arena *arena,
                        struct store_counter **ret, size_t *ret_count);

// ---- config: fibers --------------------------------------------------------------------------

// The kinds of rows. A number stays with its kind for ever: it is in the keys.
enum store_kind {
    STORE_SETTING = 1,
    STORE_PROVIDER = 2,
    STORE_KEY = 3,
    STORE_VIRTUAL_KEY = 4,
    STORE_BUDGET = 5,
    STORE_RATE_LIMIT = 6,
    STORE_PRICE = 7,
    STORE_JOB = 8, // accepted: the client is told when the row is SYNCED
    STORE_TEAM = 9,
    STORE_CUSTOMER = 10,
    STORE_MODEL_LIMIT = 11,
    STORE_PROVIDER_LIMIT = 12,
    STORE_KIND_END
};

struct store_change {
    enum store_kind kind;
    struct slice id;
    struct slice value; // ptr NULL: the row goes
};
// All or none, SYNCED when it returns 0. ERR_LIMIT also for a value or a count beyond its bound.
int store_change_await(struct store *s, struct fiber *self, const struct store_change *changes,
                       unsigned count);
// ERR_NOT_FOUND.
int store_get_await(struct store *s, struct fiber *self, enum store_kind kind, struct slice id,
                    struct arena *arena, struct slice *ret_value);

struct store_row {
    struct slice id, value;
};
// Every row of a kind, in the order of their ids, for the first snapshot. Main thread, blocking,
// before the first core. ERR_SYSTEM: one cannot be read.
int store_load_rows(struct store *s, enum store_kind kind, struct arena *arena,
                    struct store_row **ret, unsigned *ret_count);

// Rows of one kind in the order of their ids, behind `after` (empty: from the first), `max` of them
// at most. *ret_count < max: these were the last. One moment's state within a call.
int store_list_await(struct store *s, struct fiber *self, enum store_kind kind, struct slice after,
                     unsigned max, struct arena *arena, struct store_row **ret,
                     unsigned *ret_count);

// ---- logs: fibers ----------------------------------------------------------------------------

enum store_sort { STORE_BY_TIME, STORE_BY_LATENCY, STORE_BY_TOKENS, STORE_BY_COST };

// An empty list or a zero bound does not filter. Failed is a status of 400 or more; tokens are
// input and output together; without cost is a cost of 0. `content` is found in any ASCII letter
// case.
struct store_query {
    struct wall from, to;
    const struct slice *word[STORE_WORD_COUNTER]; // any of these
    unsigned words[STORE_WORD_COUNTER];
    uint32_t latency_min_ms, latency_max_ms;
    uint64_t tokens_min, tokens_max;
    int64_t cost_min, cost_max; // in 10⁻¹² dollars
    bool only_failed, only_succeeded, only_without_cost;
    struct slice content; // in the bodies; needs `from` and `to` (ERR_MISSING)
    // With it: what of a content is searched, to the end of `out`. A worker calls it.
    void (*text)(struct slice request, struct slice answer, bool answer_folded, struct buf *out);
    enum store_sort sort;
    bool ascending;
    unsigned limit; // STORE_PAGE_MAX at most
    uint64_t offset;
};

// What is known of a record without its row: of one whose row was not kept what its digest says,
// where a word may be STORE_WORD_OTHER.
struct store_facts {
    struct wall time; // in whole microseconds
    struct slice word[STORE_WORD_COUNTER];
    uint16_t status;
    bool streamed, usage_known, cost_estimated;
    uint32_t latency_ms;
    uint64_t input_tokens, output_tokens, cached_read_tokens, cached_write_tokens;
    int64_t cost; // in 10⁻¹² dollars
};
struct store_found {
    struct store_id id;
    struct store_facts facts;
    struct slice row; // SLICE_EMPTY when only its usage was kept
};
struct store_page {
    struct store_found *found;
    unsigned count;
    uint64_t total;       // that match; of a content search: so far
    bool stopped;         // a content search met its bound of time (STORE_CONTENT_SEARCH_MS) …
    struct wall searched; // … here: what lies behind it in the order of time was not looked at
};
int store_search_await(struct store *s, struct fiber *self, const struct store_query *query,
                       struct arena *arena, struct store_page *ret);

// Sums over equal spans of time, for stats (bucket_s 0: one bucket, which begins at `from`) and
// histograms; by the words of one dictionary when `by` is not STORE_WORD_COUNT. Buckets begin at
// multiples of bucket_s since 1970 and come in the order of their time, those without a record not
// at all. Percentiles are at most 3 % too high. `content`, order and page of the query are not
// looked at.
struct store_bucket {
    struct wall begin;
    struct slice word;
    uint64_t requests, failed, input_tokens, output_tokens;
    uint64_t latency_ms_sum;
    uint32_t latency_ms_p90, latency_ms_p95, latency_ms_p99;
    int64_t cost; // in 10⁻¹² dollars
};
int store_sum_await(struct store *s, struct fiber *self, const struct store_query *query,
                    unsigned bucket_s, enum store_word by, struct arena *arena,
                    struct store_bucket **ret, unsigned *ret_count);

struct store_entry {
    struct store_facts facts;
    struct slice row;
    struct slice request, answer; // empty when they were not kept
    bool answer_folded;           // as its writer said
    bool cut;                     // the writer said so, or longer than STORE_CONTENT_BYTES_MAX
};
// ERR_NOT_FOUND: never there, its row was not kept, or gone by retention.
int store_get_record_await(struct store *s, struct fiber *self, struct store_id id,
                           struct arena *arena, struct store_entry *ret);
// The rows and content go, and no search finds them. WRITTEN when it returns. Counters stay:
// forgetting a request does not give its money back.
// ERR_LIMIT beyond STORE_PAGE_MAX.
int store_delete_records_await(struct store *s, struct fiber *self, const struct store_id *ids,
                               unsigned count);
// Every word of a dictionary.
int store_words_await(struct store *s, struct fiber *self, enum store_word dictionary,
                      struct arena *arena, struct slice **ret, size_t *ret_count);

// ---- Both ------------------------------------------------------------------------------------

// Returns when every record put before it, by any core, is SYNCED.
int store_sync_await(struct store *s, struct fiber *self);
// A checkpoint of both databases under `dir`, which must not exist (ERR_SYSTEM), while requests go
// on. What is only QUEUED is not in it.
int store_backup_await(struct store *s, struct fiber *self, const char *dir);

// ---- Commands: another process, blocking -----------------------------------------------------

// `ringgate backup`: asks the process that has the store in `dir` open to write a checkpoint to
// `to`, an absolute path, or does so itself when there is none. ERR_SYSTEM with a sentence.
int store_backup(const char *dir, const char *to, char ret_reason[STORE_REASON_BYTES]);
// `ringgate repair`: makes databases again of what can be read of damaged ones. ERR_SYSTEM with a
// sentence; also when a process has the store open.
int store_repair(const char *dir, char ret_reason[STORE_REASON_BYTES]);

// `ringgate --check-config`: is `key` (empty: none) the one that rows in `dir` are sealed with?
// Also while a process has the store open; changes nothing. 0, also when there is no store yet or
// it cannot be read, which opening it tells; ERR_CREDENTIAL with a sentence.
int store_check_key(const char *dir, struct slice key, char ret_reason[STORE_REASON_BYTES]);

// ---- Health: any thread, never parks ---------------------------------------------------------

enum store_level { STORE_ALL, STORE_NO_CONTENT, STORE_NO_ROWS, STORE_LEVEL_COUNT };

enum store_state {
    STORE_STANDBY, // another process has the databases
    STORE_READY,
    STORE_FAILED, // they could not be opened behind it; only rings work, until they are full
    STORE_STATE_COUNT
};

// For /health and metrics.
struct store_health {
    enum store_state state;
    enum store_level level;
    bool writing;     // the last batch was written, and the last sync done; false while not READY
    bool sealed;      // rows of `config` are, from now on
    uint64_t records; // drained
    uint64_t content_dropped; // records that lost their content, to the disk or to a full ring
    uint64_t rows_dropped;    // and those that lost their row
    uint64_t damaged;         // records and digests that could not be read; kept aside
    uint64_t refused;         // reservations there was no room for
    uint64_t syncs;           // that had something to sync
    uint64_t queued_bytes;    // in all rings
    uint64_t ring_bytes;      // of this process's rings
    uint64_t logs_bytes;      // on disk
    uint64_t errors;          // calls that ended in ERR_SYSTEM
};
void store_health(const struct store *s, struct store_health *ret);

#endif
