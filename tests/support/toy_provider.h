// SPDX-License-Identifier: Apache-2.0
//
// toy_provider.h: a provider that follows a script, on threads of its own with blocking sockets.
//
// Each accepted connection runs the script once, in a thread. Test and script keep step by
// counting: toy_reach says "so far", toy_await waits for somebody to have said it. Nothing sleeps.
#ifndef RINGGATE_TESTS_TOY_PROVIDER_H
#define RINGGATE_TESTS_TOY_PROVIDER_H

#include "net/tls.h"
#include <pthread.h>

#define TOY_CONNS_MAX 64
#define TOY_STEPS     16

struct toy_provider;

struct toy_conn {
    struct toy_provider *provider;
    int fd;
    unsigned index; // in order of accept
    struct tls *tls;
    bool reset; // ends with a reset
    pthread_t thread;
    char plain[65536]; // received, not read yet
    size_t plain_len;
};

typedef void (*toy_script)(struct toy_conn *c, void *arg);

struct toy_provider {
    int listener;
    unsigned port;
    toy_script script;
    void *arg;
    struct tls_context *tls;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned steps[TOY_STEPS];
    unsigned count;
    struct toy_conn *conns[TOY_CONNS_MAX];
};

void toy_provider_open(struct toy_provider *p, toy_script script, void *arg,
                       struct tls_context *tls);
void toy_provider_close(struct toy_provider *p); // joins every thread
void toy_reach(struct toy_provider *p, unsigned step);
void toy_await(struct toy_provider *p, unsigned step, unsigned times);

// Reads a head and its Content-Length body; the number of body bytes, or -1 at the end.
long toy_read_request(struct toy_conn *c);
bool toy_read_exactly(struct toy_conn *c, void *out, size_t size); // false: the peer has left
bool toy_send(struct toy_conn *c, const void *data, size_t size);  // false: the peer has left
bool toy_say(struct toy_conn *c, const char *text);
bool toy_gone(struct toy_conn *c);   // waits for the peer's FIN or reset
void toy_reset(struct toy_conn *c);  // the connection will end with one
void toy_notify(struct toy_conn *c); // close_notify

#endif
