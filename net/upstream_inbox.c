// SPDX-License-Identifier: Apache-2.0
//
// upstream_inbox.c: bytes of a provider that have arrived and nobody has taken.
//
// Plain bytes stay where the kernel put them: the inbox holds loans on ring buffers. TLS records
// are opened into pages as they arrive, so a sealed byte never holds a ring buffer past its
// callback.
//
//     oldest ──► [page]─►[page] ──► [loan][loan] ◄── newest
//                copied or opened    as received
//
// Loans are few. They become pages when there are more than a body part can carry, or when the
// group runs low: then the connections that have held loans longest copy first, so that one slow
// consumer never starves the others of this core.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"

static void lender_update(struct upstream_conn *u)
{
    bool lends = u->inbox.loans > 0;
    if (lends && !list_linked(&u->lender_link))
        list_push_back(&u->side->lenders, &u->lender_link);
    else if (!lends)
        list_remove(&u->lender_link);
}

// A page with room at the end of the inbox.
static struct page *tail(struct upstream_conn *u)
{
    struct inbox *in = &u->inbox;
    ASSERT((in->first == NULL) == (in->last == NULL));
    if (in->last && page_room(in->last) > 0)
        return in->last;
    struct page *page = page_get(&u->side->pages);
    if (!page)
        return NULL;
    if (in->last)
        in->last->next = page;
    else
        in->first = page;
    in->last = page;
    return page;
}

// Copies behind the last page; `bytes` of the inbox do not change.
static int copy_out(struct upstream_conn *u, struct slice s)
{
    while (s.len > 0) {
        struct page *page = tail(u);
        if (!page)
            return ERR_NOMEM;
        size_t n = s.len < page_room(page) ? s.len : page_room(page);
        memcpy(page->data + page->used, s.ptr, n);
        page->used += (uint32_t)n;
        s = slice_skip(s, n);
    }
    return 0;
}

int upstream_inbox__spill(struct upstream_conn *u)
{
    struct inbox *in = &u->inbox;
    int rc = 0;
    for (unsigned i = 0; i < in->loans; i++) {
        if (rc == 0)
            rc = copy_out(u, slice_of(in->loan[i].ptr, in->loan[i].len));
        ring_loan_put(&in->loan[i]);
    }
    in->loans = 0;
    lender_update(u);
    if (rc != 0) { // bytes are lost: the caller ends the answer. Pages stay, a part may use one
        in->bytes = 0;
        for (struct page *page = in->first; page; page = page->next)
            in->bytes += page_bytes(page).len;
    }
    return rc;
}

void upstream_inbox__spill_lenders(struct upstream_core *side)
{
    while (ring_bufs_low(side->core->upstream_bufs) && !list_empty(&side->lenders)) {
        struct upstream_conn *u =
            container_of(side->lenders.next, struct upstream_conn, lender_link);
        if (upstream_inbox__spill(u) != 0) {
            u->err = ERR_NOMEM;
            body_wake(&u->up.body);
        }
    }
}

int upstream_inbox__add_loan(struct upstream_conn *u, struct ring_loan loan)
{
    struct inbox *in = &u->inbox;
    int rc = 0;
    ASSERT(loan.bufs && loan.len > 0);
    if (in->loans > 0) {
        struct ring_loan *last = &in->loan[in->loans - 1];
        if (last->buffer == loan.buffer && last->ptr + last->len == loan.ptr) {
            last->len += loan.len; // one run: one reference is enough
            in->bytes += loan.len;
            ring_loan_put(&loan);
            return 0;
        }
    }
    if (in->loans == BODY_LOANS_MAX)
        rc = upstream_inbox__spill(u);
    if (rc != 0) {
        ring_loan_put(&loan);
        return rc;
    }
    in->loan[in->loans++] = loan;
    in->bytes += loan.len;
    lender_update(u);
    return 0;
}

// A silent stream holds no page.
static void drop_empty(struct upstream_conn *u)
{
    struct inbox *in = &u->inbox;
    if (in->bytes > 0)
        return;
    page_put_all(&u->side->pages, in->first);
    in->first = NULL;
    in->last = NULL;
}

int upstream_inbox__add_opened(struct upstream_conn *u)
{
    struct inbox *in = &u->inbox;
    ptrdiff_t n = 1;
    while (n > 0) {
        struct page *page = tail(u);
        if (!page) {
            n = ERR_NOMEM;
            break;
        }
        n = tls_read(u->tls, page->data + page->used, page_room(page));
        if (n > 0) {
            page->used += (uint32_t)n;
            in->bytes += (size_t)n;
        }
    }
    drop_empty(u);
    if (n == 0) {
        u->eof = true;
        u->notified = true;
    }
    return n == ERR_MORE ? 0 : (int)n;
}

struct slice upstream_inbox__front(const struct upstream_conn *u)
{
    const struct inbox *in = &u->inbox;
    if (in->bytes == 0)
        return SLICE_EMPTY;
    if (in->first)
        return page_bytes(in->first);
    return slice_of(in->loan[0].ptr, in->loan[0].len);
}

static struct page *pop_page(struct inbox *in)
{
    struct page *page = in->first;
    in->first = page->next;
    if (!in->first)
        in->last = NULL;
    page->next = NULL;
    return page;
}

static struct ring_loan pop_loan(struct upstream_conn *u)
{
    struct inbox *in = &u->inbox;
    struct ring_loan loan = in->loan[0];
    in->loans--;
    memmove(in->loan, in->loan + 1, in->loans * sizeof(in->loan[0]));
    lender_update(u);
    return loan;
}

// Moves the front forward without giving anything back.
static void advance(struct inbox *in, size_t bytes)
{
    ASSERT(bytes <= in->bytes);
    in->bytes -= bytes;
    if (in->first) {
        in->first->start += (uint32_t)bytes;
        ASSERT(in->first->start <= in->first->used);
    } else if (bytes > 0) {
        ASSERT(bytes <= in->loan[0].len);
        in->loan[0].ptr += bytes;
        in->loan[0].len -= (uint32_t)bytes;
    }
}

void upstream_inbox__skip(struct upstream_conn *u, size_t bytes)
{
    struct inbox *in = &u->inbox;
    advance(in, bytes);
    if (in->first && in->first->start == in->first->used) {
        page_put(&u->side->pages, pop_page(in));
        drop_empty(u);
    } else if (!in->first && in->loans > 0 && in->loan[0].len == 0) {
        struct ring_loan loan = pop_loan(u);
        ring_loan_put(&loan);
    }
}

bool upstream_inbox__is_whole(const struct upstream_conn *u)
{
    const struct inbox *in = &u->inbox;
    struct h1_body framing = u->framing;
    struct slice span;
    const struct page *page = in->first;
    for (unsigned loan = 0; !framing.complete && (page || loan < in->loans);) {
        struct slice run;
        if (page) {
            run = page_bytes(page);
            page = page->next;
        } else {
            run = slice_of(in->loan[loan].ptr, in->loan[loan].len);
            loan++;
        }
        int rc = 0;
        while (rc == 0 && run.len > 0 && !framing.complete)
            rc = h1_body_next(&framing, &run, &span);
        if (rc != 0 && rc != ERR_MORE)
            return true; // no more of it will be understood
    }
    return framing.complete;
}

void upstream_inbox__drop(struct upstream_conn *u)
{
    struct inbox *in = &u->inbox;
    page_put_all(&u->side->pages, in->first);
    in->first = NULL;
    in->last = NULL;
    for (unsigned i = 0; i < in->loans; i++)
        ring_loan_put(&in->loan[i]);
    in->loans = 0;
    in->bytes = 0;
    lender_update(u);
}

// ---- Taking ----------------------------------------------------------------------------------

// Chunks this small are moved down over the framing that was between them: a vector of one entry an
// event costs the kernel (and whoever looks for events) more than moving the event's few bytes.
#define JOIN_BYTES_MAX 1024

// Makes `span` follow the last one in memory when both are of one run and it is small. The run is
// ours to write: its bytes are read once.
static bool join(struct body_part *part, struct slice span, unsigned first)
{
    if (part->count == first || span.len > JOIN_BYTES_MAX)
        return false;
    struct slice *last = &part->span[part->count - 1];
    char *to = (char *)(uintptr_t)last->ptr + last->len;
    ASSERT(to <= span.ptr);
    memmove(to, span.ptr, span.len);
    last->len += span.len;
    return true;
}

// Spans of body bytes in `run`, as far as the part has room. *ret_used is what was read of the run,
// framing included.
static int take_run(struct upstream_conn *u, struct slice run, struct body_part *part,
                    size_t *ret_used)
{
    struct slice rest = run;
    unsigned first = part->count;
    int rc = 0;
    while (rest.len > 0 && part->count < BODY_SPANS_MAX && !u->framing.complete) {
        struct slice span = SLICE_EMPTY;
        rc = h1_body_next(&u->framing, &rest, &span);
        if (rc != 0)
            break;
        if (span.len == 0)
            continue;
        part->bytes += span.len;
        if (!join(part, span, first))
            part->span[part->count++] = span;
    }
    *ret_used = run.len - rest.len;
    return rc == ERR_MORE ? 0 : rc;
}

// The page goes with the part when it is used up; a half-read one stays, and stays valid, because
// only the next part (taken after this one was put) can end it.
static void settle_page(struct upstream_conn *u, struct body_part *part, bool lent)
{
    struct inbox *in = &u->inbox;
    if (in->first->start < in->first->used)
        return;
    struct page *page = pop_page(in);
    if (!lent) {
        page_put(&u->side->pages, page);
        return;
    }
    page->next = part->memory;
    part->memory = page;
    drop_empty(u);
}

static void settle_loan(struct upstream_conn *u, struct body_part *part, struct ring_loan whole,
                        size_t used, bool lent)
{
    struct inbox *in = &u->inbox;
    if (in->loan[0].len > 0) {
        if (lent)
            part->loan[part->loans++] = ring_loan_share(&whole, 0, (uint32_t)used);
        return;
    }
    struct ring_loan loan = pop_loan(u);
    if (lent)
        part->loan[part->loans++] = loan;
    else
        ring_loan_put(&loan);
}

int upstream_inbox__take(struct upstream_conn *u, struct body_part *part)
{
    struct inbox *in = &u->inbox;
    int rc = 0;
    while (rc == 0 && in->bytes > 0 && part->count < BODY_SPANS_MAX && !u->framing.complete) {
        struct slice run = upstream_inbox__front(u);
        unsigned before = part->count;
        size_t used = 0;
        bool is_page = in->first != NULL;
        ASSERT(run.len > 0 && part->loans < BODY_LOANS_MAX);
        rc = take_run(u, run, part, &used);
        struct ring_loan whole = is_page ? (struct ring_loan){0} : in->loan[0];
        advance(in, used);
        if (is_page)
            settle_page(u, part, part->count > before);
        else
            settle_loan(u, part, whole, used, part->count > before);
        if (used == 0)
            break;
    }
    return rc;
}
