// SPDX-License-Identifier: Apache-2.0
//
// toy_pair.c: see toy_pair.h.
#include "tests/support/toy_pair.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/tls_internal.h"
#include <stdint.h>
#include <stdlib.h>

struct tls_context *toy_client_context(const char *ca_pem, bool skip)
{
    struct tls_client_options o = {.ca_cert_pem = slice_str(ca_pem), .insecure_skip_verify = skip};
    struct tls_context *c = NULL;
    const char *reason = NULL;
    ASSERT(tls_context_client_new(&o, &c, &reason) == 0);
    return c;
}

void toy_limit_to_1_2(struct tls_context *c)
{
    ASSERT(SSL_CTX_set_max_proto_version(c->ctx, TLS1_2_VERSION) == 1);
}

void toy_pair_open(struct toy_pair *p, const char *cert_name)
{
    const char *reason = NULL;
    *p = (struct toy_pair){0};
    toy_cert_make(&p->cert, cert_name);
    p->client_context = toy_client_context(p->cert.ca_pem, false);
    ASSERT(tls_context_server_new(p->cert.cert_file, p->cert.key_file, &p->server_context,
                                  &reason) == 0);
}

struct tls_context *toy_listener_context(const struct toy_cert *cert)
{
    struct tls_certificate one = {slice_str(cert->cert_pem), slice_str(cert->key_pem)};
    struct tls_listener_options o = {.certificates = &one, .count = 1};
    struct tls_complaint complaint;
    struct tls_context *c = NULL;
    ASSERT(tls_context_listener_new(&o, &c, &complaint) == 0);
    return c;
}

void toy_pair_listen(struct toy_pair *p, const char *cert_name)
{
    *p = (struct toy_pair){0};
    toy_cert_make(&p->cert, cert_name);
    p->client_context = toy_client_context(p->cert.ca_pem, false);
    p->server_context = toy_listener_context(&p->cert);
}

void toy_pair_connect(struct toy_pair *p, const char *server_name)
{
    tls_free(p->client);
    tls_free(p->server);
    p->client = p->server = NULL;
    ASSERT(tls_new(p->client_context, slice_str(server_name), &p->client) == 0);
    ASSERT(tls_new(p->server_context, SLICE_EMPTY, &p->server) == 0);
}

void toy_pair_open_connected(struct toy_pair *p)
{
    toy_pair_open(p, TOY_NAME);
    toy_pair_connect(p, TOY_NAME);
    ASSERT(toy_handshake(p, SIZE_MAX) == 0);
}

void toy_pair_close(struct toy_pair *p)
{
    tls_free(p->client);
    tls_free(p->server);
    tls_context_put(p->client_context);
    tls_context_put(p->server_context);
    toy_cert_done(&p->cert);
}

// All of the output of one, as one run. The caller frees it.
struct slice toy_drain(struct tls *t)
{
    char *all = NULL;
    size_t len = 0;
    struct slice out;
    while ((out = tls_output(t)).len > 0) {
        all = realloc(all, len + out.len);
        memcpy(all + len, out.ptr, out.len);
        len += out.len;
        tls_output_sent(t, out.len);
    }
    return slice_of(all, len);
}

// Gives `bytes` to `to` in steps of `step` and takes what toy_handshake or records make of it.
int toy_hand_over(struct tls *to, struct slice bytes, size_t step, char *plain, size_t *got,
                  size_t max)
{
    int rc = ERR_MORE;
    while (bytes.len > 0) {
        tls_feed(to, slice_take(bytes, step));
        bytes = slice_skip(bytes, step);
        if (!tls_ready(to)) {
            rc = tls_handshake(to);
            if (rc != 0 && rc != ERR_MORE)
                return rc;
        }
        while (tls_ready(to)) {
            ptrdiff_t n = tls_read(to, plain + *got, max - *got);
            if (n <= 0) {
                rc = (int)n;
                break;
            }
            *got += (size_t)n;
        }
    }
    return rc;
}

// Runs the toy_handshake, bytes in steps of `step`. The client's result.
int toy_handshake(struct toy_pair *p, size_t step)
{
    char plain[256];
    size_t got = 0;
    int rc = tls_handshake(p->client);
    ASSERT(rc == ERR_MORE);
    for (unsigned turn = 0; turn < 8; turn++) {
        struct slice out = toy_drain(p->client);
        if (out.len > 0)
            (void)toy_hand_over(p->server, out, step, plain, &got, sizeof(plain));
        free((void *)out.ptr);
        out = toy_drain(p->server);
        if (out.len > 0)
            rc = toy_hand_over(p->client, out, step, plain, &got, sizeof(plain));
        free((void *)out.ptr);
        if (tls_ready(p->client) && tls_ready(p->server) && out.len == 0)
            return 0;
        if (rc != 0 && rc != ERR_MORE)
            return rc;
    }
    return rc;
}

// A BoringSSL server sends its tickets with its first byte.
void toy_bring_tickets(struct toy_pair *p)
{
    struct iovec iov = {"x", 1};
    char plain[8];
    size_t got = 0;
    ASSERT(tls_write(p->server, &iov, 1) == 0);
    struct slice out = toy_drain(p->server);
    ASSERT(toy_hand_over(p->client, out, SIZE_MAX, plain, &got, sizeof(plain)) == ERR_MORE);
    free((void *)out.ptr);
}

void toy_write_text(struct tls *t, const char *text)
{
    struct iovec iov = {(void *)text, strlen(text)};
    ASSERT(tls_write(t, &iov, 1) == 0);
}
