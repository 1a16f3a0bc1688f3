// SPDX-License-Identifier: Apache-2.0
//
// sse.c: where an event ends, and what its lines say.
//
// Looking for the end remembers two facts from byte to byte and from span to span, so no byte is
// looked at twice however finely the stream is cut:
//
//     line_empty   nothing of the current line has been seen; a line end now ends the event
//     after_cr     the last byte was a CR, so a LF now is its second half and ends nothing
//
//     state \ byte      LF                   CR                    other
//     line_empty        event ends           event ends, after_cr  a line begins
//     in a line         line_empty           line_empty, after_cr  in a line
//     after_cr          skipped              as line_empty         a line begins
//
// An event found in the span is given as it lies there; only one cut by a span's end is copied,
// once. The fields are read from the whole event afterwards (WHATWG HTML, 9.2.6): an event of a few
// hundred bytes is in the first-level cache by then.
#include "codec/sse.h"

#include "base/assert.h"
#include "base/err.h"
#include "codec/lanes.h"

void sse_init(struct sse_splitter *s)
{
    *s = (struct sse_splitter){.line_empty = true, .at_start = true};
    buf_init(&s->carry, SSE_EVENT_BYTES_MAX);
    buf_init(&s->joined, SSE_EVENT_BYTES_MAX);
}

void sse_done(struct sse_splitter *s)
{
    if (s == NULL)
        return;
    buf_done(&s->carry);
    buf_done(&s->joined);
}

void sse_feed(struct sse_splitter *s, struct slice span)
{
    ASSERT(s->in.len == 0 || s->error != 0);
    s->in = span;
}

bool sse_partial(const struct sse_splitter *s)
{
    ASSERT(s->in.len == 0 || s->error != 0);
    if (s->carry_given || s->carry.len == 0)
        return false;
    // A LF that begins an event is the second half of a CR LF: otherwise it would have ended it.
    return s->carry.len > 1 || s->carry.ptr[0] != '\n';
}

bool sse_owes_lf(const struct sse_splitter *s)
{
    return s->in.len == 0 && !s->carry_given && s->carry.len == 1 && s->carry.ptr[0] == '\n';
}

// Past the end of the event that goes on at `p`; NULL when it does not end before `end`.
static const char *find_end(struct sse_splitter *s, const char *p, const char *end)
{
    while (p < end) {
        bool is_tail = s->after_cr && *p == '\n';
        s->after_cr = false;
        if (is_tail) {
            p++;
            continue;
        }
        if (*p != '\n' && *p != '\r') {
            s->line_empty = false;
            p = lanes_find2(p, end, '\n', '\r');
            continue;
        }
        s->after_cr = *p == '\r';
        p++;
        if (s->line_empty) {
            // Both halves of CR LF when both are here.
            if (s->after_cr && p < end) {
                p += *p == '\n';
                s->after_cr = false;
            }
            return p;
        }
        s->line_empty = true;
    }
    return NULL;
}

static void forget(struct buf *b)
{
    if (b->cap <= SSE_KEEP_BYTES) {
        buf_reset(b);
        return;
    }
    buf_done(b);
    buf_init(b, SSE_EVENT_BYTES_MAX);
}

static void read_data(struct sse_splitter *s, struct slice value, struct sse_event *event)
{
    if (!event->has_data) {
        event->has_data = true;
        event->data = value;
        return;
    }
    if (s->joined.len == 0) // this is the second line; the first may be empty, the LF is not
        buf_add(&s->joined, event->data);
    buf_add_char(&s->joined, '\n');
    buf_add(&s->joined, value);
    event->data = buf_slice(&s->joined);
}

static void read_line(struct sse_splitter *s, struct slice line, struct sse_event *event)
{
    ptrdiff_t colon = slice_find_char(line, ':');
    // A comment is a line whose name is empty.
    struct slice name = colon < 0 ? line : slice_take(line, (size_t)colon);
    struct slice value = colon < 0 ? SLICE_EMPTY : slice_skip(line, (size_t)colon + 1);
    if (slice_starts(value, SLICE(" ")))
        value = slice_skip(value, 1);
    if (slice_eq(name, SLICE("data")))
        read_data(s, value, event);
    else if (slice_eq(name, SLICE("event")))
        event->type = value;
}

static int read_event(struct sse_splitter *s, struct slice raw, struct sse_event *ret)
{
    struct sse_event event = {.raw = raw};
    struct slice rest = raw;
    if (s->at_start && slice_starts(raw, SLICE("\xEF\xBB\xBF")))
        rest = slice_skip(raw, 3);
    s->at_start = false;
    const char *end = rest.ptr + rest.len;
    for (const char *p = rest.ptr; p < end;) {
        const char *line_end = lanes_find2(p, end, '\n', '\r');
        if (line_end > p)
            read_line(s, slice_of(p, (size_t)(line_end - p)), &event);
        p = line_end + 1;
    }
    if (s->joined.err != 0)
        return s->error = ERR_NOMEM;
    *ret = event;
    return 0;
}

// Nearly every event is one line, `data: …`, and a blank one, whole in the span: found and read in
// one look. False: not so, and nothing has changed.
static bool read_plain(struct sse_splitter *s, struct sse_event *ret)
{
    static const struct slice name = {.ptr = "data: ", .len = 6};
    if (s->carry.len > 0 || s->after_cr || s->at_start || !slice_starts(s->in, name))
        return false;
    const char *data = s->in.ptr + name.len;
    const char *end = s->in.ptr + s->in.len;
    const char *p = lanes_find2(data, end, '\n', '\r');
    if (end - p < 2 || p[0] != '\n' || p[1] != '\n' || p + 2 - s->in.ptr > SSE_EVENT_BYTES_MAX)
        return false;
    ASSERT(s->line_empty);
    *ret = (struct sse_event){
        .raw = slice_of(s->in.ptr, (size_t)(p + 2 - s->in.ptr)),
        .data = slice_of(data, (size_t)(p - data)),
        .has_data = true,
    };
    s->in = slice_skip(s->in, ret->raw.len);
    return true;
}

// What the last event lay in is of no more use.
static void forget_given(struct sse_splitter *s)
{
    forget(&s->joined);
    if (s->carry_given)
        forget(&s->carry);
    s->carry_given = false;
}

unsigned sse_next_run(struct sse_splitter *s, const struct sse_marks *marks, struct slice *ret_raw)
{
    static const struct slice begin = {.ptr = "data: {", .len = 7};
    if (s->error != 0)
        return 0;
    forget_given(s);
    if (s->carry.len > 0 || s->after_cr || s->at_start)
        return 0;
    ASSERT(s->line_empty);
    const char *end = s->in.ptr + s->in.len;
    const char *p = s->in.ptr;
    unsigned events = 0;
    while ((size_t)(end - p) > begin.len && memcmp(p, begin.ptr, begin.len) == 0) {
        const char *data = p + begin.len - 1;
        bool marked;
        const char *past = lanes_find_line_end(data, end, '"', marks->letter, &marked);
        if (end - past < 2 || past[0] != '\n' || past[1] != '\n' || past[-1] != '}')
            break;
        if (past + 2 - p > SSE_EVENT_BYTES_MAX)
            break;
        if (marked && marks->special(slice_of(data, (size_t)(past - data))))
            break;
        p = past + 2;
        events++;
    }
    if (events > 0) {
        *ret_raw = slice_of(s->in.ptr, (size_t)(p - s->in.ptr));
        s->in = slice_skip(s->in, ret_raw->len);
    }
    return events;
}

int sse_next(struct sse_splitter *s, struct sse_event *ret)
{
    if (s->error != 0)
        return s->error;
    forget_given(s);
    if (s->in.len == 0)
        return ERR_MORE;
    if (read_plain(s, ret))
        return 0;
    const char *past = find_end(s, s->in.ptr, s->in.ptr + s->in.len);
    size_t taken = past == NULL ? s->in.len : (size_t)(past - s->in.ptr);
    struct slice piece = slice_take(s->in, taken);
    s->in = slice_skip(s->in, taken);
    if (taken > SSE_EVENT_BYTES_MAX - s->carry.len)
        return s->error = ERR_BAD_SSE;
    if (past != NULL && s->carry.len == 0)
        return read_event(s, piece, ret);
    buf_add(&s->carry, piece);
    if (s->carry.err != 0)
        return s->error = ERR_NOMEM;
    if (past == NULL)
        return ERR_MORE;
    s->carry_given = true;
    return read_event(s, buf_slice(&s->carry), ret);
}
