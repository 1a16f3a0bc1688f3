// SPDX-License-Identifier: Apache-2.0
//
// load.c: connections, due times and what is measured.
#include "bench/load/load.h"
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/tls.h"
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

// A head of an answer that spans receives is gathered here.
#define HEAD_BYTES 8192

struct load_conn {
    struct load *load;
    struct list link; // in load.idle
    int fd;
    struct ring_op recv;
    struct ring_op send;
    struct ring_bufs_waiter buffers;
    struct mono due;
    bool busy;
    bool in_body;
    bool first_seen;
    bool line_end; // the body so far ends with a line that no blank one follows yet
    size_t head_len;
    struct h1_body body;
    char *request;   // its own copy, to be marked; NULL: all have the same
    struct tls *tls; // NULL: plain
    bool shaken;
    char head[HEAD_BYTES];
};

static void receive(struct load_conn *c);

void quantiles_add(struct quantiles *q, int64_t ns)
{
    double x = ns < 1 ? 1.0 : (double)ns;
    unsigned i = (unsigned)(log2(x) * QUANTILE_STEPS);
    if (i >= QUANTILE_STEPS * QUANTILE_OCTAVES)
        i = QUANTILE_STEPS * QUANTILE_OCTAVES - 1;
    q->bucket[i]++;
    q->count++;
}

double quantiles_at(const struct quantiles *q, double fraction)
{
    uint64_t want = (uint64_t)(fraction * (double)q->count), seen = 0;
    for (unsigned i = 0; i < QUANTILE_STEPS * QUANTILE_OCTAVES; i++) {
        seen += q->bucket[i];
        if (seen > want)
            return exp2(((double)i + 0.5) / QUANTILE_STEPS) / 1000.0;
    }
    return 0.0;
}

static bool counting(const struct load *l, struct mono due)
{
    return due.ns >= l->begin.ns && due.ns < l->end.ns;
}

static void flush(struct load_conn *c);

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct load_conn *c = container_of(op, struct load_conn, send);
    if (event->res < 0) {
        c->load->errors++;
    } else if (c->tls) {
        tls_output_sent(c->tls, (size_t)event->res);
        flush(c);
    }
}

// What the session wants to say.
static void flush(struct load_conn *c)
{
    struct slice out = tls_output(c->tls);
    if (out.len > 0 && !ring_op_busy(&c->send) && c->fd >= 0)
        ring_send(c->load->ring, &c->send, on_sent, c->fd, out.ptr, out.len);
}

// The next number, wherever the request is marked. What was asked before has been answered, so the
// kernel has read it.
static void mark(struct load *l, char *request)
{
    static const char HEX[] = "0123456789abcdef";
    char digits[LOAD_MARK_DIGITS];
    uint64_t number = l->number++;
    for (unsigned i = LOAD_MARK_DIGITS; i-- > 0; number >>= 4)
        digits[i] = HEX[number & 15];
    for (unsigned i = 0; i < l->marks; i++)
        memcpy(request + l->mark[i], digits, LOAD_MARK_DIGITS);
}

static void ask(struct load_conn *c, struct mono due)
{
    ASSERT(!c->busy);
    c->busy = true;
    c->due = due;
    c->in_body = false;
    c->first_seen = false;
    c->line_end = false;
    c->head_len = 0;
    struct slice request = c->load->request;
    if (c->request) {
        ASSERT(c->tls || !ring_op_busy(&c->send)); // TLS has sealed its own copy
        mark(c->load, c->request);
        request.ptr = c->request;
    }
    if (!c->tls) {
        ring_send(c->load->ring, &c->send, on_sent, c->fd, request.ptr, request.len);
        return;
    }
    struct iovec iov = {(void *)(uintptr_t)request.ptr, request.len};
    if (tls_write(c->tls, &iov, 1) != 0)
        c->load->errors++;
    flush(c);
}

static void ended(struct load *l)
{
    if (--l->open == 0)
        ring_stop(l->ring);
}

// The connection is of no more use.
static void lose(struct load_conn *c)
{
    if (c->fd < 0)
        return;
    if (!c->load->over)
        c->load->errors++;
    ring_shutdown(c->load->ring, c->fd);
    c->fd = -1;
    list_remove(&c->link);
    ended(c->load);
}

static void answered(struct load_conn *c)
{
    struct load *l = c->load;
    struct mono now = ring_now_fresh(l->ring);
    if (counting(l, c->due)) {
        l->requests++;
        quantiles_add(&l->latency, mono_diff_ns(now, c->due));
    }
    c->busy = false;
    if (l->over) {
        lose(c);
    } else if (l->options.rate > 0) {
        list_push_back(&l->idle, &c->link);
    } else {
        ask(c, now);
    }
}

// Blank lines end events, whether or not an `event:` line names them; one may be cut anywhere.
static uint64_t count_events(struct load_conn *c, struct slice span)
{
    uint64_t n = 0;
    if (span.len == 0)
        return 0;
    if (c->line_end && span.ptr[0] == '\n') {
        n++;
        span = slice_skip(span, 1);
    }
    for (;;) {
        ptrdiff_t at = slice_find(span, SLICE("\n\n"));
        if (at < 0)
            break;
        n++;
        span = slice_skip(span, (size_t)at + 2);
    }
    c->line_end = span.len > 0 && span.ptr[span.len - 1] == '\n';
    return n;
}

static bool take_body(struct load_conn *c, struct slice *in)
{
    struct load *l = c->load;
    while (!c->body.complete) {
        struct slice span;
        int err = h1_body_next(&c->body, in, &span);
        if (err == ERR_MORE)
            return true;
        if (err != 0)
            return false;
        if (!c->first_seen && span.len > 0) {
            c->first_seen = true;
            if (counting(l, c->due))
                quantiles_add(&l->first, mono_diff_ns(ring_now_fresh(l->ring), c->due));
        }
        uint64_t events = count_events(c, span);
        if (counting(l, c->due)) {
            l->bytes += span.len;
            l->events += events;
        }
    }
    answered(c);
    return true;
}

// Reads framing out of a whole head; false when it is no good answer.
static bool take_head(struct load_conn *c, struct slice head)
{
    uint64_t length = 0;
    ptrdiff_t at = slice_ifind(head, SLICE("\r\ncontent-length:"));
    if (!slice_starts(head, SLICE("HTTP/1.1 200")))
        c->load->errors++;
    if (slice_ifind(head, SLICE("\r\ntransfer-encoding: chunked")) >= 0) {
        h1_body_init(&c->body, H1_CHUNKED, 0);
    } else {
        struct slice line = slice_skip(head, at < 0 ? head.len : (size_t)at + 17);
        ptrdiff_t end = slice_find_char(line, '\r');
        if (end < 0 || slice_to_u64(slice_trim(slice_take(line, (size_t)end)), &length) != 0)
            return false;
        h1_body_init(&c->body, length > 0 ? H1_LENGTH : H1_NO_BODY, length);
    }
    c->in_body = true;
    return true;
}

static bool take(struct load_conn *c, struct slice in)
{
    if (c->in_body)
        return take_body(c, &in);
    size_t n = in.len < HEAD_BYTES - c->head_len ? in.len : HEAD_BYTES - c->head_len;
    memcpy(c->head + c->head_len, in.ptr, n);
    size_t before = c->head_len, resume = 0;
    struct slice have = slice_of(c->head, c->head_len + n);
    ptrdiff_t head = h1_head_end(have, LIMIT_HEAD_BYTES, &resume);
    if (head == ERR_MORE && have.len < HEAD_BYTES) {
        c->head_len = have.len;
        return true;
    }
    if (head < 0 || !take_head(c, slice_take(have, (size_t)head)))
        return false;
    in = slice_skip(in, (size_t)head - before);
    return take_body(c, &in);
}

// Handshake or records; false when the connection is of no more use.
static bool open_records(struct load_conn *c, struct slice in)
{
    char plain[16384];
    ptrdiff_t n = 1;
    bool good = true;
    tls_feed(c->tls, in);
    if (!c->shaken) {
        int rc = tls_handshake(c->tls);
        flush(c);
        if (rc != 0)
            return rc == ERR_MORE;
        c->shaken = true;
    }
    while (good && (n = tls_read(c->tls, plain, sizeof(plain))) > 0)
        good = c->busy && take(c, slice_of(plain, (size_t)n));
    (void)tls_unfeed(c->tls);
    return good && n == ERR_MORE;
}

static void on_buffers(struct ring *ring, struct ring_bufs_waiter *waiter)
{
    (void)ring;
    receive(container_of(waiter, struct load_conn, buffers));
}

static void on_received(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct load_conn *c = container_of(op, struct load_conn, recv);
    struct ring_loan loan = event->loan;
    bool good = event->res > 0 && c->fd >= 0 && (c->busy || c->tls);
    if (good)
        good = c->tls ? open_records(c, slice_of(loan.ptr, loan.len))
                      : take(c, slice_of(loan.ptr, loan.len));
    ring_loan_put(&loan);
    if (event->res == -ENOBUFS)
        ring_bufs_wait(c->load->bufs, &c->buffers);
    else if (!good)
        lose(c);
    else if (event->final)
        receive(c);
}

static void receive(struct load_conn *c)
{
    if (c->fd >= 0)
        ring_recv(c->load->ring, &c->recv, on_received, c->fd, c->load->bufs);
}

// Ends the run: idle connections close now, busy ones when they are answered.
static void finish(struct load *l)
{
    l->over = true;
    for (unsigned i = 0; i < l->options.connections; i++)
        if (!l->conns[i].busy)
            lose(&l->conns[i]);
}

// Asks what is due and can be asked; returns when to look again.
static struct mono ask_due(struct load *l, struct mono now)
{
    while (l->options.rate > 0 && l->due_ns <= (double)now.ns && !list_empty(&l->idle)) {
        struct load_conn *c = container_of(list_pop_front(&l->idle), struct load_conn, link);
        ask(c, (struct mono){.ns = (int64_t)l->due_ns});
        l->due_ns += l->interval_ns;
    }
    struct mono next = {.ns = (int64_t)l->due_ns};
    if (l->options.rate <= 0 || list_empty(&l->idle))
        next = l->end; // an answer comes first
    return mono_min(next, l->end);
}

static int open_conn(struct load *l, struct load_conn *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)l->options.port)};
    int on = 1;
    c->load = l;
    list_init(&c->link);
    list_init(&c->buffers.link);
    c->buffers.fn = on_buffers;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || inet_pton(AF_INET, l->options.host, &address.sin_addr) != 1)
        return ERR_SYSTEM;
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return ERR_CONNECT;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (l->options.unique) {
        c->request = malloc(l->request.len);
        if (!c->request)
            return ERR_NOMEM;
        memcpy(c->request, l->request.ptr, l->request.len);
    }
    l->open++;
    receive(c);
    if (!l->tls)
        return 0;
    int rc = tls_new(l->tls, SLICE("localhost"), &c->tls);
    if (rc == 0) {
        (void)tls_handshake(c->tls);
        flush(c);
    }
    while (rc == 0 && !c->shaken) { // one after the other: a listener's backlog is finite
        if (c->fd < 0)
            return ERR_TLS;
        ring_turn(l->ring, mono_add_ms(clock_mono(), 1000));
    }
    return rc;
}

// Where the request is marked. Numbers are nanoseconds of the clock at first: a later run, which
// asks less than once in each, begins behind the last of this.
static int find_marks(struct load *l)
{
    struct slice mark = SLICE(LOAD_MARK), rest = l->request;
    ptrdiff_t at;
    l->number = (uint64_t)clock_wall().ns;
    while ((at = slice_find(rest, mark)) >= 0) {
        if (l->marks == LOAD_MARKS_MAX)
            return ERR_LIMIT;
        rest = slice_skip(rest, (size_t)at + mark.len);
        l->mark[l->marks++] = (uint32_t)(l->request.len - rest.len - LOAD_MARK_DIGITS);
    }
    return l->marks > 0 ? 0 : ERR_NOT_FOUND;
}

int load_init(struct load *l)
{
    list_init(&l->idle);
    l->conns = calloc(l->options.connections, sizeof(struct load_conn));
    int err = l->conns ? ring_bufs_new(l->ring, 256, 16384, &l->bufs) : ERR_NOMEM;
    if (err == 0 && l->options.unique)
        err = find_marks(l);
    for (unsigned i = 0; err == 0 && i < l->options.connections; i++) {
        err = open_conn(l, &l->conns[i]);
        if (err == 0 && l->options.rate > 0)
            list_push_back(&l->idle, &l->conns[i].link);
    }
    return err;
}

void load_run(struct load *l)
{
    struct mono now = clock_mono();
    l->begin.ns = now.ns + (int64_t)(l->options.warmup * 1e9);
    l->end.ns = l->begin.ns + (int64_t)(l->options.seconds * 1e9);
    l->interval_ns = l->options.rate > 0 ? 1e9 / l->options.rate : 0;
    l->due_ns = (double)now.ns;
    if (l->options.rate <= 0)
        for (unsigned i = 0; i < l->options.connections; i++)
            ask(&l->conns[i], now);
    prctl(PR_SET_TIMERSLACK, 1);
    while (mono_before(now, l->end)) {
        ring_turn(l->ring, ask_due(l, now));
        now = clock_mono();
    }
    finish(l);
    if (l->open > 0)
        ring_run(l->ring);
}
