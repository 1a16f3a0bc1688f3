// SPDX-License-Identifier: Apache-2.0
//
// event_filter.c: the judgement on one event; relay_stream.c calls it for each.
//
// Where nothing is spliced, runs of events that only pass are taken whole and never judged singly.
// Else the common event costs the dialect's two searches and one more for `extra_fields`; it is
// spliced by finding its last brace. Only an event with usage, with `extra_fields` of its own or
// with data on several lines is walked as JSON.

#include "gateway/event_filter.h"
#include "base/assert.h"
#include "base/err.h"
#include "gateway/raw.h"
#include "gateway/splice.h"

// The most slices one event can take: an edited text and what is around it.
#define EVENT_SLICES_MAX (JSON_PIECES_MAX + 2)
// Digits of two numbers and `,"chunk_index":` and a brace.
#define TAIL_BYTES_MAX 64

_Static_assert(EVENT_SLICES_MAX < GATHER_SLICES, "an event must fit an empty gather");

void gather_reset(struct gather *g)
{
    g->count = 0;
    g->bytes = 0;
    g->used = 0;
}

void gather_add(struct gather *g, struct slice s)
{
    if (s.len == 0)
        return;
    g->bytes += s.len;
    struct slice *last = g->count > 0 ? &g->slice[g->count - 1] : NULL;
    if (last && last->ptr + last->len == s.ptr) {
        last->len += s.len;
        return;
    }
    ASSERT(g->count < GATHER_SLICES);
    g->slice[g->count++] = s;
}

static bool lies_in(struct slice part, struct slice whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

static struct slice moved(struct slice s, struct slice from, const char *to)
{
    return lies_in(s, from) ? slice_of(to + (s.ptr - from.ptr), s.len) : s;
}

// Brings an event out of the splitter's carry into the scratch. False: it does not fit.
static bool settle_in_scratch(struct gather *g, struct sse_event *e)
{
    if (e->raw.len > GATHER_SCRATCH - TAIL_BYTES_MAX - g->used)
        return false;
    char *to = g->scratch + g->used;
    struct slice from = e->raw;
    memcpy(to, from.ptr, from.len);
    g->used += from.len;
    e->raw.ptr = to;
    e->type = moved(e->type, from, to);
    e->data = moved(e->data, from, to);
    return true;
}

// `12,"chunk_index":3}` in the scratch.
static struct slice write_tail(struct event_filter *f, struct gather *g, int64_t latency_ms)
{
    static const char middle[] = ",\"chunk_index\":";
    char *start = g->scratch + g->used;
    char *p = start;

    ASSERT(g->used + TAIL_BYTES_MAX <= GATHER_SCRATCH);
    p += fmt_u64(p, latency_ms > 0 ? (uint64_t)latency_ms : 0);
    memcpy(p, middle, sizeof(middle) - 1);
    p += sizeof(middle) - 1;
    p += fmt_u64(p, f->index);
    *p++ = '}';
    g->used += (size_t)(p - start);
    return slice_of(start, (size_t)(p - start));
}

// ---- The common event: no usage, no extra_fields of its own, one data line --------------------

static void splice_plain(struct event_filter *f, struct gather *g, const struct sse_event *e,
                         int64_t latency_ms, struct slice raw)
{
    const char *end = e->raw.ptr + e->raw.len;
    const char *brace = e->data.ptr + e->data.len - 1;

    while (*brace != '}') // begin_event saw it: only white space is behind it
        brace--;
    const char *before = brace - 1;
    while (before > e->data.ptr && (unsigned char)*before <= ' ')
        before--;
    gather_add(g, slice_of(e->raw.ptr, (size_t)(brace - e->raw.ptr)));
    if (*before != '{')
        gather_add(g, SLICE(","));
    gather_add(g, f->prefix);
    struct slice tail = write_tail(f, g, latency_ms);
    gather_add(g, slice_take(tail, tail.len - 1));
    gather_add(g, raw);
    gather_add(g, slice_skip(tail, tail.len - 1));
    gather_add(g, slice_of(brace, (size_t)(end - brace)));
}

// ---- The rare event, edited inside --------------------------------------------------------------

// The data of several lines as one: between JSON's tokens a line end is a space.
static struct slice one_line(struct arena *arena, struct slice data)
{
    struct slice copy = arena_copy(arena, data);
    for (size_t i = 0; copy.ptr && i < copy.len; i++)
        if (copy.ptr[i] == '\n' || copy.ptr[i] == '\r')
            ((char *)(uintptr_t)copy.ptr)[i] = ' ';
    return copy;
}

// Around data that lies in raw: what stands before and after it there. Else: lines made anew.
static bool frame(struct event_filter *f, const struct sse_event *e, struct slice *data,
                  struct slice *before, struct slice *after)
{
    if (lies_in(e->data, e->raw)) {
        const char *end = e->data.ptr + e->data.len;
        *before = slice_of(e->raw.ptr, (size_t)(e->data.ptr - e->raw.ptr));
        *after = slice_of(end, (size_t)(e->raw.ptr + e->raw.len - end));
        return true;
    }
    *data = one_line(f->arena, e->data);
    *before = e->type.len == 0 ? SLICE("data: ")
                               : arena_printf(f->arena, "event: %.*s\ndata: ", SLICE_ARG(e->type));
    *after = SLICE("\n\n");
    return data->ptr && before->ptr;
}

static enum event_verdict splice_edited(struct event_filter *f, struct gather *g,
                                        const struct sse_event *e, int64_t latency_ms,
                                        struct slice raw)
{
    struct iovec piece[JSON_PIECES_MAX];
    struct slice data = e->data, before, after;
    unsigned count;
    size_t bytes;

    if (!frame(f, e, &data, &before, &after))
        return EVENT_NOMEM;
    struct slice tail = write_tail(f, g, latency_ms);
    tail.len--; // its brace
    struct slice member = arena_printf(f->arena, "%.*s%.*s%.*s}", SLICE_ARG(f->prefix),
                                       SLICE_ARG(tail), SLICE_ARG(raw));
    if (!member.ptr)
        return EVENT_NOMEM;
    int rc = splice_object(f->arena, data, member, piece, &count, &bytes);
    if (rc == ERR_NOMEM)
        return EVENT_NOMEM;
    if (rc) {
        gather_add(g, e->raw); // no object after all
        return EVENT_PASSED;
    }
    gather_add(g, before);
    for (unsigned i = 0; i < count; i++)
        gather_add(g, slice_of(piece[i].iov_base, piece[i].iov_len));
    gather_add(g, after);
    return EVENT_PASSED;
}

static bool contains(struct slice s, struct slice word)
{
    return memmem(s.ptr, s.len, word.ptr, word.len) != NULL;
}

// What is shown of the attempt in this event.
static struct slice shown(struct event_filter *f, const struct sse_event *e,
                          const struct dialect_event *d)
{
    const struct sse_event *source = f->source ? f->source : e;
    struct slice request = SLICE_EMPTY;

    if (d->usage.known || d->kind == DIALECT_EVENT_END) {
        request = f->raw_request;
        f->raw_request = SLICE_EMPTY; // once
    }
    return raw_members(f->arena, request, f->raw_response ? source->data : SLICE_EMPTY, true);
}

static enum event_verdict splice(struct event_filter *f, struct gather *g,
                                 const struct sse_event *e, const struct dialect_event *d,
                                 int64_t latency_ms)
{
    enum event_verdict verdict = EVENT_PASSED;
    struct slice raw = SLICE("");

    if (f->raw_response || f->raw_request.len > 0)
        raw = shown(f, e, d);
    if (!raw.ptr)
        return EVENT_NOMEM;
    if (d->usage.known || !lies_in(e->data, e->raw) || contains(e->data, SLICE("\"extra_fields\"")))
        verdict = splice_edited(f, g, e, latency_ms, raw);
    else
        splice_plain(f, g, e, latency_ms, raw);
    f->index++;
    return verdict;
}

// ---- In front of the first event --------------------------------------------------------------

static enum event_verdict keep(struct event_filter *f, struct slice comment)
{
    if (!f->kept)
        f->kept = arena_alloc(f->arena, COMMENTS_KEPT_BYTES);
    if (!f->kept)
        return EVENT_NOMEM;
    f->withheld = comment.len > COMMENTS_KEPT_BYTES - f->kept_bytes;
    if (!f->withheld) {
        memcpy(f->kept + f->kept_bytes, comment.ptr, comment.len);
        f->kept_bytes += comment.len;
    }
    return EVENT_KEPT;
}

static void add_kept(struct event_filter *f, struct gather *g)
{
    gather_add(g, slice_of(f->kept, f->kept_bytes));
    f->kept = NULL; // goes with the arena when the gather has been sent
    f->kept_bytes = 0;
}

// ---- The verdict -----------------------------------------------------------------------------

enum event_verdict event_filter_add(struct event_filter *f, struct gather *g,
                                    const struct sse_event *event, struct slice span,
                                    int64_t latency_ms)
{
    struct sse_event e = *event;
    struct dialect_event d;
    bool urgent = false;

    if (g->count + EVENT_SLICES_MAX > GATHER_SLICES || g->used + TAIL_BYTES_MAX > GATHER_SCRATCH)
        return EVENT_FULL;
    // The second half of a line end goes where its event went.
    bool owed = sse_begins_with_owed_lf(e.raw);
    if (owed && f->withheld)
        e.raw = slice_skip(e.raw, 1);
    if (!e.has_data && f->events == 0)
        return keep(f, e.raw);
    if (!lies_in(e.raw, span) && !settle_in_scratch(g, &e)) {
        if (g->count > 0)
            return EVENT_FULL;
        urgent = true;
    }
    f->dialect->event(&e, &d);
    if (d.kind == DIALECT_EVENT_ERROR && !f->committed)
        return EVENT_REFUSED;
    add_kept(f, g);
    f->events += e.has_data;
    f->failed |= d.kind == DIALECT_EVENT_ERROR;
    f->ended |= d.kind == DIALECT_EVENT_END;
    if (d.usage.known)
        dialect_usage_update(&f->usage, &d.usage);
    if (d.kind == DIALECT_EVENT_USAGE && f->withhold) {
        if (owed && !f->withheld)
            gather_add(g, SLICE("\n"));
        f->withheld = true;
        return EVENT_WITHHELD;
    }
    f->withheld = false;

    enum event_verdict verdict = EVENT_PASSED;
    if (f->prefix.len > 0 && d.is_object)
        verdict = splice(f, g, &e, &d, latency_ms);
    else
        gather_add(g, e.raw);
    return verdict == EVENT_PASSED && urgent ? EVENT_URGENT : verdict;
}

unsigned event_filter_add_run(struct event_filter *f, struct gather *g, struct sse_splitter *from,
                              struct slice *ret_raw)
{
    // On /v1 something is spliced into each; before the commit the first one decides.
    bool plain = f->dialect->marks && f->prefix.len == 0 && f->committed && !f->ended;
    if (!plain || g->count == GATHER_SLICES)
        return 0;
    unsigned events = sse_next_run(from, f->dialect->marks, ret_raw);
    if (events == 0)
        return 0;
    f->events += events;
    f->withheld = false;
    gather_add(g, *ret_raw);
    return events;
}
