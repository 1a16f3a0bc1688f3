// SPDX-License-Identifier: Apache-2.0
//
// main.c: the mock's options, threads and listeners.
//
//   mock --port 9000 [--tls-port 9443 --cert F --key F] [--cores N]
//
// Prints one line when it listens. Ends on SIGTERM or SIGINT (the default action: it has nothing
// to save).
#include "base/assert.h"
#include "base/err.h"
#include "bench/mock/mock.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MOCK_CORES_MAX 64
#define MOCK_CONNS_MAX 65536

struct options {
    unsigned port;
    unsigned tls_port;
    unsigned cores;
    const char *cert;
    const char *key;
};

struct worker {
    struct mock_core core;
    pthread_t thread;
};

static int listen_on(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void on_accept(struct mock_core *c, struct ring_op *op, const struct ring_event *event,
                      unsigned which);

static void on_accept_plain(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    on_accept(container_of(op, struct mock_core, accept[0]), op, event, 0);
}

static void on_accept_tls(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    on_accept(container_of(op, struct mock_core, accept[1]), op, event, 1);
}

static void on_accept(struct mock_core *c, struct ring_op *op, const struct ring_event *event,
                      unsigned which)
{
    if (event->res >= 0)
        mock_conn_open(c, event->res, which == 1);
    if (event->final)
        ring_accept(c->ring, op, which == 1 ? on_accept_tls : on_accept_plain, c->listener[which]);
}

int mock_core_start(struct mock_core *c)
{
    int err = ring_bufs_new(c->ring, 256, 16384, &c->bufs);
    if (err == 0)
        err = prng_seed_kernel(&c->prng);
    if (err != 0)
        return err;
    for (unsigned i = 0; i < 2; i++)
        if (c->listener[i] >= 0)
            ring_accept(c->ring, &c->accept[i], i == 1 ? on_accept_tls : on_accept_plain,
                        c->listener[i]);
    return 0;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct ring_options options = RING_OPTIONS_DEFAULT;
    const char *reason = "";
    int err = ring_new(&options, &w->core.ring, &reason);
    if (err == 0)
        err = mock_core_start(&w->core);
    if (err != 0) {
        fprintf(stderr, "mock: %s %s\n", err_text(err), reason);
        exit(1);
    }
    ring_run(w->core.ring);
    return NULL;
}

__attribute__((noreturn)) static void usage(void)
{
    fprintf(stderr, "mock --port N [--tls-port N --cert FILE --key FILE] [--cores N]\n");
    exit(2);
}

static unsigned number(const char *text)
{
    uint64_t n;
    if (!text || slice_to_u64(slice_str(text), &n) != 0 || n > 65535)
        usage();
    return (unsigned)n;
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.cores = 1};
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--port") == 0)
            o.port = number(value);
        else if (strcmp(argv[i], "--tls-port") == 0)
            o.tls_port = number(value);
        else if (strcmp(argv[i], "--cores") == 0)
            o.cores = number(value);
        else if (strcmp(argv[i], "--cert") == 0)
            o.cert = value;
        else if (strcmp(argv[i], "--key") == 0)
            o.key = value;
        else
            usage();
    }
    if ((o.port == 0 && o.tls_port == 0) || o.cores == 0 || o.cores > MOCK_CORES_MAX)
        usage();
    return o;
}

static struct tls_context *server_context(const struct options *o)
{
    struct tls_context *context = NULL;
    const char *reason = "";
    if (o->tls_port == 0)
        return NULL;
    if (!o->cert || !o->key)
        usage();
    if (tls_context_server_new(o->cert, o->key, &context, &reason) != 0) {
        fprintf(stderr, "mock: %s\n", reason);
        exit(1);
    }
    return context;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct tls_context *context = server_context(&o);
    struct worker *workers = calloc(o.cores, sizeof(*workers));
    struct rlimit files;
    ASSERT(workers);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (unsigned i = 0; i < o.cores; i++) {
        struct mock_core *c = &workers[i].core;
        pool_init(&c->conns, mock_conn_bytes(), MOCK_CONNS_MAX);
        c->tls = context;
        c->listener[0] = o.port ? listen_on(o.port) : -1;
        c->listener[1] = o.tls_port ? listen_on(o.tls_port) : -1;
        if ((o.port && c->listener[0] < 0) || (o.tls_port && c->listener[1] < 0)) {
            perror("mock: cannot listen");
            return 1;
        }
    }
    for (unsigned i = 0; i < o.cores; i++)
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0)
            return 1;
    printf("mock provider on http://127.0.0.1:%u\n", o.port);
    fflush(stdout);
    for (unsigned i = 0; i < o.cores; i++)
        pthread_join(workers[i].thread, NULL);
    return 0;
}
