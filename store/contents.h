// SPDX-License-Identifier: Apache-2.0
//
// contents.h: what a record was asked and what it answered, whole again.
//
// A request in the shared form (share.h) is put together from its own literals and those of the
// records it refers to. What they have is looked for as any content is; where it is gone, by damage
// or by retention, the whole content counts as gone: half of what was asked would be told as all.
//
// On a worker, with db_lock held for reading.
#ifndef RINGGATE_STORE_CONTENTS_H
#define RINGGATE_STORE_CONTENTS_H

#include "store/find.h"
#include "store/record.h"

struct contents {
    struct finder own, others;
    struct buf request;
};

// A content as it was put.
struct content {
    struct slice request, answer;
    unsigned flags; // RECORD_CUT and RECORD_FOLDED of them
};

// Sees the database as it is now. ERR_NOMEM; done in any case.
int contents_init(struct contents *c, struct store *s);
void contents_done(struct contents *c);
// Until the next call. ERR_NOT_FOUND; ERR_BAD_LENGTH: it, or what it refers to, cannot be read;
// ERR_SYSTEM, ERR_NOMEM.
int contents_get(struct contents *c, struct store_id id, struct content *ret);

#endif
