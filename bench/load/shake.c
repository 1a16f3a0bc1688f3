// SPDX-License-Identifier: Apache-2.0
//
// shake.c: full TLS handshakes, one after the other on every connection, and nothing else.
//
//     connect ─► handshake ─► counted, closed ─► connect …
//
// The client closes before it reads a ticket, so no session is ever resumed; its FIN comes behind
// the handshake's last message, so the server sees a whole one. Ports are used again after a second
// (net.ipv4.tcp_tw_reuse is 2 by default: on loopback).
#include "base/assert.h"
#include "base/err.h"
#include "bench/load/load.h"
#include "net/tls.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct shaker {
    struct load *load;
    int fd;
    struct tls *tls;
    struct ring_op connect, recv, send;
    struct sockaddr_in address;
    struct mono begun;
    char in[16384];
};

static void begin(struct shaker *s);

// One more, or the end: when nothing is in flight any more.
static void settle(struct shaker *s)
{
    struct load *l = s->load;
    if (ring_op_busy(&s->recv) || ring_op_busy(&s->send) || ring_op_busy(&s->connect))
        return;
    (void)close(s->fd);
    tls_free(s->tls);
    s->tls = NULL;
    if (mono_before(ring_now(l->ring), l->end))
        begin(s);
    else if (--l->open == 0)
        ring_stop(l->ring);
}

static void fail(struct shaker *s)
{
    s->load->errors++;
    settle(s);
}

static void flush(struct shaker *s);

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct shaker *s = container_of(op, struct shaker, send);
    if (event->res < 0) {
        fail(s);
        return;
    }
    tls_output_sent(s->tls, (size_t)event->res);
    flush(s);
}

static void flush(struct shaker *s)
{
    struct slice out = tls_output(s->tls);
    if (out.len > 0) {
        ring_send(s->load->ring, &s->send, on_sent, s->fd, out.ptr, out.len);
        return;
    }
    if (!tls_ready(s->tls))
        return;
    struct load *l = s->load;
    struct mono now = ring_now_fresh(l->ring);
    if (s->begun.ns >= l->begin.ns && s->begun.ns < l->end.ns) {
        l->requests++;
        quantiles_add(&l->latency, mono_diff_ns(now, s->begun));
    }
    settle(s);
}

static void on_received(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct shaker *s = container_of(op, struct shaker, recv);
    if (event->res <= 0) {
        fail(s);
        return;
    }
    tls_feed(s->tls, slice_of(s->in, (size_t)event->res));
    int rc = tls_handshake(s->tls);
    if (rc != 0 && rc != ERR_MORE) {
        fail(s);
        return;
    }
    (void)tls_unfeed(s->tls);
    if (rc == ERR_MORE)
        ring_recv_into(ring, &s->recv, on_received, s->fd, s->in, sizeof(s->in));
    if (!ring_op_busy(&s->send))
        flush(s);
}

static void on_connected(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct shaker *s = container_of(op, struct shaker, connect);
    if (event->res < 0 || tls_new(s->load->tls, SLICE("localhost"), &s->tls) != 0) {
        fail(s);
        return;
    }
    (void)tls_handshake(s->tls);
    ring_recv_into(ring, &s->recv, on_received, s->fd, s->in, sizeof(s->in));
    flush(s);
}

static void begin(struct shaker *s)
{
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(s->fd >= 0);
    s->begun = ring_now_fresh(s->load->ring);
    ring_connect(s->load->ring, &s->connect, on_connected, s->fd, (struct sockaddr *)&s->address,
                 sizeof(s->address));
}

int load_shake(struct load *l)
{
    struct shaker *all = calloc(l->options.connections, sizeof(*all));
    if (!all)
        return ERR_NOMEM;
    l->begin.ns = clock_mono().ns + (int64_t)(l->options.warmup * 1e9);
    l->end.ns = l->begin.ns + (int64_t)(l->options.seconds * 1e9);
    l->open = l->options.connections;
    for (unsigned i = 0; i < l->options.connections; i++) {
        struct shaker *s = &all[i];
        s->load = l;
        s->address = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)l->options.port)};
        if (inet_pton(AF_INET, l->options.host, &s->address.sin_addr) != 1)
            return ERR_SYSTEM;
        begin(s);
    }
    ring_run(l->ring);
    free(all);
    return 0;
}
