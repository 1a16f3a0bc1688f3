// SPDX-License-Identifier: Apache-2.0
//
// segment.h: the files that rows and contents are appended to, once.
//
// What is much and never changes does not go through the database, which would write it twice, to
// its log and to its files, and hold it in memory between: the drain appends it here, bundle by
// bundle (bundle.h), and the database has an entry of some forty bytes for each bundle (keys.h).
// There are two kinds of files, because contents go earlier than rows; deleting what is old is
// removing files.
//
//   <store>/segments/rows-00000001       │▒▒ bundle ▒▒│▒▒ bundle ▒▒│▒▒ bundle ▒▒│░ being appended
//   ░│ <store>/segments/content-00000007                                    bytes
//
// `bytes`, how far a file is committed, is written by the batch that has the bundles' entries: what
// stands behind it was never named by anyone, and is written over. So the end of a process leaves
// nothing half done. What is committed is synced before the database's log is (keep.c).
//
//   ┌────────┐ append ┌──────────┐ the batch is written: commit ┌───────────┐ sync ┌────────┐
//   │ (none) │ ─────► │ APPENDED │ ───────────────────────────► │ COMMITTED │ ───► │ SYNCED │
//   └────────┘        └──────────┘                              └───────────┘      └────────┘
//                          └──► it is not: forget
//
// A file that a backup has too, by a link, is not appended to and nothing in it is erased: a backup
// stays as it is, whichever of the two stores goes on.
//
// Threads: append, commit and forget are the holder's of batch_mutex; the others any thread's. All
// of it blocks.
#ifndef RINGGATE_STORE_SEGMENT_H
#define RINGGATE_STORE_SEGMENT_H

#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

// A file is not appended to any more when it has as much, or spans as long a time: what is too old
// or too much goes by whole files.
#define SEGMENT_BYTES     ((uint64_t)64 * 1024 * 1024)
#define SEGMENT_BYTES_MIN ((uint64_t)1024 * 1024)
#define SEGMENT_SPAN_US   (UINT64_C(6) * 3600 * 1000 * 1000)
// An error in words.
#define SEGMENT_REASON_BYTES 384

enum segment_kind { SEGMENT_ROWS, SEGMENT_CONTENT, SEGMENT_KINDS };

// Where a bundle lies.
struct segment_place {
    uint32_t segment;
    uint32_t offset;
    uint32_t len;
};

struct segment {
    enum segment_kind kind;
    uint32_t number;
    uint64_t bytes;
    uint64_t first_us, last_us; // of the records in it
};

struct segments;

// The files in `dir`, which is made; NULL: in memory. ERR_NOMEM or ERR_SYSTEM.
int segments_new(const char *dir, struct segments **ret);
void segments_free(struct segments *s); // NULL is fine

// One that the database knows, at the start, and when it was opened anew: what it says counts. They
// come by their numbers. The holder's of batch_mutex. ERR_NOMEM.
int segments_know(struct segments *s, const struct segment *segment);
// At the start, behind these: files of nobody are removed.
void segments_settle(struct segments *s);

// Writes behind what is committed, in a new file when none of its kind that is open has room by
// `bytes_max` and holds records of about that time. *ret tells the file as it will be when it is
// committed, and where `bytes` begin in it. ERR_LIMIT: the disk is full; ERR_SYSTEM, ERR_NOMEM.
// Once for each kind until the next call of one of the two below.
int segments_append(struct segments *s, enum segment_kind kind, struct slice bytes,
                    uint64_t first_us, uint64_t last_us, uint64_t bytes_max, struct segment *ret,
                    uint32_t *ret_offset);
void segments_commit(struct segments *s);
void segments_forget(struct segments *s);
// Nothing more is appended to those whose last record is older than `before_us`, but what is being
// appended now.
void segments_seal(struct segments *s, uint64_t before_us);

// Adds what lies there to *ret. ERR_NOT_FOUND: the file is gone; ERR_BAD_LENGTH: it is shorter;
// ERR_SYSTEM, ERR_NOMEM.
int segments_read(struct segments *s, enum segment_kind kind, struct segment_place place,
                  struct buf *ret);
// Gives the disk space of what lies there back, unless a backup has the file too. Nothing that the
// database names, now or after the machine's end. While one is being made (hold, release) it waits.
void segments_erase(struct segments *s, enum segment_kind kind, struct segment_place place);
void segments_hold(struct segments *s);
void segments_release(struct segments *s);
// Everything that was committed before the call survives the machine. ERR_LIMIT or ERR_SYSTEM.
int segments_sync(struct segments *s);
// Of all files.
uint64_t segments_bytes(const struct segments *s);
// One that is not appended to and whose last record is older than `before_us`, the oldest of the
// two kinds' or of one (SEGMENT_KINDS: any). False: there is none.
bool segments_oldest(const struct segments *s, enum segment_kind kind, uint64_t before_us,
                     struct segment *ret);
// Removes its file.
void segments_drop(struct segments *s, enum segment_kind kind, uint32_t number);
// All files of the folder `from`, if there is one, in `to`, which is made: linked where they can
// be, else copied; they survive the machine. What is appended later may be in them too, behind what
// the database of that backup names. ERR_SYSTEM.
int segments_link(const char *from, const char *to, char reason[SEGMENT_REASON_BYTES]);
// Of the last call that ended in ERR_LIMIT or ERR_SYSTEM.
void segments_reason(const struct segments *s, char reason[SEGMENT_REASON_BYTES]);

#endif
