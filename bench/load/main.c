// SPDX-License-Identifier: Apache-2.0
//
// main.c: the load client's options and its one line of result.
//
//   load --port 8080 --path /openai/v1/chat/completions --body FILE [--rate R] [--connections N]
//        [--seconds S] [--warmup S] [--host A] [--tls 1] [--handshakes 1] [--header 'NAME: VALUE']
//        [--unique 1]
//
// Prints a JSON object: requests, errors, rate, events, bytes, and quantiles in microseconds.
#include "base/buf.h"
#include "base/err.h"
#include "bench/load/load.h"
#include "net/tls.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void usage(void)
{
    fprintf(stderr, "load --port N --path P [--body FILE] [--rate R] [--connections N]\n"
                    "     [--seconds S] [--warmup S] [--host A] [--tls 1] [--handshakes 1]\n"
                    "     [--header 'NAME: VALUE'] [--unique 1]\n");
    exit(2);
}

static void parse(int argc, char **argv, struct load_options *o)
{
    *o = (struct load_options){.host = "127.0.0.1", .connections = 64, .seconds = 5, .warmup = 1};
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value)
            usage();
        else if (strcmp(name, "--host") == 0)
            o->host = value;
        else if (strcmp(name, "--port") == 0)
            o->port = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--connections") == 0)
            o->connections = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--rate") == 0)
            o->rate = strtod(value, NULL);
        else if (strcmp(name, "--seconds") == 0)
            o->seconds = strtod(value, NULL);
        else if (strcmp(name, "--warmup") == 0)
            o->warmup = strtod(value, NULL);
        else if (strcmp(name, "--tls") == 0)
            o->tls = strcmp(value, "0") != 0;
        else if (strcmp(name, "--handshakes") == 0)
            o->tls = o->handshakes = strcmp(value, "0") != 0;
        else if (strcmp(name, "--unique") == 0)
            o->unique = strcmp(value, "0") != 0;
        else if (strcmp(name, "--path") == 0)
            o->path = value;
        else if (strcmp(name, "--body") == 0)
            o->body_file = value;
        else if (strcmp(name, "--header") == 0)
            o->header = value;
        else
            usage();
    }
    if (o->port == 0 || (!o->path && !o->handshakes) || o->connections == 0)
        usage();
}

// The request's bytes; the buffer lives as long as the process.
static void render(const struct load_options *o, struct buf *out)
{
    struct buf body;
    buf_init(&body, 1u << 30);
    buf_init(out, 1u << 30);
    if (o->body_file) {
        char piece[65536];
        size_t n;
        FILE *f = fopen(o->body_file, "rb");
        if (!f) {
            perror(o->body_file);
            exit(1);
        }
        while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
            buf_add(&body, slice_of(piece, n));
        fclose(f);
    }
    buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: load\r\nAccept: */*\r\n",
               o->body_file ? "POST" : "GET", o->path, o->host, o->port);
    if (o->header)
        buf_printf(out, "%s\r\n", o->header);
    if (o->body_file)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    buf_add(out, SLICE("\r\n"));
    buf_add(out, buf_slice(&body));
    buf_done(&body);
}

int main(int argc, char **argv)
{
    static struct load l; // the program's one object: large, and alive until exit
    struct ring_options options = RING_OPTIONS_DEFAULT;
    struct buf request;
    struct rlimit files;
    const char *reason = "";
    parse(argc, argv, &l.options);
    if (!l.options.handshakes) {
        render(&l.options, &request);
        l.request = buf_slice(&request);
    }
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int err = ring_new(&options, &l.ring, &reason);
    if (err == 0 && l.options.tls)
        err = tls_context_client_new(&(struct tls_client_options){.insecure_skip_verify = true},
                                     &l.tls, &reason);
    if (err == 0)
        err = l.options.handshakes ? load_shake(&l) : load_init(&l);
    if (err != 0) {
        fprintf(stderr, "load: %s %s\n", err_text(err), reason);
        return 1;
    }
    if (!l.options.handshakes)
        load_run(&l);
    double s = l.options.seconds;
    printf("{\"requests\":%llu,\"errors\":%llu,\"rate\":%.1f,\"events\":%llu,\"bytes\":%llu,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"first_p50_us\":%.1f,\"first_p99_us\":%.1f}\n",
           (unsigned long long)l.requests, (unsigned long long)l.errors, (double)l.requests / s,
           (unsigned long long)l.events, (unsigned long long)l.bytes, quantiles_at(&l.latency, 0.5),
           quantiles_at(&l.latency, 0.99), quantiles_at(&l.first, 0.5),
           quantiles_at(&l.first, 0.99));
    return 0;
}
