// SPDX-License-Identifier: Apache-2.0
//
// answer.c: answers and requests become frames, frames become an output.
//
// A stream's data provider is whatever its owner has said is ready. nghttp2 asks how much of it the
// next DATA frame may carry, we say what still fits into the output, and the frame is then written:
//
//     bytes:  [SETTINGS ack][HEADERS][DATA head][small data][DATA head]      [HEADERS] …
//     iov:     └────────────────── one entry ─────────────────────────┘[data]└─────────┘
//
// Data runs beyond H2_COPY_MAX stay where they lie. So an event of a stream leaves in one entry
// with its frame's head, and a large body costs nothing but nine bytes every 16 kB. Whoever has
// nothing ready is deferred, and resumed by its next write.
//
// The loop over nghttp2_session_mem_send stops while there is still room for the smallest data
// frame, so h2__read_length always finds some. A frame other than DATA may be longer than what is
// left (a HEADERS frame can have 16 kB): its rest is kept in `pending` and begins the next output;
// nghttp2 keeps it until then.
//
// Fairness: every stream is made "incremental" (server.c), so those with bytes ready send a frame
// each in turn.
#include "base/assert.h"
#include "base/err.h"
#include "h2/h2_internal.h"

#define FRAME_HEAD_BYTES 9
#define ROOM_BYTES       (FRAME_HEAD_BYTES + H2_COPY_MAX)
#define ROOM_IOV         3

// ---- Output ----------------------------------------------------------------------------------

static size_t room(const struct h2_output *out)
{
    return out->bytes_max - out->used;
}

static void point_at(struct h2_output *out, const char *ptr, size_t len)
{
    ASSERT(out->count < out->iov_max);
    out->iov[out->count++] = (struct iovec){.iov_base = (char *)(uintptr_t)ptr, .iov_len = len};
    out->total += len;
}

// Into `bytes`, and into the last entry where that ends there.
static void copy_in(struct h2_output *out, const void *ptr, size_t len)
{
    char *to = out->bytes + out->used;
    ASSERT(len <= room(out));
    if (len == 0)
        return;
    memcpy(to, ptr, len);
    out->used += len;
    struct iovec *end = out->count ? &out->iov[out->count - 1] : NULL;
    if (end && (char *)end->iov_base + end->iov_len == to) {
        end->iov_len += len;
        out->total += len;
    } else {
        point_at(out, to, len);
    }
}

static void copy_pending(struct h2_session *h, struct h2_output *out)
{
    if (h->pending.len == 0)
        return;
    size_t n = h->pending.len < room(out) ? h->pending.len : room(out);
    copy_in(out, h->pending.ptr, n);
    h->pending = slice_skip(h->pending, n);
}

static bool has_room(const struct h2_output *out)
{
    return room(out) >= ROOM_BYTES && out->iov_max - out->count >= ROOM_IOV;
}

// Writes that wait since the last output count their time from now.
static void date_writes(struct h2_session *h)
{
    for (struct list *l = h->writing.prev; l != &h->writing; l = l->prev) {
        struct h2_stream *s = container_of(l, struct h2_stream, writing);
        if (s->deadline.ns != 0)
            return;
        s->mark = s->ready;
        s->deadline = h->options.write_ms ? mono_add_ms(h->now, h->options.write_ms) : MONO_NEVER;
    }
}

int h2_session_output(struct h2_session *h, struct mono now, struct h2_output *out)
{
    ASSERT(h->ng && !h->out);
    ASSERT(out->bytes_max >= H2_OUTPUT_BYTES_MIN && out->iov_max >= H2_OUTPUT_IOV_MIN);
    h->now = now;
    h->out = out;
    copy_pending(h, out);
    ssize_t n = 0;
    while (h->pending.len == 0 && has_room(out)) {
        const uint8_t *frame;
        h->paused = false;
        n = nghttp2_session_mem_send(h->ng, &frame);
        if (n == 0 && h->paused)
            continue;
        if (n <= 0)
            break;
        h->pending = slice_of(frame, (size_t)n);
        copy_pending(h, out);
    }
    h->out = NULL;
    date_writes(h);
    if (n >= 0)
        return 0;
    h2__count(h, H2_LIMIT_MEMORY);
    h->state = H2_OVER;
    return ERR_NOMEM;
}

bool h2_session_wants_output(const struct h2_session *h)
{
    return h->pending.len > 0 || nghttp2_session_want_write(h->ng);
}

// ---- Data ------------------------------------------------------------------------------------

// How much of what the stream has ready fits into the output, `length` at most.
static size_t fitting(const struct h2_stream *s, const struct h2_output *out, size_t length)
{
    size_t bytes = room(out) - FRAME_HEAD_BYTES, n = 0, offset = s->offset;
    unsigned entries = out->iov_max - out->count - 1;
    for (unsigned i = 0; i < s->spans_count && n < length && entries > 0; i++, offset = 0) {
        size_t run = s->spans[i].len - offset;
        if (run == 0)
            continue;
        if (run > length - n)
            run = length - n;
        if (run > H2_COPY_MAX) {
            n += run;
            // And one for what is copied behind it.
            entries = entries > 2 ? entries - 2 : 0;
            continue;
        }
        if (run > bytes)
            return n > 0 ? n : bytes;
        bytes -= run;
        n += run;
    }
    return n;
}

ssize_t h2__read_length(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_session *h = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)buf;
    (void)source;
    if (!s || s->resetting)
        return NGHTTP2_ERR_DEFERRED; // its reset comes
    if (s->ready == 0 && !s->last) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = fitting(s, h->out, length);
    ASSERT(n > 0 || s->ready == 0);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == s->ready && s->last)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

// Takes up to `length` bytes of one span into the output; returns how many.
static size_t take_run(struct h2_session *h, struct h2_stream *s, size_t length)
{
    ASSERT(s->offset <= s->spans[0].len); // a borrowed span has changed
    struct slice span = slice_skip(s->spans[0], s->offset);
    size_t n = span.len < length ? span.len : length;
    if (n > H2_COPY_MAX) {
        point_at(h->out, span.ptr, n);
        h->events->on_lend(h, s);
    } else {
        copy_in(h->out, span.ptr, n);
    }
    s->offset += n;
    if (s->offset == s->spans[0].len) {
        s->spans++;
        s->spans_count--;
        s->offset = 0;
    }
    return n;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t length, nghttp2_data_source *source, void *user)
{
    struct h2_session *h = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)source;
    ASSERT(s && frame->data.padlen == 0 && length <= s->ready);
    copy_in(h->out, head, FRAME_HEAD_BYTES);
    s->ready -= length;
    while (length > 0) {
        ASSERT(s->spans_count > 0);
        length -= take_run(h, s, length);
    }
    if (s->ready == 0 && list_linked(&s->writing)) {
        h2__stop_writing(s);
        h->events->on_taken(h, s);
    }
    h->paused = true;
    return NGHTTP2_ERR_PAUSE; // or it would go on with the next, and not ask whether there is room
}

void h2__answer_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
}

// ---- Streams ---------------------------------------------------------------------------------

void h2__stop_writing(struct h2_stream *s)
{
    list_remove(&s->writing);
    s->spans = NULL;
    s->spans_count = 0;
    s->offset = 0;
    s->ready = 0;
}

void h2__begin_writing(struct h2_stream *s, const struct slice *spans, unsigned count, bool last)
{
    ASSERT(!list_linked(&s->writing) && s->ready == 0 && !s->last);
    s->spans = spans;
    s->spans_count = count;
    s->offset = 0;
    s->last = last;
    for (unsigned i = 0; i < count; i++)
        s->ready += spans[i].len;
    s->deadline = (struct mono){0};
    list_push_back(&s->session->writing, &s->writing);
}

nghttp2_nv h2__pair(struct slice name, struct slice value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                        .value = (uint8_t *)(uintptr_t)value.ptr,
                        .namelen = name.len,
                        .valuelen = value.len};
}

static nghttp2_nv status_pair(char *digits, unsigned status)
{
    ASSERT(status >= 100 && status <= 999);
    return h2__pair(SLICE(":status"), slice_of(digits, fmt_u64(digits, status)));
}

int h2_stream_interim(struct h2_stream *s, unsigned status)
{
    char digits[20];
    if (!s->session || s->resetting)
        return ERR_CLIENT_GONE;
    ASSERT(!s->answered && status < 200);
    nghttp2_nv head = status_pair(digits, status);
    int rc = nghttp2_submit_headers(s->session->ng, NGHTTP2_FLAG_NONE, s->id, NULL, &head, 1, NULL);
    return rc < 0 ? ERR_NOMEM : 0;
}

int h2_stream_answer(struct h2_stream *s, unsigned status, const struct h2_field *fields,
                     unsigned count, const struct slice *spans, unsigned spans_count, bool last)
{
    char digits[20];
    if (!s->session || s->resetting)
        return ERR_CLIENT_GONE;
    ASSERT(!s->answered && s->state != H2_STREAM_HEAD && status >= 200);
    nghttp2_nv *head = arena_alloc(s->arena, (count + 1) * sizeof(*head));
    if (!head)
        return ERR_NOMEM;
    head[0] = status_pair(digits, status);
    for (unsigned i = 0; i < count; i++)
        head[i + 1] = h2__pair(fields[i].name, fields[i].value);
    h2__begin_writing(s, spans, spans_count, last);
    nghttp2_data_provider data = {.read_callback = h2__read_length};
    bool bodiless = last && s->ready == 0;
    s->deferred = false;
    if (nghttp2_submit_response(s->session->ng, s->id, head, count + 1, bodiless ? NULL : &data)) {
        h2__stop_writing(s);
        s->last = false;
        return ERR_NOMEM;
    }
    s->answered = true;
    return 0;
}

int h2_stream_write(struct h2_stream *s, const struct slice *spans, unsigned count, bool last)
{
    if (!s->session || s->resetting)
        return ERR_CLIENT_GONE;
    ASSERT(s->answered);
    h2__begin_writing(s, spans, count, last);
    ASSERT(s->ready > 0 || last);
    if (s->deferred) {
        s->deferred = false;
        (void)nghttp2_session_resume_data(s->session->ng, s->id);
    }
    return 0;
}

void h2_stream_unwrite(struct h2_stream *s)
{
    h2__stop_writing(s);
    s->last = false;
}

void h2_stream_consume(struct h2_stream *s, size_t bytes)
{
    if (s->session && bytes > 0)
        (void)nghttp2_session_consume_stream(s->session->ng, s->id, bytes);
}

void h2_stream_widen(struct h2_stream *s, size_t window)
{
    ASSERT(window <= INT32_MAX);
    if (!s->session || s->resetting || s->state != H2_STREAM_BODY)
        return;
    nghttp2_session *session = s->session->ng;
    if (nghttp2_session_get_stream_effective_local_window_size(session, s->id) < (int32_t)window)
        (void)nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, s->id,
                                                    (int32_t)window);
}

void h2_stream_reset(struct h2_stream *s, enum h2_code code)
{
    struct h2_session *h = s->session;
    if (!h || s->resetting)
        return;
    s->resetting = true;
    h2__stop_writing(s);
    if (nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, s->id, code))
        h2_session_terminate(h, H2_INTERNAL_ERROR);
}

void h2_stream_detach(struct h2_stream *s)
{
    struct h2_session *h = s->session;
    if (!h)
        return;
    if (s->state == H2_STREAM_HEAD)
        h->head_open = false;
    h2__stop_writing(s);
    list_remove(&s->link);
    h->streams_open--;
    (void)nghttp2_session_set_stream_user_data(h->ng, s->id, NULL);
    s->session = NULL;
    s->state = H2_STREAM_ENDED;
}

// ---- Time ------------------------------------------------------------------------------------

struct mono h2_session_deadline(const struct h2_session *h)
{
    if (list_empty(&h->writing))
        return MONO_NEVER;
    const struct h2_stream *s = container_of(h->writing.next, struct h2_stream, writing);
    return s->deadline.ns != 0 ? s->deadline : MONO_NEVER;
}

// Enough of the write was taken: another window for the rest.
static bool goes_on(struct h2_session *h, struct h2_stream *s)
{
    size_t taken = s->mark - s->ready;
    ASSERT(s->ready <= s->mark);
    if (taken == 0 ||
        (uint64_t)taken * 1000 < (uint64_t)h->options.write_rate * h->options.write_ms)
        return false;
    s->mark = s->ready;
    s->deadline = mono_add_ms(h->now, h->options.write_ms);
    list_remove(&s->writing);
    // Behind those that have a time, in front of those that have none yet (see date_writes).
    struct list *behind = h->writing.prev;
    while (behind != &h->writing &&
           container_of(behind, struct h2_stream, writing)->deadline.ns == 0)
        behind = behind->prev;
    list_push_front(behind, &s->writing);
    return true;
}

void h2_session_expire(struct h2_session *h, struct mono now)
{
    h->now = now;
    while (!list_empty(&h->writing)) {
        struct h2_stream *s = container_of(h->writing.next, struct h2_stream, writing);
        if (s->deadline.ns == 0 || mono_before(now, s->deadline))
            return;
        if (goes_on(h, s))
            continue;
        h2__count(h, H2_LIMIT_STALLED);
        h2_stream_reset(s, H2_CANCEL);
    }
}
