// SPDX-License-Identifier: Apache-2.0
//
// toy_ask.h: one call to a provider on a fiber, its whole answer collected.
#ifndef RINGGATE_TESTS_TOY_ASK_H
#define RINGGATE_TESTS_TOY_ASK_H

#include "net/upstream.h"
#include "tests/support/toy_core.h"

#define TOY_REQUEST "POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"

struct toy_ask {
    struct toy_core *t;
    struct origin *origin;
    const void *request; // default: TOY_REQUEST
    size_t request_len;
    enum http_method method; // GET stands for POST
    unsigned iovs;           // the request in so many runs; 0: one
    bool apart;              // head and body in a run each, as HTTP/2 wants it
    unsigned deadline_ms;    // 0: none
    bool leave;              // ends after the first part
    // What came of it.
    int rc;
    int body_rc;
    unsigned status;
    bool reused;
    char *body;
    size_t body_len;
    unsigned parts;
    bool done;
    unsigned order;
};

void toy_ask_fiber(struct fiber *self, void *ask);
void toy_ask(struct toy_ask *a);      // spawns it and turns until no fiber is left
void toy_ask_done(struct toy_ask *a); // frees the body

#endif
