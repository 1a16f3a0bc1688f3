// SPDX-License-Identifier: Apache-2.0
//
// keys.h: the keys of both databases, byte by byte.
//
// A key begins with the byte of its table, so a table is one range. Numbers are big-endian: keys
// sort as their numbers do. A key that begins with a time makes retention the deletion of one range
// per table, from the table's first key to the first that is young enough. The byte of a table is
// never used for anything else again.
//
// config
//
//   KEYS_FORMAT   the version of what this page says; a newer one is not opened
//     offset 0   1  00
//     00
//
//   KEYS_ROW      one row of a kind (enum store_kind); its value is JSON
//     offset 0   1  01
//            1   1  kind
//            2   …  id, 1 to KEYS_ID_BYTES_MAX bytes of UTF-8
//     virtual key "vk-1":
//     01 04 76 6b 2d 31
//
// logs
//
//   KEYS_FORMAT   as above
//
//   KEYS_RECORD   the log row that the API tells; its value is JSON
//   KEYS_CONTENT  what it was asked and what it answered; large, kept apart from small values
//     offset 0   1  10, 11
//            1   8  when the exchange ended, in microseconds since 1970
//            9   2  the ring it came through
//           11   4  its number there, wraps
//     2023-11-14 22:13:20.123456 UTC, ring 3, number 70,000:
//     10 00 06 0a 24 18 20 22 40 00 03 00 01 11 70
//     11 00 06 0a 24 18 20 22 40 00 03 00 01 11 70
//     (bytes 1 to 14 in hexadecimal are the record's id: 00060a2418202240000300011170)
//
//   KEYS_DIGEST   up to STORE_DIGEST_ROWS rows packed by column; the newest is written again with
//                 each batch until it is full
//     offset 0   1  12
//            1   8  the time of its first row, in microseconds since 1970
//            9   4  number of the digest, so that two of one microsecond differ
//     the same time, digest 42:
//     12 00 06 0a 24 18 20 22 40 00 00 00 2a
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
//   KEYS_POSITION how far a ring has been drained; its value is the position, eight bytes,
//                 big-endian. Written in the batch that holds the records up to it.
//     offset 0   1  15
//            1   2  ring
//     ring 3:
//     15 00 03
//
// Of this nothing is read or written by code yet: see the end of store.h's essay.
#ifndef RINGGATE_STORE_KEYS_H
#define RINGGATE_STORE_KEYS_H

enum keys_table {
    KEYS_FORMAT = 0x00,
    KEYS_ROW = 0x01,
    KEYS_RECORD = 0x10,
    KEYS_CONTENT = 0x11,
    KEYS_DIGEST = 0x12,
    KEYS_WORD = 0x13,
    KEYS_COUNTER = 0x14,
    KEYS_POSITION = 0x15
};

// An id comes from outside; a key of megabytes must not. ERR_LIMIT.
#define KEYS_ID_BYTES_MAX 255

#define KEYS_ROW_BYTES_MAX  (2 + KEYS_ID_BYTES_MAX)
#define KEYS_RECORD_BYTES   15 // and of KEYS_CONTENT
#define KEYS_DIGEST_BYTES   13
#define KEYS_WORD_BYTES     6
#define KEYS_COUNTER_BYTES  13
#define KEYS_POSITION_BYTES 3

#endif
