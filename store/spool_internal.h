// SPDX-License-Identifier: Apache-2.0
//
// spool_internal.h: the head of a spool's file, between spool.c and spool_file.c.
#ifndef RINGGATE_STORE_SPOOL_INTERNAL_H
#define RINGGATE_STORE_SPOOL_INTERNAL_H

#include <stdatomic.h>
#include <stdint.h>

#define SPOOL_MAGIC "rgspool1"

// At the offsets that spool.h names.
struct spool_header {
    char magic[8];
    uint64_t bytes;
    uint64_t identity;
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint32_t number;
    _Alignas(64) _Atomic uint64_t tail;
    _Atomic uint32_t losses;
};
_Static_assert(sizeof(struct spool_header) == 192, "as spool.h draws it");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock in shared memory could be left taken");

#endif
