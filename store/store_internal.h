// SPDX-License-Identifier: Apache-2.0
//
// store_internal.h: the store itself, between the files of this folder.
//
//   open.c     start and end: lock, databases, threads          put.c      a core's half of a ring
//   key.c      which key the rows of `config` are sealed with
//   drain.c    rings to batches, on a thread of its own         gather.c   a record into a batch
//   append.c   its rows and contents into segments              find.c     and from an id to them
//                                                            contents.c a content whole again
//   keep.c     the threads that sync, watch the disk, and       space.c    how full the disk is
//              delete what is too old
//   call.c     fibers to workers                                table.c    rows of `config`
//   search.c   a page of records                                sum.c      sums of them
//   remove.c   records that somebody deletes                    desk.c     what another process
//   asks
//
// Locks, in the order in which they are taken:
//
//   batch_mutex   who drains; with it everything of `struct drain`, and the drain's half of rings
//   sync_mutex    who syncs
//   db_lock       for reading: the databases stay open; for writing: they are opened anew
//   stop_mutex    the end
#ifndef RINGGATE_STORE_STORE_INTERNAL_H
#define RINGGATE_STORE_STORE_INTERNAL_H

#include "base/buf.h"
#include "ring/work.h"
#include "store/rocks.h"
#include "store/seal.h"
#include "store/segment.h"
#include "store/share.h"
#include "store/spool.h"
#include "store/store.h"
#include "store/words.h"
#include <pthread.h>
#include <stdatomic.h>

#define STORE_PATH_BYTES 4096
#define STORE_SEGMENTS   "segments" // a folder
// What keys.h says.
#define STORE_FORMAT_CONFIG 1
#define STORE_FORMAT_LOGS   1
// Threads that do calls: searches are long, and one must not stop all others.
#define STORE_WORKERS 2
// And those of the store itself: drain, keep, clean.
#define STORE_THREADS 3
// A digest spans no more time than this: so much earlier must a search begin to look.
#define STORE_DIGEST_SPAN_US (INT64_C(3600) * 1000000)
// Files of damaged records that are kept; a broken disk must not fill itself with them.
#define STORE_ASIDE_MAX 1000

struct drain;
struct desk;

struct store_ring {
    struct store *store;
    struct spool *spool;
    struct share *share;      // the core's, as what follows
    uint32_t losses;          // of the spool, when `share` began to know what it knows
    _Atomic uint64_t refused; // written by its core only
};

struct store_numbers {
    _Atomic uint64_t records, content_dropped, rows_dropped, damaged, errors, syncs, logs_bytes;
    _Atomic uint64_t foreign_bytes;  // queued in rings that are not ours
    _Atomic int batch_err, sync_err; // of the last ones
};

struct store {
    char dir[STORE_PATH_BYTES];
    char rings[STORE_PATH_BYTES];
    bool memory;
    int lock_fd;
    void (*notice)(void *arg, enum log_level level, const char *text);
    void *notice_arg;

    pthread_rwlock_t db_lock;
    struct rocks *config;
    struct rocks *logs;        // NULL: it could not be opened again
    struct segments *segments; // what `logs` names
    struct seal seal;
    bool sealed;                           // `seal` is what
    unsigned char state[SEAL_STATE_BYTES]; // this stands for
    struct words *words;

    struct work_pool *pool;
    _Atomic unsigned calls; // that wait for a worker or are with one

    struct store_ring *ring;
    uint64_t tenant_seed[2];
    unsigned cores;
    uint64_t ring_bytes;

    pthread_mutex_t batch_mutex;
    struct drain *drain;
    _Atomic uint64_t written; // batches

    pthread_mutex_t sync_mutex;
    _Atomic uint64_t synced; // of those

    _Atomic int level; // enum store_level
    uint64_t free_bytes_min;
    _Atomic unsigned row_days, content_days;
    _Atomic uint64_t logs_bytes_max;
    _Atomic uint64_t floor_us; // what is older is gone
    struct store_numbers numbers;

    pthread_mutex_t stop_mutex;
    pthread_cond_t stop_changed;
    bool stop;
    pthread_t thread[STORE_THREADS];
    unsigned threads;      // made
    pthread_t opener;      // in standby
    bool opens;            // there is one
    struct buf passphrase; // for it; wiped
    _Atomic bool ready, failed;
    struct desk *desk;
};

// ---- open.c ----------------------------------------------------------------------------------

void store__notice(const struct store *s, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// A sentence about why it does not start.
void store__explain(char reason[STORE_REASON_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Counts and tells a failed call of a database; returns `err`.
int store__failed(struct store *s, const struct rocks *db, const char *what, int err);
// The same for the segments.
int store__failed_segments(struct store *s, const char *what, int err);
// Nobody holds db_lock. Closes and opens `logs`, which has refused to write.
int store__reopen_logs(struct store *s);
// True: the store is closing. Waits up to `ms` for that.
bool store__wait_stop(struct store *s, unsigned ms);
// Keeps bytes that cannot be read under <dir>/damaged.
void store__set_aside(struct store *s, const char *name, struct slice bytes);

// ---- key.c -----------------------------------------------------------------------------------

// Is `passphrase` (empty: none) the one? Before `config` is opened: touches no file, and another
// process may have it open. What cannot be told yet is told by store__check_key.
int store__look_at_key(struct store *s, struct slice passphrase, char reason[STORE_REASON_BYTES]);
// The same of the open database; writes nothing. *ret_first: the passphrase is its first.
int store__check_key(struct store *s, struct slice passphrase, bool *ret_first,
                     char reason[STORE_REASON_BYTES]);
// The database's first key.
int store__make_key(struct store *s, struct slice passphrase, char reason[STORE_REASON_BYTES]);

// ---- drain.c: with batch_mutex ---------------------------------------------------------------

int store__drain_new(struct store *s, struct drain **ret);
void store__drain_free(struct drain *d);
// What memory keeps of the database: words, pieces, positions. At the start and after a failed
// batch.
int store__drain_load(struct store *s);
// Finds rings that have appeared, lets go of those that are done with.
void store__drain_discover(struct store *s);
// Everything that is in the rings now becomes WRITTEN. 0, ERR_LIMIT, ERR_SYSTEM or ERR_NOMEM: the
// rest is still in the rings.
int store__drain_all(struct store *s);
void *store__drain_main(void *store);

// ---- keep.c ----------------------------------------------------------------------------------

// Everything that is WRITTEN becomes SYNCED. No lock is held.
int store__sync(struct store *s);
void *store__keep_main(void *store);
void *store__clean_main(void *store);
// Deletes what is too old or too much by `now`. No lock is held.
int store__clean_up(struct store *s, struct wall now);

// ---- space.c ---------------------------------------------------------------------------------

enum store_level store__level_of(uint64_t free_bytes, uint64_t free_bytes_min,
                                 enum store_level current);
// Looks at the disk and sets the level.
void store__measure(struct store *s);
// Makes, or gives back, the space that usage is written in when nothing else is left.
void store__keep_reserve(struct store *s);
void store__give_reserve(struct store *s);

// ---- call.c ----------------------------------------------------------------------------------

// fn(arg) on a worker. ERR_LIMIT: too many calls. Else as work_await.
int store__call_await(struct store *s, struct fiber *self, void (*fn)(void *arg), void *arg);

// ---- desk.c ----------------------------------------------------------------------------------

int store__desk_new(struct store *s, struct desk **ret);
void store__desk_free(struct desk *d); // NULL is fine
// A checkpoint of both, with db_lock held for reading.
int store__checkpoint(struct store *s, const char *dir, char reason[ROCKS_REASON_BYTES]);
// Takes <dir>/lock. ERR_SYSTEM: somebody has it.
int store__lock(const char *dir, int *ret_fd);

#endif
