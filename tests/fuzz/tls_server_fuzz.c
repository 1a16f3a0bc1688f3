// SPDX-License-Identifier: Apache-2.0
//
// tls_server_fuzz.c: any bytes to a server's TLS state machine.
//
// The first byte says in what pieces they come and whether a valid ClientHello comes before them,
// so that what lies behind it is reached too. A listener with two certificates and tickets answers;
// a record that is not the client's must never become plaintext.
#include "base/assert.h"
#include "base/err.h"
#include "net/page.h"
#include "net/tls_ticket.h"
#include "tests/support/toy_pair.h"
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct tls_context *server, *client;
    struct tls_tickets *tickets;
};

// Contexts cost milliseconds, and are immutable but for the client's tickets, of which none come.
static const struct world *world(void)
{
    static struct world w; // tests have no main of their own to hold it
    struct toy_cert cert[2];
    struct tls_certificate pem[2];
    struct tls_complaint complaint;
    struct tls_ticket_key key = {.name = "fuzz"};
    if (w.server)
        return &w;
    toy_cert_make(&cert[0], TOY_NAME);
    toy_cert_make(&cert[1], "two.test,*.star.test");
    for (unsigned i = 0; i < 2; i++)
        pem[i] = (struct tls_certificate){slice_str(cert[i].cert_pem), slice_str(cert[i].key_pem)};
    struct tls_listener_options o = {.certificates = pem,
                                     .count = 2,
                                     .client_auth = TLS_CLIENT_REQUEST,
                                     .client_ca_pem = slice_str(cert[0].ca_pem)};
    ASSERT(tls_context_listener_new(&o, &w.server, &complaint) == 0);
    w.client = toy_client_context(cert[0].ca_pem, true);
    w.tickets = tls_tickets_new(&key);
    ASSERT(w.tickets);
    toy_cert_done(&cert[0]);
    toy_cert_done(&cert[1]);
    return &w;
}

// Until the input or the session ends.
static int run(struct tls *t, struct slice in, size_t step)
{
    char plain[64];
    int rc = ERR_MORE;
    while (in.len > 0 && rc == ERR_MORE) {
        struct slice piece = slice_take(in, step < in.len ? step : in.len);
        in = slice_skip(in, piece.len);
        tls_feed(t, piece);
        rc = tls_handshake(t);
        if (rc == 0) {
            ptrdiff_t n = tls_read(t, plain, sizeof(plain));
            ASSERT(n <= 0); // nobody without the keys says anything
        }
        (void)tls_unfeed(t);
        struct slice out;
        while ((out = tls_output(t)).len > 0)
            tls_output_sent(t, out.len);
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct world *w = world();
    struct tls *server = NULL, *client = NULL;
    if (size < 1)
        return 0;
    size_t step = data[0] & 0x7f ? data[0] & 0x7f : SIZE_MAX;
    ASSERT(tls_new(w->server, SLICE_EMPTY, &server) == 0);
    tls_set_tickets(server, w->tickets);
    if (data[0] & 0x80) {
        ASSERT(tls_new(w->client, SLICE("a.star.test"), &client) == 0);
        ASSERT(tls_handshake(client) == ERR_MORE);
        ASSERT(run(server, tls_output(client), SIZE_MAX) == ERR_MORE);
        ASSERT(tls_said_hello(server));
    }
    int rc = run(server, slice_of((const char *)data + 1, size - 1), step);
    ASSERT(rc == ERR_MORE || rc == ERR_TLS || rc == ERR_TLS_VERIFY);
    ASSERT(!tls_ready(server));
    tls_free(server);
    tls_free(client);
    return 0;
}
