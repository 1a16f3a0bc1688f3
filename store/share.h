// SPDX-License-Identifier: Apache-2.0
//
// share.h: a text as what is new in it and where the rest already lies.
//
// A coding agent sends its system prompt, its tools and the whole conversation again with every
// turn: of 100 kB a few are new. A core cuts a request's body into chunks, looks each up in a table
// of its own, and the record carries the unknown ones and says of the others which earlier record
// of the same core has them.
//
//   record 1  │▒▒▒▒ A ▒▒▒▒│▒▒ B ▒▒│▒▒▒▒ C ▒▒▒▒│         all of it is new
//                  ▲                    ▲
//   record 2  ─────┘ A     │▒▒ b ▒▒│────┘ C   │▒ D ▒│    b and D are new: its literals
//
// Where a chunk ends follows from the text around its end (chunk.h), so the chunks behind something
// that was inserted are known again.
//
// A chunk is known by 128 bits of XXH3 under a secret of its table, drawn when the table is made,
// by its length, and by the tenant: what one virtual key has sent is never looked at for another,
// so nobody learns from sizes what somebody else has sent. A hash that is not cryptographic is
// enough here: who wanted two texts with one name would have to find them without the secret and
// without ever seeing a name, and would then spoil a line of the own log, nobody else's.
//
// A reference goes to another record's literals, never to its references: one step leads to the
// bytes, a record needs at most the records that it names itself, and cannot need itself. A text
// that is not in the stored form below has no literals and is never referred to. A reference is
// never older than SHARE_LIFE_US: what retention takes away takes little with it.
//
// The stored form, numbers big-endian:
//
//   offset 0   4   bytes of the recipe
//          4   …   the recipe: items in the order of the text
//          …   …   literals, one behind the other
//
//   item       0   1   00: a literal
//              1   4   its length
//
//              0   1   01: a reference
//              1  14   id of the record, as in its keys (keys.h)
//             15   4   offset among that record's literals
//             19   4   length
//
//   64 kB that record 00060a2418202240000300011170 has from its first literal byte on, and "!!":
//   00 00 00 1c  01 00 06 0a 24 18 20 22 40 00 03 00 01 11 70 00 00 00 00 00 01 00 00
//   00 00 00 00 02  21 21
//
// Lifetime: a table lives as long as its core. Its memory is touched when it is used.
// Threads: a table belongs to one core's thread; it makes no system call, takes no lock and no
// memory. Reading needs no table: any thread.
#ifndef RINGGATE_STORE_SHARE_H
#define RINGGATE_STORE_SHARE_H

#include "base/slice.h"
#include "store/chunk.h"
#include "store/store.h"
#include <stdbool.h>
#include <stdint.h>

// A shorter text is kept as it is: it is not worth the look.
#define SHARE_TEXT_BYTES_MIN 8192
// A record's references are not older; then the whole text is kept once more.
#define SHARE_LIFE_US ((uint64_t)30 * 60 * 1000 * 1000)
// Chunks that one core remembers, some 13 MB of text; more tenants than that forget each other's.
#define SHARE_ENTRIES 8192
// Items of one recipe: only a text's last chunk is shorter than the least.
#define SHARE_ITEMS_MAX (STORE_CONTENT_BYTES_MAX / CHUNK_BYTES_MIN)
// And its bytes with the length in front.
#define SHARE_RECIPE_BYTES_MAX (4 + SHARE_ITEMS_MAX * 23)
// How much longer than its text a stored form can be: one literal, and a reference to one byte.
#define SHARE_EXTRA_BYTES_MAX (4 + 5 + 22)

struct arena;
struct buf;
struct share;

// ---- Writing: the core's thread --------------------------------------------------------------

enum share_kind { SHARE_LITERAL, SHARE_REFERENCE };

struct share_item {
    enum share_kind kind;
    uint32_t offset;    // of a literal: in the text; of a reference: among its record's literals
    uint32_t len;       // not 0
    struct store_id id; // of a reference
};

// What was found. No two neighbours could be one item. The stored form is `head` and then the
// literals, `bytes` in all.
struct share_recipe {
    const struct share_item *item; // at most SHARE_ITEMS_MAX
    const struct slice *literal;   // in the text that was looked at
    unsigned items;
    unsigned literals;
    uint32_t literal_bytes;
    uint32_t bytes;
    struct slice head;
};

// NULL: no memory, or no randomness for its secret. Gives it.
struct share *share_new(void);
// NULL is fine.
void share_free(struct share *s);

// What of `text` (borrowed while the recipe is used, at most STORE_CONTENT_BYTES_MAX) records of
// this table have. `tenant`: a number that no other virtual key has. `now_us`: of one clock for
// all calls; times that go back cost knowledge, nothing else. Returns a recipe that lies in the
// table until the next look or forget; NULL: the text is shorter than SHARE_TEXT_BYTES_MIN, keep
// it as it is.
const struct share_recipe *share_look(struct share *s, uint64_t tenant, uint64_t now_us,
                                      struct slice text);
// The text that was looked at last is in the ring, in the stored form, as the record `id`: its
// literals are known from now on. Once a look that returned a recipe, or not at all.
void share_keep(struct share *s, struct store_id id);
// The stored form of the text that was looked at, of references alone: its literals are those of
// `id`, as which it was put. In the arena; empty without memory.
struct slice share_refer(const struct share_recipe *recipe, struct store_id id,
                         struct arena *arena);
// Content that was put is not to be relied on: nothing is known any more. Not between a look and
// its keep.
void share_forget(struct share *s);

// ---- Reading: any thread ---------------------------------------------------------------------

// Appends bytes [offset, offset + len) of the literals of the record `id` (share_literals). 0 or a
// negative error; the numbers come from the disk and need not be true.
typedef int (*share_fn)(void *arg, struct store_id id, uint32_t offset, uint32_t len,
                        struct buf *out);

// Appends to `out` the text that `stored` is the stored form of: at most STORE_CONTENT_BYTES_MAX
// bytes. 0; ERR_BAD_LENGTH: it is no stored form, nothing was asked of `fn`, or `fn` has not
// appended what it was asked for; what `fn` says; ERR_LIMIT or ERR_NOMEM of `out`. On failure `out`
// is as long as it was.
int share_read(struct slice stored, share_fn fn, void *arg, struct buf *out);
// Where in `stored` its literals lie, which other records refer to. 0 or ERR_BAD_LENGTH.
int share_literals(struct slice stored, struct slice *ret);

#endif
