// SPDX-License-Identifier: Apache-2.0
//
// unpack.c: inflating in turns.
//
// A turn ends after TURN_BYTES of text or TURN_NS, whichever comes first: what inflates to nothing
// costs time too (blocks that only bring tables). Between looks at the clock lies one unit, a few
// kilobytes in and out. A coding that cannot be cut so finely (row->slow) has its turns on a
// worker.
//
//   ┌──────┐ turn: all is taken, the coding at its end    ┌───────┐
//   │ turn │ ───────────────────────────────────────────► │ whole │
//   └──────┘                                              └───────┘
//    │ ▲  ▲ the loop turns
//    │ │  └──── block full: a larger one, copied in steps
//    │ └─────── more to do
//    └─► malformed, ended early, larger than a body may be, too much in flight
#include "gateway/unpack.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "gateway/error.h"
#include "ring/work.h"

#define TURN_BYTES ((size_t)256 * 1024)
#define TURN_NS    (500 * 1000)
// A worker's turn: others wait for the thread.
#define WORKER_TURN_NS (20 * NS_PER_MS)
#define UNIT_IN_BYTES  ((size_t)4 * 1024)
#define UNIT_OUT_BYTES ((size_t)32 * 1024)
// Copied in one go, into pages that nobody has touched yet.
#define COPY_BYTES ((size_t)512 * 1024)
// The first block: text shrinks to a quarter or so. Untouched pages cost nothing.
#define FIRST_FACTOR    4
#define FIRST_BYTES_MIN ((size_t)16 * 1024)

struct unpack {
    struct coding *coding;
    struct slice in; // what is left of it
    char *out;
    size_t len, cap;
    bool slow;
    int64_t turn_ns;
    int err; // of the turn; ERR_MORE: it is not over
};

static int refuse(struct failure *ret, int err, struct slice text)
{
    failure_of(ret, err, text.ptr ? text : SLICE_EMPTY, SLICE_EMPTY);
    return err;
}

// ---- The field -------------------------------------------------------------------------------

static int refuse_coding(struct exchange *x, struct failure *ret, struct slice name)
{
    struct slice text =
        arena_printf(&x->stream->arena,
                     "content-encoding `%.*s` of the request is not served: gzip, deflate, br and "
                     "zstd are",
                     SLICE_ARG(slice_take(name, 64)));
    failure_of(ret, ERR_UNSUPPORTED, text.ptr ? text : SLICE_EMPTY, SLICE("content-encoding"));
    ret->status = 415;
    return ERR_UNSUPPORTED;
}

static int add_coding(struct exchange *x, struct codings *c, struct slice name, struct failure *ret)
{
    if (name.len == 0 || slice_ieq(name, SLICE("identity")))
        return 0;
    const struct coding_row *row = coding_find(name);
    if (!row)
        return refuse_coding(x, ret, name);
    if (c->count == CODINGS_MAX) {
        failure_of(ret, ERR_UNSUPPORTED,
                   SLICE("content-encoding names more codings than are served"),
                   SLICE("content-encoding"));
        ret->status = 415;
        return ERR_UNSUPPORTED;
    }
    c->row[c->count++] = row;
    return 0;
}

int unpack_codings(struct exchange *x, struct codings *ret_codings, struct failure *failure)
{
    const struct http_head *h = &x->stream->request;
    int rc = 0;
    *ret_codings = (struct codings){.count = 0};
    for (unsigned i = 0; i < h->count && rc == 0; i++) {
        struct slice list = h->fields[i].value;
        // A field given twice is one list (RFC 9110, 5.3).
        while (h->fields[i].id == HTTP_N_CONTENT_ENCODING && list.len > 0 && rc == 0) {
            ptrdiff_t comma = slice_find_char(list, ',');
            struct slice name = slice_take(list, comma < 0 ? list.len : (size_t)comma);
            list = slice_skip(list, comma < 0 ? list.len : name.len + 1);
            rc = add_coding(x, ret_codings, slice_trim(name), failure);
        }
    }
    return rc;
}

// ---- Turns -----------------------------------------------------------------------------------

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// 0: the text is whole. ERR_MORE: it is not.
static int unit(struct unpack *u)
{
    struct slice in = slice_take(u->in, least(u->in.len, UNIT_IN_BYTES));
    size_t given = in.len, room = least(u->cap - u->len, UNIT_OUT_BYTES), n = 0;
    int rc = coding_step(u->coding, &in, u->out + u->len, room, &n);
    if (rc)
        return rc;
    u->in = slice_skip(u->in, given - in.len);
    u->len += n;
    if (u->in.len > 0 || n == room)
        return ERR_MORE;
    return coding_is_whole(u->coding) ? 0 : ERR_CLIENT_TRUNCATED;
}

static void turn(void *unpack)
{
    struct unpack *u = unpack;
    struct mono until = {.ns = clock_mono().ns + u->turn_ns};
    size_t stop = least(u->cap, u->len + TURN_BYTES);
    ASSERT(u->len < u->cap);
    do
        u->err = unit(u);
    while (u->err == ERR_MORE && u->len < stop && mono_before(clock_mono(), until));
}

// One tick of the wheel: the loop turns.
static int next_turn_await(struct exchange *x, struct fiber *self)
{
    struct mono soon = {.ns = ring_now(x->core->net.ring).ns + 1};
    return fiber_sleep_await(self, soon);
}

static int turn_await(struct exchange *x, struct fiber *self, struct unpack *u)
{
    size_t before = u->len;
    int rc = 0;
    u->turn_ns = u->slow ? WORKER_TURN_NS : TURN_NS;
    if (u->slow)
        rc = work_await(x->core->gateway->work, self, turn, u);
    else
        turn(u);
    // Also when the client left meanwhile: what is there is counted until it is dropped.
    int counted = http_count_body(x->stream, u->len - before);
    return rc ? rc : counted;
}

// ---- Blocks ----------------------------------------------------------------------------------

static void drop(struct exchange *x, struct unpack *u)
{
    arena_drop_large(&x->stream->early, u->out);
    http_uncount_body(x->stream, u->len);
    u->out = NULL;
    u->len = 0;
}

// A block of twice the size. The last one is reached from half of it at most, so that the two hold
// half as much again as there may be, not twice.
static int grow_await(struct exchange *x, struct fiber *self, struct unpack *u, size_t cap_max)
{
    size_t cap = u->cap <= cap_max / 4 ? u->cap * 2 : cap_max;
    char *larger = arena_large(&x->stream->early, cap);
    int rc = larger ? 0 : ERR_NOMEM;
    for (size_t at = 0; rc == 0 && at < u->len; at += COPY_BYTES) {
        if (at > 0)
            rc = next_turn_await(x, self);
        memcpy(larger + at, u->out + at, least(u->len - at, COPY_BYTES));
    }
    if (!larger)
        return rc;
    arena_drop_large(&x->stream->early, u->out);
    u->out = larger;
    u->cap = cap;
    return rc;
}

// Takes one coding off.
static int layer_await(struct exchange *x, struct fiber *self, const struct coding_row *row,
                       struct unpack *u)
{
    // One byte more than there may be tells too much from just enough.
    size_t max = x->config->body_bytes_max, cap_max = max + 1;
    size_t first = least(u->in.len, cap_max) * FIRST_FACTOR;
    u->cap = first > FIRST_BYTES_MIN ? first : FIRST_BYTES_MIN;
    if (u->cap > cap_max / 2)
        u->cap = cap_max;
    u->out = arena_large(&x->stream->early, u->cap);
    int rc = u->out ? coding_new(&x->stream->early, row, &u->coding) : ERR_NOMEM;
    while (rc == 0) {
        rc = turn_await(x, self, u);
        if (rc == 0 && u->len > max)
            rc = ERR_BODY_TOO_LARGE;
        if (rc || u->err != ERR_MORE)
            break;
        if (u->len == u->cap)
            rc = grow_await(x, self, u, cap_max);
        if (rc == 0)
            rc = next_turn_await(x, self);
    }
    return rc ? rc : u->err;
}

// ---- All of it -------------------------------------------------------------------------------

// The name is the client's own, so it is quoted in its table's spelling.
static int refuse_data(struct exchange *x, const struct coding_row *row, const struct unpack *u,
                       int err, struct failure *ret)
{
    const char *what = err == ERR_CLIENT_TRUNCATED  ? "data ends early"
                       : coding_is_whole(u->coding) ? "data has bytes behind its end"
                                                    : "data is malformed";
    struct slice text = arena_printf(&x->stream->arena, "invalid compressed request body: %.*s %s",
                                     SLICE_ARG(row->name), what);
    return refuse(ret, ERR_BAD_PACKED, text);
}

int unpack_await(struct exchange *x, struct fiber *self, const struct codings *codings,
                 struct failure *failure)
{
    struct slice body = x->body;
    struct unpack before = {.out = NULL};
    int rc = 0;
    for (unsigned i = codings->count; i-- > 0 && rc == 0 && body.len > 0;) {
        const struct coding_row *row = codings->row[i];
        struct unpack u = {.in = body, .slow = row->slow};
        rc = layer_await(x, self, row, &u);
        if (rc == ERR_BAD_PACKED || rc == ERR_CLIENT_TRUNCATED)
            rc = refuse_data(x, row, &u, rc, failure);
        else if (rc)
            (void)refuse(failure, rc, SLICE_EMPTY);
        coding_free(u.coding);
        if (before.out)
            drop(x, &before);
        else
            http_release_body(x->stream, body);
        before = u;
        body = slice_of(u.out, u.len);
    }
    if (rc && before.out)
        drop(x, &before);
    x->body = rc ? SLICE_EMPTY : body;
    return rc;
}
