// SPDX-License-Identifier: Apache-2.0
//
// toy_pair.h: a client and a server session that hand each other bytes in memory.
#ifndef RINGGATE_TESTS_TOY_PAIR_H
#define RINGGATE_TESTS_TOY_PAIR_H

#include "net/tls.h"
#include "tests/support/toy_cert.h"

#define TOY_NAME "api.provider.test"

struct toy_pair {
    struct toy_cert cert;
    struct tls_context *client_context;
    struct tls_context *server_context;
    struct tls *client;
    struct tls *server;
};

struct tls_context *toy_client_context(const char *ca_pem, bool skip);
void toy_limit_to_1_2(struct tls_context *c);
// A certificate for the name, its authority trusted by the client; no sessions yet.
void toy_pair_open(struct toy_pair *p, const char *cert_name);
// The same with a listener's context.
void toy_pair_listen(struct toy_pair *p, const char *cert_name);
// A listener's context for one certificate, TLS 1.2 on, asking for nothing.
struct tls_context *toy_listener_context(const struct toy_cert *cert);
void toy_pair_connect(struct toy_pair *p, const char *server_name); // fresh sessions
void toy_pair_open_connected(struct toy_pair *p); // both, for TOY_NAME, and their handshake
void toy_pair_close(struct toy_pair *p);
// All of the output of one session, as one run. The caller frees it.
struct slice toy_drain(struct tls *t);
// Gives `bytes` to `to` in steps of `step` and takes what handshake or records make of it.
int toy_hand_over(struct tls *to, struct slice bytes, size_t step, char *plain, size_t *got,
                  size_t max);
// Runs the handshake, bytes in steps of `step`. The client's result.
int toy_handshake(struct toy_pair *p, size_t step);
// A BoringSSL server sends its tickets with its first byte; this is it.
void toy_bring_tickets(struct toy_pair *p);
void toy_write_text(struct tls *t, const char *text);

#endif
