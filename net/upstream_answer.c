// SPDX-License-Identifier: Apache-2.0
//
// upstream_answer.c: head and body of a provider's answer.
//
// The head is parsed on the loop as soon as it is complete. Nearly always it arrives in one run and
// is copied once, into the exchange's arena; a head that arrives in pieces is gathered in a block
// of the arena that grows up to LIMIT_ANSWER_HEAD_BYTES. 1xx heads are skipped, a few of them.
//
// The body is a source for body.h: `take` moves what has arrived into a part, in as few parts as
// spans and loans allow, and says `last` with the last byte.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_internal.h"

// A provider that sends 100, 102 or 103 for ever.
#define INTERIM_MAX 8
// First size of a gathered head; then four times as much.
#define GATHER_BYTES 4096

// ---- Head ------------------------------------------------------------------------------------

static int head_error(int rc)
{
    if (rc == ERR_NOMEM)
        return ERR_NOMEM;
    return rc == ERR_HEAD_TOO_LARGE ? ERR_UPSTREAM_TOO_LARGE : ERR_UPSTREAM_PROTOCOL;
}

// `bytes` is a whole head in the arena.
static int head_read(struct upstream_conn *u, struct slice bytes)
{
    struct http_head *head = &u->up.head;
    int rc = h1_parse_answer(bytes, u->arena, head);
    if (rc != 0)
        return head_error(rc);
    if (head->status == 101 && u->upgrade) {
        h1_body_init(&u->framing, H1_UNTIL_CLOSE, 0);
        u->head_done = true;
        return 0;
    }
    if (head->status < 200) {
        if (head->status == 101 || ++u->interim > INTERIM_MAX)
            return ERR_UPSTREAM_PROTOCOL;
        *head = (struct http_head){0};
        u->head_len = 0;
        u->head_resume = 0;
        return 0;
    }
    uint64_t length = head->content_length > 0 ? (uint64_t)head->content_length : 0;
    h1_body_init(&u->framing, h1_answer_framing(head, u->method), length);
    u->head_done = true;
    return 0;
}

static int head_grow(struct upstream_conn *u, size_t need)
{
    size_t cap = u->head_cap ? u->head_cap : GATHER_BYTES;
    while (cap < need)
        cap *= 4;
    if (cap > LIMIT_ANSWER_HEAD_BYTES + 1)
        cap = LIMIT_ANSWER_HEAD_BYTES + 1;
    ASSERT(cap >= need);
    if (cap == u->head_cap)
        return 0;
    char *block = arena_large(u->arena, cap);
    if (!block)
        return ERR_NOMEM;
    if (u->head_len > 0)
        memcpy(block, u->head, u->head_len);
    if (u->head)
        arena_drop_large(u->arena, u->head);
    u->head = block;
    u->head_cap = cap;
    return 0;
}

// The head is in pieces: adds `run` to what was gathered, and looks again.
static int head_gather(struct upstream_conn *u, struct slice run)
{
    size_t before = u->head_len;
    struct slice more = slice_take(run, LIMIT_ANSWER_HEAD_BYTES + 1 - before);
    if (more.len == 0)
        return ERR_UPSTREAM_TOO_LARGE;
    int rc = head_grow(u, before + more.len);
    if (rc != 0)
        return rc;
    memcpy(u->head + before, more.ptr, more.len);
    u->head_len += more.len;
    ptrdiff_t end =
        h1_head_end(slice_of(u->head, u->head_len), LIMIT_ANSWER_HEAD_BYTES, &u->head_resume);
    if (end == ERR_MORE) {
        upstream_inbox__skip(u, more.len);
        return 0;
    }
    if (end < 0)
        return head_error((int)end);
    ASSERT((size_t)end > before);
    upstream_inbox__skip(u, (size_t)end - before);
    struct slice whole = slice_of(u->head, (size_t)end);
    u->head = NULL; // stays with the arena: the fields point into it
    u->head_cap = 0;
    return head_read(u, whole);
}

static int head_step(struct upstream_conn *u, struct slice run)
{
    if (u->head_len > 0)
        return head_gather(u, run);
    ptrdiff_t end = h1_head_end(run, LIMIT_ANSWER_HEAD_BYTES, &u->head_resume);
    if (end == ERR_MORE) {
        u->head_resume = 0;
        return head_gather(u, run);
    }
    if (end < 0)
        return head_error((int)end);
    struct slice whole = arena_copy(u->arena, slice_take(run, (size_t)end));
    if (!whole.ptr)
        return ERR_NOMEM;
    upstream_inbox__skip(u, (size_t)end);
    return head_read(u, whole);
}

void upstream_answer__progress(struct upstream_conn *u)
{
    ASSERT(u->state == UPSTREAM_SEND || u->state == UPSTREAM_WAITING);
    while (!u->head_done && u->err == 0 && u->inbox.bytes > 0) {
        u->answered = true;
        u->err = head_step(u, upstream_inbox__front(u));
    }
}

// ---- Body ------------------------------------------------------------------------------------

// How the body ended when no more bytes can come and its framing is not complete.
static int ending(const struct upstream_conn *u)
{
    if (u->framing.framing != H1_UNTIL_CLOSE || u->broken)
        return ERR_UPSTREAM_TRUNCATED;
    return u->tls && !u->notified ? ERR_UPSTREAM_TRUNCATED : 0;
}

static bool ended(const struct upstream_conn *u)
{
    return u->inbox.bytes == 0 && (u->eof || u->broken);
}

// The same for a length that has been taken to its last byte.
static bool complete(const struct upstream_conn *u)
{
    return u->framing.complete || (u->framing.framing == H1_LENGTH && u->framing.left == 0) ||
           u->framing.framing == H1_NO_BODY;
}

static void part_init(struct body_part *part)
{
    part->count = 0;
    part->bytes = 0;
    part->last = false;
    part->loans = 0;
    part->memory = NULL;
}

static int take(struct body *b, struct body_part *ret)
{
    struct upstream_conn *u = container_of(b, struct upstream_conn, up.body);
    int rc = 0;
    ASSERT(u->state == UPSTREAM_BODY && !u->part_out);
    part_init(ret);
    if (u->err == 0 && u->inbox.loans > 0 && ring_bufs_low(u->side->core->upstream_bufs))
        u->err = upstream_inbox__spill(u);
    if (u->err == 0) {
        rc = upstream_inbox__take(u, ret);
        if (rc != 0)
            u->err = ERR_UPSTREAM_PROTOCOL;
    }
    if (u->err == 0 && !complete(u) && ended(u))
        u->err = ending(u);
    ret->last = u->err == 0 && (complete(u) || ended(u));
    if (ret->count == 0 && !ret->last)
        return u->err != 0 ? u->err : ERR_MORE;
    u->part_out = true;
    u->part_bytes = ret->bytes;
    return 0;
}

static void put(struct body *b, struct body_part *part)
{
    struct upstream_conn *u = container_of(b, struct upstream_conn, up.body);
    for (unsigned i = 0; i < part->loans; i++)
        ring_loan_put(&part->loan[i]);
    page_put_all(&u->side->pages, part->memory);
    u->part_out = false;
    u->part_bytes = 0;
    upstream_conn__credit(u);
}

const struct body_ops upstream_body_ops = {.take = take, .put = put};

bool upstream_answer__drain(struct upstream_conn *u)
{
    ASSERT(!u->part_out);
    while (u->err == 0 && !complete(u) && u->inbox.bytes > 0) {
        struct slice rest = upstream_inbox__front(u), span = SLICE_EMPTY;
        size_t before = rest.len;
        int rc = h1_body_next(&u->framing, &rest, &span);
        if (rc != 0 && rc != ERR_MORE)
            u->err = ERR_UPSTREAM_PROTOCOL;
        upstream_inbox__skip(u, before - rest.len);
    }
    return u->err == 0 && complete(u);
}
