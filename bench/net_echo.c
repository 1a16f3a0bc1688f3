// SPDX-License-Identifier: Apache-2.0
//
// net_echo.c: the server half of net alone, for profiles: reads each body, sends it back.
//
//     net_echo PORT [CORES]        then e.g.  wrk -t1 -c64 -s post.lua http://127.0.0.1:PORT/
//
// GET requests get a fixed kilobyte. Prints nothing; runs until killed.
#include "base/err.h"
#include "net/core.h"
#include "net/sockets.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static char kilobyte[1024];

struct echo {
    struct net_server server;
    struct net_shared *shared;
    struct net_core core;
    struct log log;
    unsigned index;
    const struct net_sockets *sockets;
};

static void echo_fiber(struct fiber *self, void *arg)
{
    struct http_stream *s = arg;
    struct slice body;
    int rc = http_read_body_await(s, self, 64u << 20, &body);
    if (!rc) {
        if (body.len == 0)
            body = slice_of(kilobyte, sizeof(kilobyte));
        const struct http_field type = {HTTP_N_CONTENT_TYPE, SLICE("content-type"),
                                        SLICE("application/json")};
        struct http_answer a = {
            .status = 200, .fields = &type, .count = 1, .content_length = (int64_t)body.len};
        (void)http_answer_await(s, self, &a, &body, 1, true);
    }
    http_end(s);
}

static void on_request(struct net_server *server, struct http_stream *s)
{
    (void)server;
    int rc = fiber_spawn(s->core->fibers, echo_fiber, s, &s->fiber);
    if (rc)
        http_refuse(s, rc);
}

static struct slice refusal(struct net_server *server, int err)
{
    (void)server;
    return slice_str(err_text(err));
}

static void *run(void *arg)
{
    struct echo *e = arg;
    struct ring *ring;
    struct fiber_sched *fibers;
    const char *reason = "";
    struct net_options options = {0};
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(e->index, &cpus);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
    e->server = (struct net_server){.on_request = on_request, .refusal = refusal};
    if (ring_new(&RING_OPTIONS_DEFAULT, &ring, &reason) ||
        fiber_sched_new(ring, &FIBER_OPTIONS_DEFAULT, &fibers) ||
        log_init(&e->log, LOG_INFO, LOG_JSON) ||
        net_core_init(&e->core, e->index, e->shared, ring, fibers, &e->log, &e->server, &options) ||
        net_listen(&e->core, e->sockets)) {
        (void)fprintf(stderr, "net_echo: cannot start: %s\n", reason);
        exit(1);
    }
    ring_run(ring);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct net_shared shared;
    static struct echo echo[CORES_MAX];
    static struct net_sockets sockets;
    struct net_want want = {.wanted = true};
    uint64_t port, cores = 1;
    if (argc < 2 || slice_to_u64(slice_str(argv[1]), &port) || port > UINT16_MAX)
        return 2;
    if (argc > 2 && (slice_to_u64(slice_str(argv[2]), &cores) || cores < 1 || cores > CORES_MAX))
        return 2;
    memset(kilobyte, 'k', sizeof(kilobyte));
    shared.cores = (unsigned)cores;
    want.port = (unsigned)port;
    if (net_sockets_open(&sockets, NET_ROLE_MAIN, &want, (unsigned)cores, &want.port)) {
        perror("net_echo: listen");
        return 1;
    }
    for (unsigned i = 0; i < cores; i++) {
        pthread_t thread;
        echo[i].index = i;
        echo[i].sockets = &sockets;
        echo[i].shared = &shared;
        if (pthread_create(&thread, NULL, run, &echo[i]))
            return 1;
        if (i == cores - 1)
            (void)pthread_join(thread, NULL);
    }
    return 0;
}
