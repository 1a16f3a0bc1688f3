// SPDX-License-Identifier: Apache-2.0
//
// keys.h: the keys of both databases, byte by byte, and the functions that write them.
//
// A key begins with the byte of its table, so a table is one range. Numbers in keys are big-endian:
// keys sort as their numbers do. A key that begins with a time makes retention the deletion of one
// range per table, from the table's first key to the first that is young enough. The byte of a
// table is never used for anything else again. Values begin with a byte that says how to read the
// rest, unless a fixed length is named here.
//
// config
//
//   KEYS_STATE    one value a purpose (enum keys_state)
//     offset 0   1  00
//            1   1  purpose
//     the format: 00 00, four bytes, big-endian: the version of what this page says; a newer one is
//     not opened. How far a migration has come: 00 01. How rows are sealed: 00 02 (seal.h).
//
//   KEYS_ROW      one row of a kind (enum store_kind); its value is 01 and JSON, or 02 and JSON
//                 that is sealed (seal.h)
//     offset 0   1  01
//            1   1  kind
//            2   …  id, 1 to KEYS_ID_BYTES_MAX bytes of UTF-8
//     virtual key "vk-1":
//     01 04 76 6b 2d 31
//
// logs
//
//   KEYS_STATE    as above; and 00 03, eight bytes, big-endian: the time, in microseconds, before
//                 which retention has deleted
//
//   KEYS_ROWS     a bundle of log rows (bundle.h) and where it lies (segment.h); its value is, each
//                 big-endian, the number of the segment, the offset in it, the length of the
//                 bundle, four bytes each, and the time of its latest record, eight
//   KEYS_CONTENTS the same for bundles of what was asked and answered
//     offset 0   1  18, 19
//            1  14  the id of the earliest record in it: 8, when its exchange ended, in
//            microseconds
//                   since 1970; 2, the ring it came through; 4, its number there, wraps
//     2023-11-14 22:13:20.123456 UTC, ring 3, number 70,000:
//     18 00 06 0a 24 18 20 22 40 00 03 00 01 11 70
//     19 00 06 0a 24 18 20 22 40 00 03 00 01 11 70
//     (bytes 1 to 14 in hexadecimal are the record's id: 00060a2418202240000300011170; 10 and 11
//     were rows and contents in themselves)
//
//   KEYS_DIGEST   up to STORE_DIGEST_ROWS rows packed by column (digest.h)
//   KEYS_PIECE    the same for the rows of one batch; when STORE_DIGEST_ROWS have come together
//                 they become one digest. Writing the newest digest again with each batch would
//                 write each row up to a thousand times
//     offset 0   1  12, 16
//            1  14  the id of the record that was its first row when it was written; no row is in
//                   two digests, so no two keys are the same
//     a digest whose first row is the record above:
//     12 00 06 0a 24 18 20 22 40 00 03 00 01 11 70
//
//   KEYS_WORD     a word of a dictionary (enum store_word); its value is the word
//     offset 0   1  13
//            1   1  dictionary
//            2   4  the number that rows and counters keep instead
//     models, number 258:
//     13 01 00 00 01 02
//
//   KEYS_COUNTER  what all records so far have moved a counter by; its value is a signed number of
//                 eight bytes, big-endian
//     offset 0   1  14
//            1   4  its word in STORE_WORD_COUNTER
//            5   8  when the window began, in seconds since 1970
//     word 7, 2023-11-14 22:00:00 UTC:
//     14 00 00 00 07 00 00 00 00 65 53 ed e0
//
//   KEYS_POSITION how far a ring has been drained; its value is the identity of the ring's file and
//                 the position in it, eight bytes each, big-endian. Written in the batch that holds
//                 the records up to it. A ring whose file was made again, because the machine had
//                 gone down, begins at its own beginning: hence the identity
//     offset 0   1  15
//            1   2  ring
//     ring 3:
//     15 00 03
//
//   KEYS_SEGMENT  a file of rows or contents; its value is how far it is committed, the times of
//   its
//                 earliest and of its latest record, eight bytes each, big-endian. Written in the
//                 batch that names the bundles up to there
//     offset 0   1  17
//            1   1  kind (enum segment_kind)
//            2   4  its number
//     contents, number 7:
//     17 01 00 00 00 07
#ifndef RINGGATE_STORE_KEYS_H
#define RINGGATE_STORE_KEYS_H

#include "base/slice.h"
#include "store/store.h"

enum keys_table {
    KEYS_STATE = 0x00,
    KEYS_ROW = 0x01,
    KEYS_DIGEST = 0x12,
    KEYS_WORD = 0x13,
    KEYS_COUNTER = 0x14,
    KEYS_POSITION = 0x15,
    KEYS_PIECE = 0x16,
    KEYS_SEGMENT = 0x17,
    KEYS_ROWS = 0x18,
    KEYS_CONTENTS = 0x19
};

enum keys_state {
    KEYS_STATE_FORMAT = 0,
    KEYS_STATE_MIGRATION = 1,
    KEYS_STATE_SEAL = 2,
    KEYS_STATE_FLOOR = 3
};

// An id comes from outside; a key of megabytes must not. ERR_LIMIT.
#define KEYS_ID_BYTES_MAX 255

#define KEYS_STATE_BYTES    2
#define KEYS_ROW_BYTES_MAX  (2 + KEYS_ID_BYTES_MAX)
#define KEYS_RECORD_BYTES   15 // of those with a record's id
#define KEYS_WORD_BYTES     6
#define KEYS_COUNTER_BYTES  13
#define KEYS_POSITION_BYTES 3
#define KEYS_SEGMENT_BYTES  6
#define KEYS_BYTES_MAX      KEYS_ROW_BYTES_MAX

// A key with room for any of them.
struct keys_key {
    unsigned char bytes[KEYS_BYTES_MAX];
    unsigned len;
};

static inline struct slice keys_slice(const struct keys_key *key)
{
    return slice_of(key->bytes, key->len);
}

// ---- Numbers ---------------------------------------------------------------------------------

static inline void keys_put_u32(unsigned char *out, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(out, &value, sizeof(value));
}

static inline void keys_put_u64(unsigned char *out, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(out, &value, sizeof(value));
}

static inline uint32_t keys_u32(const void *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof(value));
    return __builtin_bswap32(value);
}

static inline uint64_t keys_u64(const void *in)
{
    uint64_t value;
    memcpy(&value, in, sizeof(value));
    return __builtin_bswap64(value);
}

// ---- Keys ------------------------------------------------------------------------------------

static inline struct keys_key keys_state(enum keys_state purpose)
{
    return (struct keys_key){.bytes = {KEYS_STATE, (unsigned char)purpose}, .len = 2};
}

// `id` has 0 to KEYS_ID_BYTES_MAX bytes; none: where the kind begins.
static inline struct keys_key keys_row(enum store_kind kind, struct slice id)
{
    struct keys_key key;
    key.bytes[0] = KEYS_ROW;
    key.bytes[1] = (unsigned char)kind;
    if (id.len > 0)
        memcpy(key.bytes + 2, id.ptr, id.len);
    key.len = 2 + (unsigned)id.len;
    return key;
}

// KEYS_ROWS, KEYS_CONTENTS, KEYS_DIGEST, KEYS_PIECE.
static inline struct keys_key keys_id(enum keys_table table, struct store_id id)
{
    struct keys_key key;
    key.bytes[0] = (unsigned char)table;
    keys_put_u64(key.bytes + 1, id.time_us);
    key.bytes[9] = (unsigned char)(id.ring >> 8);
    key.bytes[10] = (unsigned char)id.ring;
    keys_put_u32(key.bytes + 11, id.number);
    key.len = KEYS_RECORD_BYTES;
    return key;
}

// Where the keys of `table` from that time on begin.
static inline struct keys_key keys_time(enum keys_table table, uint64_t time_us)
{
    return keys_id(table, (struct store_id){.time_us = time_us});
}

// The first key behind the table.
static inline struct keys_key keys_end(enum keys_table table)
{
    return (struct keys_key){.bytes = {(unsigned char)(table + 1)}, .len = 1};
}

static inline struct keys_key keys_begin(enum keys_table table)
{
    return (struct keys_key){.bytes = {(unsigned char)table}, .len = 1};
}

// `key` is KEYS_RECORD_BYTES long.
static inline struct store_id keys_to_id(struct slice key)
{
    const unsigned char *p = (const unsigned char *)key.ptr;
    return (struct store_id){.time_us = keys_u64(p + 1),
                             .ring = (uint16_t)(p[9] << 8 | p[10]),
                             .number = keys_u32(p + 11)};
}

static inline struct keys_key keys_word(enum store_word dictionary, uint32_t number)
{
    struct keys_key key = {.bytes = {KEYS_WORD, (unsigned char)dictionary}, .len = KEYS_WORD_BYTES};
    keys_put_u32(key.bytes + 2, number);
    return key;
}

static inline struct keys_key keys_counter(uint32_t word, uint64_t window)
{
    struct keys_key key = {.bytes = {KEYS_COUNTER}, .len = KEYS_COUNTER_BYTES};
    keys_put_u32(key.bytes + 1, word);
    keys_put_u64(key.bytes + 5, window);
    return key;
}

static inline struct keys_key keys_segment(unsigned kind, uint32_t number)
{
    struct keys_key key = {.bytes = {KEYS_SEGMENT, (unsigned char)kind}, .len = KEYS_SEGMENT_BYTES};
    keys_put_u32(key.bytes + 2, number);
    return key;
}

static inline struct keys_key keys_position(uint16_t ring)
{
    return (struct keys_key){
        .bytes = {KEYS_POSITION, (unsigned char)(ring >> 8), (unsigned char)ring},
        .len = KEYS_POSITION_BYTES};
}

#endif
