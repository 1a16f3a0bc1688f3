// SPDX-License-Identifier: Apache-2.0
//
// toy_world.h: a core, a scripted provider in plain text, and its origin.
#ifndef RINGGATE_TESTS_TOY_WORLD_H
#define RINGGATE_TESTS_TOY_WORLD_H

#include "tests/support/toy_ask.h"
#include "tests/support/toy_provider.h"

#define TOY_OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
#define TOY_OK      TOY_OK_HEAD "hello"

struct toy_world {
    struct toy_core t;
    struct toy_provider p;
    struct origin *origin;
};

// `options` may be NULL; host and port are the provider's. Sixteen buffers of 16 kB.
void toy_world_open(struct toy_world *w, toy_script script, void *arg,
                    const struct origin_options *options);
void toy_world_open_sized(struct toy_world *w, toy_script script, void *arg,
                          const struct origin_options *options, unsigned bufs);
void toy_world_close(struct toy_world *w);
// Asserts a complete answer with this body.
void toy_assert_body(const struct toy_ask *a, const char *expected);
// A POST with a body of so many bytes; *ret_len with its head. The caller frees it.
char *toy_large_request(size_t body, size_t *ret_len);
// Turns until no connection to a provider is left, and submits the closes.
void toy_until_idle(struct toy_core *t);

void toy_script_ok(struct toy_conn *c, void *answer);            // TOY_OK when NULL; for ever
void toy_script_say_and_close(struct toy_conn *c, void *answer); // after the request
void toy_script_silent(struct toy_conn *c, void *arg); // until the peer leaves: reaches step 1

#endif
