// SPDX-License-Identifier: Apache-2.0
//
// toy_provider.c: see toy_provider.h.
#include "tests/support/toy_provider.h"

#include "base/assert.h"
#include "base/err.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- Steps -----------------------------------------------------------------------------------

void toy_reach(struct toy_provider *p, unsigned step)
{
    ASSERT(step < TOY_STEPS);
    pthread_mutex_lock(&p->lock);
    p->steps[step]++;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
}

void toy_await(struct toy_provider *p, unsigned step, unsigned times)
{
    ASSERT(step < TOY_STEPS);
    pthread_mutex_lock(&p->lock);
    while (p->steps[step] < times)
        pthread_cond_wait(&p->moved, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

// ---- Bytes -----------------------------------------------------------------------------------

static bool send_raw(struct toy_conn *c, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static bool flush(struct toy_conn *c)
{
    struct slice out = tls_output(c->tls);
    while (out.len > 0) {
        if (!send_raw(c, out.ptr, out.len))
            return false;
        tls_output_sent(c->tls, out.len);
        out = tls_output(c->tls);
    }
    return true;
}

bool toy_send(struct toy_conn *c, const void *data, size_t size)
{
    if (!c->tls)
        return send_raw(c, data, size);
    struct iovec iov = {(void *)data, size};
    if (tls_write(c->tls, &iov, 1) != 0)
        return false;
    return flush(c);
}

bool toy_say(struct toy_conn *c, const char *text)
{
    return toy_send(c, text, strlen(text));
}

// More plaintext; false at the end.
static bool more(struct toy_conn *c)
{
    char raw[16384];
    size_t room = sizeof(c->plain) - c->plain_len;
    ssize_t n = recv(c->fd, c->tls ? raw : c->plain + c->plain_len, c->tls ? sizeof(raw) : room, 0);
    if (n <= 0)
        return false;
    if (!c->tls) {
        c->plain_len += (size_t)n;
        return true;
    }
    tls_feed(c->tls, slice_of(raw, (size_t)n));
    if (!tls_ready(c->tls)) {
        int rc = tls_handshake(c->tls);
        if (!flush(c) || (rc != 0 && rc != ERR_MORE))
            return false;
        if (rc != 0)
            return true;
    }
    ptrdiff_t got = tls_read(c->tls, c->plain + c->plain_len, room);
    if (got > 0)
        c->plain_len += (size_t)got;
    return got > 0 || got == ERR_MORE;
}

static long content_length(struct slice head)
{
    uint64_t value = 0;
    ptrdiff_t at = slice_find(head, SLICE("Content-Length: "));
    if (at < 0)
        return 0;
    struct slice digits = slice_skip(head, (size_t)at + 16);
    ptrdiff_t end = slice_find_char(digits, '\r');
    ASSERT(slice_to_u64(slice_take(digits, end < 0 ? digits.len : (size_t)end), &value) == 0);
    return (long)value;
}

long toy_read_request(struct toy_conn *c)
{
    char *end = NULL;
    size_t left = 0;
    while (!(end = memmem(c->plain, c->plain_len, "\r\n\r\n", 4))) {
        if (!more(c))
            return -1;
    }
    long total = content_length(slice_of(c->plain, (size_t)(end - c->plain)));
    size_t head = (size_t)(end + 4 - c->plain);
    c->plain_len -= head;
    memmove(c->plain, c->plain + head, c->plain_len);
    for (left = (size_t)total; left > c->plain_len;) {
        left -= c->plain_len;
        c->plain_len = 0;
        if (!more(c))
            return -1;
    }
    c->plain_len -= left;
    memmove(c->plain, c->plain + left, c->plain_len);
    return total;
}

bool toy_read_exactly(struct toy_conn *c, void *out, size_t size)
{
    ASSERT(size <= sizeof(c->plain));
    while (c->plain_len < size) {
        if (!more(c))
            return false;
    }
    memcpy(out, c->plain, size);
    c->plain_len -= size;
    memmove(c->plain, c->plain + size, c->plain_len);
    return true;
}

bool toy_gone(struct toy_conn *c)
{
    do
        c->plain_len = 0;
    while (more(c));
    return true;
}

void toy_reset(struct toy_conn *c)
{
    struct linger l = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    c->reset = true;
}

void toy_notify(struct toy_conn *c)
{
    tls_close_notify(c->tls);
    flush(c);
}

// ---- Threads ---------------------------------------------------------------------------------

static void *serve(void *arg)
{
    struct toy_conn *c = arg;
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    bool fine = true;
    while (c->tls && !tls_ready(c->tls) && fine)
        fine = more(c);
    if (fine)
        c->provider->script(c, c->provider->arg);
    if (!c->reset)
        shutdown(c->fd, SHUT_WR);
    close(c->fd);
    tls_free(c->tls);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct toy_provider *p = arg;
    for (;;) {
        int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        ASSERT(p->count < TOY_CONNS_MAX);
        struct toy_conn *c = calloc(1, sizeof(*c));
        ASSERT(c);
        c->provider = p;
        c->fd = fd;
        c->index = p->count;
        if (p->tls)
            ASSERT(tls_new(p->tls, SLICE_EMPTY, &c->tls) == 0);
        p->conns[p->count++] = c;
        ASSERT(pthread_create(&c->thread, NULL, serve, c) == 0);
    }
}

void toy_provider_open(struct toy_provider *p, toy_script script, void *arg,
                       struct tls_context *tls)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    *p = (struct toy_provider){.script = script, .arg = arg, .tls = tls};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->moved, NULL);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(p->listener >= 0);
    ASSERT(bind(p->listener, (struct sockaddr *)&sin, sizeof(sin)) == 0);
    ASSERT(listen(p->listener, 128) == 0);
    ASSERT(getsockname(p->listener, (struct sockaddr *)&sin, &len) == 0);
    p->port = ntohs(sin.sin_port);
    ASSERT(pthread_create(&p->thread, NULL, accept_all, p) == 0);
}

void toy_provider_close(struct toy_provider *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
    for (unsigned i = 0; i < p->count; i++) {
        pthread_join(p->conns[i]->thread, NULL);
        free(p->conns[i]);
    }
    pthread_cond_destroy(&p->moved);
    pthread_mutex_destroy(&p->lock);
}
