// SPDX-License-Identifier: Apache-2.0
//
// pack.h: content of records, packed before it meets the engine.
//
// The engine writes a value twice (its log, its files) and copies it on the way; compressing it
// only for the files would carry it whole until then. One block of LZ4 for a record's request and
// answer; record.h draws the value. What would not get shorter stays as it is.
#ifndef RINGGATE_STORE_PACK_H
#define RINGGATE_STORE_PACK_H

#include "base/buf.h"
#include "store/record.h"

// One thread's.
struct packer;
struct packer *packer_new(void);    // NULL without memory
void packer_free(struct packer *p); // NULL is fine

// The value of a record's content, in parts that are the packer's, until the next, or the record's.
void pack_content(struct packer *p, const struct record_view *view, struct slice ret_parts[2]);

// A packed value becomes one that is not; any other stays. 0, ERR_BAD_LENGTH, ERR_NOMEM, ERR_LIMIT.
// Any thread.
int unpack_content(struct buf *value);

#endif
