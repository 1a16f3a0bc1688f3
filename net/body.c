// SPDX-License-Identifier: Apache-2.0
//
// body.c: the one loop around a source's take.
//
// A source never parks and never knows who reads; the reader parks here and nowhere else. Bytes
// that are there are taken before an interruption is looked at, so a fiber that was cancelled sees
// it at its next park and never loses what it already has.
#include "net/body.h"

#include "base/assert.h"
#include "base/err.h"
#include "ring/fiber.h"

int body_take(struct body *b, struct body_part *ret)
{
    ASSERT(b->ops != NULL);
    ASSERT(b->reader == NULL); // one reader a body
    ret->count = 0;
    ret->bytes = 0;
    ret->last = false;
    ret->loans = 0;
    ret->memory = NULL;
    return b->ops->take(b, ret);
}

int body_wait_await(struct body *b, struct fiber *self)
{
    ASSERT(b->reader == NULL);
    b->reader = self;
    int rc = fiber_park_await(self);
    b->reader = NULL;
    return rc;
}

int body_pull_await(struct body *b, struct fiber *self, struct body_part *ret)
{
    for (;;) {
        int rc = body_take(b, ret);
        if (rc != ERR_MORE)
            return rc;
        rc = body_wait_await(b, self);
        if (rc)
            return rc;
    }
}

void body_put(struct body *b, struct body_part *part)
{
    ASSERT(b->ops != NULL);
    b->ops->put(b, part);
    part->count = 0;
    part->bytes = 0;
    part->loans = 0;
    part->memory = NULL;
}

void body_wake(struct body *b)
{
    if (b->reader)
        fiber_wake(b->reader);
}
