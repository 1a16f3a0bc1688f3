// SPDX-License-Identifier: Apache-2.0
//
// contents.c: references lead to other contents' literals, one step and no further.
#include "store/contents.h"

#include "base/err.h"

int contents_init(struct contents *c, struct store *s)
{
    *c = (struct contents){.own = {.it = NULL}};
    buf_init(&c->request, STORE_CONTENT_BYTES_MAX);
    int err = finder_init(&c->own, s, SEGMENT_CONTENT);
    return err ? err : finder_init(&c->others, s, SEGMENT_CONTENT);
}

void contents_done(struct contents *c)
{
    finder_done(&c->own);
    finder_done(&c->others);
    buf_done(&c->request);
}

// share_fn.
static int add_literals(void *arg, struct store_id id, uint32_t offset, uint32_t len,
                        struct buf *out)
{
    struct contents *c = arg;
    struct slice value, request, answer, literals;
    unsigned flags;

    int err = finder_get(&c->others, id, &value);
    if (err == ERR_NOT_FOUND)
        return ERR_BAD_LENGTH;
    if (!err)
        err = record_content_read(value, &request, &answer, &flags);
    if (!err && !(flags & RECORD_SHARED))
        err = ERR_BAD_LENGTH;
    if (!err)
        err = share_literals(request, &literals);
    if (!err && (offset > literals.len || len > literals.len - offset))
        err = ERR_BAD_LENGTH;
    if (err)
        return err;
    buf_add(out, slice_take(slice_skip(literals, offset), len));
    return out->err;
}

int contents_get(struct contents *c, struct store_id id, struct content *ret)
{
    struct slice value;
    struct content content;

    int err = finder_get(&c->own, id, &value);
    if (!err)
        err = record_content_read(value, &content.request, &content.answer, &content.flags);
    if (!err && content.flags & RECORD_SHARED) {
        buf_reset(&c->request);
        err = share_read(content.request, add_literals, c, &c->request);
        content.request = buf_slice(&c->request);
    }
    content.flags &= RECORD_CUT | RECORD_FOLDED;
    if (!err)
        *ret = content;
    return err;
}
