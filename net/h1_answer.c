// SPDX-License-Identifier: Apache-2.0
//
// h1_answer.c: answers and refusals on the wire.
//
// Whatever the server hands over in one call leaves in one sendmsg: the head (written into the
// exchange's arena), then the caller's spans where they lie, with the chunk framing around them:
//
//     [head ‖ "1f4\r\n"] [span] [span] … ["\r\n"]            first bytes of a stream
//     ["c8\r\n"] [span] … ["\r\n"]                           further bytes
//     ["c8\r\n"] [span] … ["\r\n0\r\n\r\n"]                  the last ones
//
// More than SPANS_A_SEND spans leave in several sends, each a chunk of its own. The iovecs and the
// message header lie on the fiber's stack: it is parked until the kernel is done with them.
//
// Head fields come in part from providers. A name that is no token or a value with a control byte
// would let a provider write the rest of our head, so such a field is dropped; so is everything
// that frames a message or belongs to one hop, whatever token it was given.
//
// A TLS connection's bytes are sealed into pages first, SEAL_BYTES at a time, and each such slice
// is one send: a record for what fits into one, nothing waits for more. With the answer behind
// which nothing follows leaves our close_notify.
//
// A send that is interrupted may have left half a message in the socket (`torn`): nothing follows
// it, and http_end resets the connection. `answer` becomes COMPLETE in the send's own callback, not
// when the fiber resumes: the client may hang up between the two.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"
#include "net/tls.h"

#define SPANS_A_SEND (BODY_SPANS_MAX + 8)
// Status line, Date, Content-Length, Connection, blank line and a chunk line, generously.
#define HEAD_OWN_BYTES   256
#define CHUNK_LINE_BYTES 20
// Sealed at once: some 50 us. As pages it makes SEALED_IOV at most.
#define SEAL_BYTES ((size_t)256 * 1024)
#define SEALED_IOV 20

struct reason {
    unsigned status;
    struct slice text;
};

#define REASON(code, words)                                                                        \
    {                                                                                              \
        (code),                                                                                    \
        {                                                                                          \
            .ptr = (words), .len = sizeof(words) - 1                                               \
        }                                                                                          \
    }

static const struct reason reasons[] = {
    REASON(200, "OK"),
    REASON(400, "Bad Request"),
    REASON(401, "Unauthorized"),
    REASON(429, "Too Many Requests"),
    REASON(500, "Internal Server Error"),
    REASON(502, "Bad Gateway"),
    REASON(503, "Service Unavailable"),
    REASON(504, "Gateway Timeout"),
    REASON(201, "Created"),
    REASON(202, "Accepted"),
    REASON(204, "No Content"),
    REASON(206, "Partial Content"),
    REASON(301, "Moved Permanently"),
    REASON(302, "Found"),
    REASON(303, "See Other"),
    REASON(304, "Not Modified"),
    REASON(307, "Temporary Redirect"),
    REASON(308, "Permanent Redirect"),
    REASON(402, "Payment Required"),
    REASON(403, "Forbidden"),
    REASON(404, "Not Found"),
    REASON(405, "Method Not Allowed"),
    REASON(406, "Not Acceptable"),
    REASON(408, "Request Timeout"),
    REASON(409, "Conflict"),
    REASON(410, "Gone"),
    REASON(411, "Length Required"),
    REASON(412, "Precondition Failed"),
    REASON(413, "Content Too Large"),
    REASON(414, "URI Too Long"),
    REASON(415, "Unsupported Media Type"),
    REASON(417, "Expectation Failed"),
    REASON(421, "Misdirected Request"),
    REASON(422, "Unprocessable Content"),
    REASON(424, "Failed Dependency"),
    REASON(426, "Upgrade Required"),
    REASON(431, "Request Header Fields Too Large"),
    REASON(499, "Client Closed Request"),
    REASON(501, "Not Implemented"),
    REASON(505, "HTTP Version Not Supported"),
    REASON(507, "Insufficient Storage"),
};

// ---- Writing a head --------------------------------------------------------------------------

struct writer {
    char *at;
    char *end;
};

static void put(struct writer *w, struct slice s)
{
    ASSERT(s.len <= (size_t)(w->end - w->at));
    if (s.len > 0)
        memcpy(w->at, s.ptr, s.len);
    w->at += s.len;
}

static void put_u64(struct writer *w, uint64_t value)
{
    char digits[20];
    put(w, slice_of(digits, fmt_u64(digits, value)));
}

static void put_status_line(struct writer *w, unsigned status)
{
    put(w, SLICE("HTTP/1.1 "));
    put_u64(w, status);
    put(w, SLICE(" ")); // also in front of no reason (RFC 9112 4)
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status) {
            put(w, reasons[i].text);
            break;
        }
    }
    put(w, SLICE("\r\n"));
}

// 426 must name what to upgrade to (RFC 9110 15.5.22).
static bool is_ours_to_drop(const struct http_field *f, unsigned status)
{
    return http__is_nets(f) && !(status == 426 && slice_ieq(f->name, SLICE("upgrade")));
}

static void put_field(struct writer *w, struct slice name, struct slice value)
{
    put(w, name);
    put(w, SLICE(": "));
    put(w, value);
    put(w, SLICE("\r\n"));
}

static void put_framing(struct h1_conn *c, struct writer *w, const struct http_answer *a)
{
    bool bodiless = a->status == 204 || a->status == 304;
    if (a->content_length >= 0 && a->status != 204) {
        put(w, SLICE("Content-Length: "));
        put_u64(w, (uint64_t)a->content_length);
        put(w, SLICE("\r\n"));
    } else if (!bodiless && c->stream.request.minor > 0) {
        put(w, SLICE("Transfer-Encoding: chunked\r\n"));
    }
    if (!c->keep)
        put(w, SLICE("Connection: close\r\n"));
    else if (c->stream.request.minor == 0)
        put(w, SLICE("Connection: keep-alive\r\n"));
}

// Into the arena, with room for a chunk line behind it. ptr NULL: no memory.
static struct slice write_head(struct h1_conn *c, const struct http_answer *a)
{
    size_t bytes = HEAD_OWN_BYTES;
    for (unsigned i = 0; i < a->count; i++)
        bytes += a->fields[i].name.len + a->fields[i].value.len + 4;
    char *memory = arena_bytes(&c->stream.arena, bytes);
    if (!memory)
        return SLICE_EMPTY;
    struct writer w = {.at = memory, .end = memory + bytes - CHUNK_LINE_BYTES};
    put_status_line(&w, a->status);
    put(&w, net__date(c->stream.core));
    put_field(&w, HTTP__SNIFF_NAME, HTTP__SNIFF_VALUE);
    put_framing(c, &w, a);
    for (unsigned i = 0; i < a->count; i++) {
        if (!is_ours_to_drop(&a->fields[i], a->status))
            put_field(&w, a->fields[i].name, a->fields[i].value);
    }
    put(&w, SLICE("\r\n"));
    return slice_of(memory, (size_t)(w.at - memory));
}

// ---- Sending ---------------------------------------------------------------------------------

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct h1_conn *c = container_of(op, struct h1_conn, send);
    ASSERT(event->final);
    c->deadline = MONO_NEVER;
    if (event->res >= 0 && c->answer_last && !c->torn)
        c->answer = ANSWER_COMPLETE;
    fiber_wait_done(&c->sent, event->res);
}

// Sends all of it, or fails. The kernel holds none of it on return.
static int send_iov_await(struct h1_conn *c, struct fiber *self, struct iovec *iov, size_t n)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
    struct ring *ring = c->stream.core->ring;
    int res = 0;
    fiber_wait_begin(&c->sent);
    pace_begin(&c->pace);
    h1_conn__deadline(c, pace_half_ms(c->stream.core->options.send_ms));
    ring_sendmsg(ring, &c->send, on_sent, c->fd, &message);
    int rc = fiber_wait_await(&c->sent, self, &res);
    if (rc) {
        c->torn = true;
        ring_cancel(ring, &c->send);
        (void)fiber_wait_shielded_await(&c->sent, self);
        return c->stream.gone ? ERR_CLIENT_GONE : rc;
    }
    if (res < 0) {
        c->torn = true;
        h1_conn__gone(c);
        return ERR_CLIENT_GONE;
    }
    return 0;
}

// The session's output.
static int send_output_await(struct h1_conn *c, struct fiber *self)
{
    struct iovec sealed[SEALED_IOV];
    unsigned n = 0;
    int rc = 0;
    while (rc == 0 && (n = tls_output_iov(c->tls, sealed, SEALED_IOV)) > 0) {
        size_t bytes = 0;
        for (unsigned i = 0; i < n; i++)
            bytes += sealed[i].iov_len;
        rc = send_iov_await(c, self, sealed, n);
        if (rc == 0)
            tls_output_sent(c->tls, bytes);
    }
    return rc;
}

// Seals what stands in front, SEAL_BYTES at most. *ret_used entries are used up; one that is not
// begins behind what was sealed.
static int seal(struct h1_conn *c, struct iovec *iov, size_t n, size_t *ret_used)
{
    size_t bytes = 0, k = 0;
    while (k < n && bytes + iov[k].iov_len <= SEAL_BYTES)
        bytes += iov[k++].iov_len;
    *ret_used = k;
    if (k == n)
        return tls_write(c->tls, iov, (unsigned)k);
    size_t whole = iov[k].iov_len, part = SEAL_BYTES - bytes;
    iov[k].iov_len = part;
    int rc = tls_write(c->tls, iov, (unsigned)k + 1);
    iov[k] = (struct iovec){(char *)iov[k].iov_base + part, whole - part};
    return rc;
}

static int send_sealed_await(struct h1_conn *c, struct fiber *self, struct iovec *iov, size_t n)
{
    bool last = c->answer_last;
    int rc = 0;
    while (n > 0 && rc == 0) {
        size_t used = 0;
        rc = seal(c, iov, n, &used);
        if (rc) {
            c->torn = true;
            break;
        }
        iov += used;
        n -= used;
        c->answer_last = last && n == 0;
        if (c->answer_last && !c->keep)
            tls_close_notify(c->tls);
        rc = send_output_await(c, self);
    }
    return rc;
}

// The iovecs are the caller's no more.
static int send_await(struct h1_conn *c, struct fiber *self, struct iovec *iov, size_t n)
{
    return c->secure ? send_sealed_await(c, self, iov, n) : send_iov_await(c, self, iov, n);
}

static struct iovec iovec_of(struct slice s)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)s.ptr, .iov_len = s.len};
}

// One send: `head` (may be empty; has room behind it for a chunk line) and at most SPANS_A_SEND
// spans.
static int send_run_await(struct h1_conn *c, struct fiber *self, struct slice head,
                          const struct slice *spans, unsigned count, bool last)
{
    struct iovec iov[SPANS_A_SEND + 3];
    char line[CHUNK_LINE_BYTES];
    unsigned n = 0;
    size_t bytes = 0;
    bool chunked = c->answer_framing == ANSWER_CHUNKED;
    for (unsigned i = 0; i < count && c->answer_framing != ANSWER_NO_BODY; i++)
        bytes += spans[i].len;
    if (chunked && bytes > 0 && head.len > 0)
        head.len += h1_chunk_line((char *)(uintptr_t)head.ptr + head.len, bytes);
    else if (chunked && bytes > 0)
        head = slice_of(line, h1_chunk_line(line, bytes));
    if (head.len > 0)
        iov[n++] = iovec_of(head);
    for (unsigned i = 0; i < count && bytes > 0; i++) {
        if (spans[i].len > 0)
            iov[n++] = iovec_of(spans[i]);
    }
    if (chunked && last)
        iov[n++] = iovec_of(bytes > 0 ? SLICE("\r\n0\r\n\r\n") : SLICE("0\r\n\r\n"));
    else if (chunked && bytes > 0)
        iov[n++] = iovec_of(SLICE("\r\n"));
    if (c->answer_framing == ANSWER_LENGTH) {
        ASSERT(bytes <= (uint64_t)c->answer_left); // more than was announced
        c->answer_left -= (int64_t)bytes;
        ASSERT(!last || c->answer_left == 0); // less than was announced
    }
    c->answer_last = last;
    if (n > 0)
        return send_await(c, self, iov, n);
    if (last)
        c->answer = ANSWER_COMPLETE;
    return 0;
}

static int may_send(const struct h1_conn *c, const struct fiber *self)
{
    ASSERT(c->state == CONN_SERVE && !ring_op_busy(&c->send));
    if (c->stream.gone || c->torn)
        return ERR_CLIENT_GONE;
    return fiber_interrupted(self);
}

static int send_all_await(struct h1_conn *c, struct fiber *self, struct slice head,
                          const struct slice *spans, unsigned count, bool last)
{
    for (;;) {
        unsigned n = count < SPANS_A_SEND ? count : SPANS_A_SEND;
        int rc = send_run_await(c, self, head, spans, n, last && n == count);
        if (rc)
            return rc;
        count -= n;
        if (count == 0)
            return 0;
        spans += n;
        head = SLICE_EMPTY;
    }
}

// Whether another request may follow is part of the head, so it is decided when that is written.
static void decide_keep(struct h1_conn *c, const struct http_answer *a)
{
    const struct http_head *request = &c->stream.request;
    bool drainable = c->framing.framing == H1_LENGTH && c->framing.left <= LIMIT_DRAIN_BYTES &&
                     !request->expect_continue;
    if (c->stream.core->leaving || c->body_err || (!c->framing.complete && !drainable))
        c->keep = false;
    if (request->method == HTTP_HEAD || a->status == 204 || a->status == 304)
        c->answer_framing = ANSWER_NO_BODY;
    else if (a->content_length >= 0)
        c->answer_framing = ANSWER_LENGTH;
    else
        c->answer_framing = request->minor > 0 ? ANSWER_CHUNKED : ANSWER_UNTIL_CLOSE;
    if (c->answer_framing == ANSWER_UNTIL_CLOSE)
        c->keep = false;
    c->answer_left = a->content_length;
}

int h1_answer__begin_await(struct http_stream *s, struct fiber *self,
                           const struct http_answer *answer, const struct slice *spans,
                           unsigned count, bool last)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    ASSERT(c->answer == ANSWER_NONE);
    ASSERT(answer->status >= 200 && answer->status <= 999);
    int rc = may_send(c, self);
    if (rc)
        return rc;
    decide_keep(c, answer);
    struct slice head = write_head(c, answer);
    if (!head.ptr)
        return ERR_NOMEM;
    c->answer = ANSWER_OPEN;
    s->answered = true;
    return send_all_await(c, self, head, spans, count, last);
}

int h1_answer__write_await(struct http_stream *s, struct fiber *self, const struct slice *spans,
                           unsigned count, bool last)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    int rc = may_send(c, self);
    if (rc)
        return rc;
    ASSERT(c->answer == ANSWER_OPEN);
    return send_all_await(c, self, SLICE_EMPTY, spans, count, last);
}

int h1_answer__upgrade_await(struct h1_conn *c, struct fiber *self, struct slice head)
{
    ASSERT(c->answer == ANSWER_NONE);
    int rc = may_send(c, self);
    if (rc)
        return rc;
    c->keep = false;
    c->answer_framing = ANSWER_UNTIL_CLOSE;
    c->answer = ANSWER_OPEN;
    c->stream.answered = true;
    return send_all_await(c, self, head, NULL, 0, false);
}

int h1_answer__continue_await(struct h1_conn *c, struct fiber *self)
{
    ASSERT(c->answer == ANSWER_NONE);
    struct iovec iov = iovec_of(SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    c->answer_last = false;
    return send_await(c, self, &iov, 1);
}

// ---- Refusals --------------------------------------------------------------------------------

static void on_refused(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct h1_conn *c = container_of(op, struct h1_conn, send);
    ASSERT(event->final);
    if (c->state == CONN_CLOSING)
        h1_conn__closed_send(c);
    else if (event->res < 0)
        h1_conn__close(c, true);
    else
        h1_conn__linger(c);
}

void h1_answer__refuse(struct h1_conn *c, int err)
{
    struct net_core *core = c->stream.core;
    unsigned status = (unsigned)err_http_status(err);
    struct slice body = core->server->refusal(core->server, err);
    bool head_only = c->state == CONN_SERVE && c->stream.request.method == HTTP_HEAD;
    h1_conn__set_state(c, CONN_REFUSE);
    c->keep = false;
    size_t bytes = 2 * HEAD_OWN_BYTES + body.len;
    char *all = arena_bytes(&c->stream.arena, bytes);
    if (!all) {
        h1_conn__close(c, true);
        return;
    }
    struct writer w = {.at = all, .end = all + bytes};
    put_status_line(&w, status);
    put(&w, net__date(core));
    put_field(&w, HTTP__SNIFF_NAME, HTTP__SNIFF_VALUE);
    if (status == 503) {
        put(&w, SLICE("Retry-After: "));
        put_u64(&w, LIMIT_RETRY_AFTER_S);
        put(&w, SLICE("\r\n"));
    }
    put(&w, SLICE("Content-Type: application/json\r\nConnection: close\r\nContent-Length: "));
    put_u64(&w, body.len);
    if (status == 405)
        put(&w, SLICE("\r\nAllow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"));
    put(&w, SLICE("\r\n\r\n"));
    if (!head_only)
        put(&w, body);
    h1_conn__deadline(c, core->options.send_ms);
    if (c->tls) {
        struct iovec iov = {.iov_base = all, .iov_len = (size_t)(w.at - all)};
        if (tls_write(c->tls, &iov, 1) != 0) {
            h1_conn__close(c, true);
            return;
        }
        tls_close_notify(c->tls);
        (void)h1_tls__flush(c);
    } else {
        ring_send(core->ring, &c->send, on_refused, c->fd, all, (size_t)(w.at - all));
    }
    h1_conn__aim(c);
}
