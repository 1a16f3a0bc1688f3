// SPDX-License-Identifier: Apache-2.0
//
// metrics_page.c: adding up the cores' figures and writing them for Prometheus.
//
// A scrape is a tour: its one object visits every core, which adds its own series, on its own
// thread and at most VISIT_SERIES in a turn, into the tables the object carries; back home the
// scraping fiber writes the page. Series meet in the tables by their label text, so two cores' are
// one line. The tables borrow the text: series live until the process ends.
//
//   fiber ──► sum ──► core 0 adds ──► core 1 adds ──► home: fiber wakes, writes, frees
//
// A client that leaves meanwhile does not end the tour: the fiber stays until it has come home.
#include "gateway/metrics.h"

#include "base/assert.h"
#include "base/err.h"
#include "gateway/handover.h"
#include "gateway/limiter.h"
#include "gateway/metrics_series.h"
#include "gateway/tour.h"
#include "providers/price.h"
#include "ring/fiber.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// Series added or written in one turn of a loop: some 100 µs.
#define VISIT_SERIES  128
#define WRITE_SERIES  64
#define NS_PER_SECOND 1e9

// One core's figures. X(member, name, type, help); lag_ns is written in seconds.
#define CORE_MAP(X)                                                                                \
    X(connections, "ringgate_connections", "gauge", "Open client connections.")                    \
    X(fibers, "ringgate_exchanges", "gauge", "Requests being served.")                             \
    X(accepted, "ringgate_connections_accepted_total", "counter", "Client connections accepted.")  \
    X(handed_over, "ringgate_connections_handed_over_total", "counter",                            \
      "Accepted connections given to a less loaded core.")                                         \
    X(requests, "ringgate_requests_total", "counter", "Request heads received.")                   \
    X(bad_requests, "ringgate_bad_requests_total", "counter", "Requests refused as malformed.")    \
    X(timeouts, "ringgate_client_timeouts_total", "counter", "Clients given up as too slow.")      \
    X(connects, "ringgate_upstream_connects_total", "counter", "Connections made to providers.")   \
    X(reuses, "ringgate_upstream_reuses_total", "counter",                                         \
      "Requests sent on a pooled connection.")                                                     \
    X(retries, "ringgate_upstream_retries_total", "counter",                                       \
      "Requests sent again because a pooled connection had been closed.")                          \
    X(handshakes, "ringgate_upstream_tls_handshakes_total", "counter",                             \
      "TLS handshakes with providers.")                                                            \
    X(resumptions, "ringgate_upstream_tls_resumptions_total", "counter",                           \
      "TLS handshakes that resumed a session.")                                                    \
    X(h2_taken_back, "ringgate_http2_taken_back_total", "counter",                                 \
      "HTTP/2 requests that were reset before they began.")                                        \
    X(h2_refused, "ringgate_upstream_http2_refused_total", "counter",                              \
      "HTTP/2 streams that providers have not looked at.")                                         \
    X(h2_goaways, "ringgate_upstream_http2_goaways_total", "counter",                              \
      "HTTP/2 connections that providers take no more requests on.")                               \
    X(shaking, "ringgate_tls_handshakes_in_progress", "gauge",                                     \
      "TLS handshakes with clients that have begun and not ended.")                                \
    X(shaken, "ringgate_tls_handshakes_total", "counter", "TLS handshakes with clients.")          \
    X(resumed, "ringgate_tls_resumptions_total", "counter",                                        \
      "TLS handshakes with clients that resumed a session.")                                       \
    X(log_dropped, "ringgate_log_lines_dropped_total", "counter",                                  \
      "Log lines dropped because standard error was too slow.")                                    \
    X(overflow, "ringgate_metrics_overflow_total", "counter",                                      \
      "Observations counted under the label value other.")                                         \
    X(turns, "ringgate_loop_turns_total", "counter", "Turns of the core's loop.")                  \
    X(lag_ns, "ringgate_loop_lag_seconds", "gauge",                                                \
      "Longest turn of the core's loop since the last scrape.")

// Of the two ends of HTTP/2 that a core is: X(member, name, help)
#define H2_MAP(X)                                                                                  \
    X(connections, "ringgate_http2_connections_total", "Connections that spoke HTTP/2.")           \
    X(streams, "ringgate_http2_streams_total", "Streams that were opened.")                        \
    X(malformed, "ringgate_http2_malformed_total",                                                 \
      "Streams reset because their request or answer was malformed.")

enum h2_role { H2_SERVER, H2_CLIENT, H2_ROLES };

static const char *const h2_roles[] = {[H2_SERVER] = "server", [H2_CLIENT] = "client"};

struct h2_figures {
#define X(member, name, help) uint64_t member;
    H2_MAP(X)
#undef X
    uint64_t limits[H2_LIMIT_COUNT];
};

struct core_figures {
#define X(member, name, type, help) uint64_t member;
    CORE_MAP(X)
#undef X
    struct h2_figures h2[H2_ROLES];
    uint64_t tls_failures[TLS_FAILURE_COUNT];
    uint64_t proxy_failures[PROXY_FAILURE_COUNT];
    uint64_t shed[NET_SHED_COUNT];
};

// Everything a scrape has added up; one allocation.
struct sum {
    struct tour tour;
    struct fiber_wait wait;
    struct map upstream; // label text → struct upstream_series, owned here
    struct map http;
    size_t upstream_position, http_position; // in the visited core's maps
    bool core_begun;
    int err;
    struct core_figures core[CORES_MAX];
};

// ---- Adding up -------------------------------------------------------------------------------

static void add_counter(struct counter *to, const struct counter *from)
{
    counter_add(to, counter_get(from));
}

static void add_histogram(struct histogram *to, const struct histogram *from)
{
    ASSERT(to->n == from->n);
    for (unsigned i = 0; i <= from->n; i++)
        add_counter(&to->bucket[i], &from->bucket[i]);
    double total = histogram_sum(to) + histogram_sum(from);
    uint64_t bits;
    memcpy(&bits, &total, sizeof(bits));
    atomic_store_explicit(&to->sum_bits, bits, memory_order_relaxed);
}

static struct upstream_series *sum_upstream(struct sum *sum, struct slice labels)
{
    struct upstream_series *s = map_get(&sum->upstream, labels);
    if (s != NULL)
        return s;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->labels = labels;
    upstream_series_init(s);
    if (map_put(&sum->upstream, labels, s) == 0)
        return s;
    free(s);
    return NULL;
}

static struct http_series *sum_http(struct sum *sum, struct slice labels)
{
    struct http_series *s = map_get(&sum->http, labels);
    if (s != NULL)
        return s;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->labels = labels;
    http_series_init(s);
    if (map_put(&sum->http, labels, s) == 0)
        return s;
    free(s);
    return NULL;
}

static void add_upstream(struct sum *sum, const struct upstream_series *from)
{
    struct upstream_series *to = sum_upstream(sum, from->labels);
    if (to == NULL) {
        sum->err = ERR_NOMEM;
        return;
    }
    add_counter(&to->requests, &from->requests);
    add_counter(&to->successes, &from->successes);
    add_counter(&to->input_tokens, &from->input_tokens);
    add_counter(&to->output_tokens, &from->output_tokens);
    add_counter(&to->cache_read_tokens, &from->cache_read_tokens);
    add_counter(&to->cache_write_tokens, &from->cache_write_tokens);
    add_counter(&to->cost, &from->cost);
    for (unsigned i = 0; i < from->error_count; i++)
        upstream_series_error(to, from->errors[i].status, from->errors[i].count);
    add_histogram(&to->latency[0], &from->latency[0]);
    add_histogram(&to->latency[1], &from->latency[1]);
    add_histogram(&to->first_token, &from->first_token);
    add_histogram(&to->token_gap, &from->token_gap);
}

static void add_http(struct sum *sum, const struct http_series *from)
{
    struct http_series *to = sum_http(sum, from->labels);
    if (to == NULL) {
        sum->err = ERR_NOMEM;
        return;
    }
    add_counter(&to->requests, &from->requests);
    add_histogram(&to->seconds, &from->seconds);
    add_histogram(&to->request_bytes, &from->request_bytes);
    add_histogram(&to->response_bytes, &from->response_bytes);
}

static void read_h2(struct h2_figures *f, const struct counter *connections,
                    const struct h2_counts *counts)
{
    f->connections = counter_get(connections);
    f->streams = counter_get(&counts->streams);
    f->malformed = counter_get(&counts->malformed);
    for (unsigned i = 0; i < H2_LIMIT_COUNT; i++)
        f->limits[i] = counter_get(&counts->hit[i]);
}

static void add_figures(struct core_figures *f, struct gateway_core *core)
{
    const struct net_stats *net = &core->net.stats;
    struct ring_stats ring;
    ring_stats_read(core->net.ring, &ring);
    *f = (struct core_figures){
        .connections = atomic_load_explicit(&net->connections, memory_order_relaxed),
        .fibers = fiber_live(core->net.fibers),
        .accepted = counter_get(&net->accepted),
        .handed_over = counter_get(&net->handed_over),
        .requests = counter_get(&net->requests),
        .bad_requests = counter_get(&net->bad_requests),
        .timeouts = counter_get(&net->timeouts),
        .connects = counter_get(&net->upstream_connects),
        .reuses = counter_get(&net->upstream_reuses),
        .retries = counter_get(&net->upstream_retries),
        .handshakes = counter_get(&net->upstream_handshakes),
        .resumptions = counter_get(&net->upstream_resumptions),
        .h2_taken_back = counter_get(&net->h2_taken_back),
        .h2_refused = counter_get(&net->upstream_h2_refused),
        .h2_goaways = counter_get(&net->upstream_h2_goaways),
        .shaking = core->net.tls.shaking,
        .shaken = counter_get(&net->tls_handshakes),
        .resumed = counter_get(&net->tls_resumptions),
        .log_dropped = core->log.dropped_total,
        .overflow = counter_get(&core->metrics.overflow),
        .turns = ring.turns,
        .lag_ns = (uint64_t)ring.turn_ns_max,
    };
    read_h2(&f->h2[H2_SERVER], &net->h2_connections, &net->h2);
    read_h2(&f->h2[H2_CLIENT], &net->upstream_h2_connections, &net->upstream_h2);
    for (unsigned i = 0; i < TLS_FAILURE_COUNT; i++)
        f->tls_failures[i] = counter_get(&net->tls_failures[i]);
    for (unsigned i = 0; i < PROXY_FAILURE_COUNT; i++)
        f->proxy_failures[i] = counter_get(&net->proxy_failures[i]);
    for (unsigned i = 0; i < NET_SHED_COUNT; i++)
        f->shed[i] = counter_get(&net->shed[i]);
}

static bool visit(struct tour *tour, struct gateway_core *core)
{
    struct sum *sum = container_of(tour, struct sum, tour);
    if (!sum->core_begun) {
        add_figures(&sum->core[core->index], core);
        sum->upstream_position = 0;
        sum->http_position = 0;
        sum->core_begun = true;
    }
    unsigned left = VISIT_SERIES;
    struct map_entry *e;
    while (left > 0 && (e = map_next(&core->metrics.upstream, &sum->upstream_position)) != NULL) {
        add_upstream(sum, e->value);
        left--;
    }
    while (left > 0 && (e = map_next(&core->metrics.http, &sum->http_position)) != NULL) {
        add_http(sum, e->value);
        left--;
    }
    sum->core_begun = left == 0;
    return left > 0;
}

static void come_home(struct tour *tour)
{
    struct sum *sum = container_of(tour, struct sum, tour);
    fiber_wait_done(&sum->wait, sum->err);
}

// ---- Writing ---------------------------------------------------------------------------------

static void add_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

// The shortest of the usual spellings that reads back as the same number.
static void add_double(struct buf *out, double value)
{
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_add(out, slice_str(text));
}

// `extra` is a label more, with its comma, or "".
static void add_count(struct buf *out, const char *name, struct slice labels, const char *extra,
                      uint64_t value)
{
    buf_printf(out, "%s{", name);
    buf_add(out, labels);
    buf_printf(out, "%s} %llu\n", extra, (unsigned long long)value);
}

static void add_buckets(struct buf *out, const char *name, struct slice labels, const char *extra,
                        const struct histogram *h)
{
    uint64_t count = 0;
    if (histogram_count(h) == 0)
        return;
    for (unsigned i = 0; i <= h->n; i++) {
        count += counter_get(&h->bucket[i]);
        buf_printf(out, "%s_bucket{", name);
        buf_add(out, labels);
        if (i < h->n)
            buf_printf(out, "%s,le=\"%g\"} ", extra, h->bounds[i]);
        else
            buf_printf(out, "%s,le=\"+Inf\"} ", extra);
        buf_add_u64(out, count);
        buf_add_char(out, '\n');
    }
    buf_printf(out, "%s_sum{", name);
    buf_add(out, labels);
    buf_printf(out, "%s} ", extra);
    add_double(out, histogram_sum(h));
    buf_printf(out, "\n%s_count{", name);
    buf_add(out, labels);
    buf_printf(out, "%s} %llu\n", extra, (unsigned long long)count);
}

// A family and how a series' share of it is written.
struct family {
    const char *name, *type, *help;
    void (*write)(struct buf *out, const struct family *f, const void *series);
    size_t offset; // of the counter or histogram in the series
};

static void write_counter(struct buf *out, const struct family *f, const void *series)
{
    const struct counter *c = (const void *)((const char *)series + f->offset);
    const struct slice *labels =
        (const void *)((const char *)series + offsetof(struct http_series, labels));
    if (counter_get(c) > 0)
        add_count(out, f->name, *labels, "", counter_get(c));
}

// Of a counter in 10⁻¹² dollars.
static void write_dollars(struct buf *out, const struct family *f, const void *series)
{
    const struct counter *c = (const void *)((const char *)series + f->offset);
    const struct slice *labels =
        (const void *)((const char *)series + offsetof(struct http_series, labels));
    if (counter_get(c) == 0)
        return;
    buf_printf(out, "%s{", f->name);
    buf_add(out, *labels);
    buf_add(out, SLICE("} "));
    add_double(out, (double)counter_get(c) / (double)PRICE_DOLLAR);
    buf_add_char(out, '\n');
}

static void write_histogram(struct buf *out, const struct family *f, const void *series)
{
    const struct histogram *h = (const void *)((const char *)series + f->offset);
    const struct slice *labels =
        (const void *)((const char *)series + offsetof(struct http_series, labels));
    add_buckets(out, f->name, *labels, "", h);
}

static void write_errors(struct buf *out, const struct family *f, const void *series)
{
    const struct upstream_series *s = series;
    for (unsigned i = 0; i < s->error_count; i++) {
        char extra[48];
        if (s->errors[i].status > 0)
            snprintf(extra, sizeof(extra), ",status_code=\"%u\"", s->errors[i].status);
        else
            snprintf(extra, sizeof(extra), ",status_code=\"other\"");
        add_count(out, f->name, s->labels, extra, s->errors[i].count);
    }
}

static void write_latency(struct buf *out, const struct family *f, const void *series)
{
    const struct upstream_series *s = series;
    add_buckets(out, f->name, s->labels, ",is_success=\"false\"", &s->latency[0]);
    add_buckets(out, f->name, s->labels, ",is_success=\"true\"", &s->latency[1]);
}

// Both kinds of series begin alike, so that one writer serves both.
_Static_assert(offsetof(struct http_series, labels) == offsetof(struct upstream_series, labels),
               "labels stand in the same place");

#define UP(member) offsetof(struct upstream_series, member)
static const struct family upstream_families[] = {
    {"bifrost_upstream_requests_total", "counter", "Requests sent to providers.", write_counter,
     UP(requests)},
    {"bifrost_success_requests_total", "counter", "Requests that providers answered well.",
     write_counter, UP(successes)},
    {"bifrost_error_requests_total", "counter", "Requests that failed at a provider.", write_errors,
     0},
    {"bifrost_upstream_latency_seconds", "histogram", "Time a provider took for a request.",
     write_latency, 0},
    {"bifrost_input_tokens_total", "counter", "Input tokens, as providers counted them.",
     write_counter, UP(input_tokens)},
    {"bifrost_output_tokens_total", "counter", "Output tokens, as providers counted them.",
     write_counter, UP(output_tokens)},
    {"bifrost_cache_read_input_tokens_total", "counter",
     "Input tokens read from a provider's prompt cache.", write_counter, UP(cache_read_tokens)},
    {"bifrost_cache_write_input_tokens_total", "counter",
     "Input tokens written to a provider's prompt cache.", write_counter, UP(cache_write_tokens)},
    {"bifrost_cost_total", "counter", "Dollars, by the providers' prices.", write_dollars,
     UP(cost)},
    {"bifrost_stream_first_token_latency_seconds", "histogram",
     "Time to the first event of a stream.", write_histogram, UP(first_token)},
    {"bifrost_stream_inter_token_latency_seconds", "histogram",
     "Time between two events of a stream.", write_histogram, UP(token_gap)},
};

#define HTTP(member) offsetof(struct http_series, member)
static const struct family http_families[] = {
    {"http_requests_total", "counter", "HTTP requests answered.", write_counter, HTTP(requests)},
    {"http_request_duration_seconds", "histogram", "Time from a request's head to its end.",
     write_histogram, HTTP(seconds)},
    {"http_request_size_bytes", "histogram", "Size of request bodies.", write_histogram,
     HTTP(request_bytes)},
    {"http_response_size_bytes", "histogram", "Size of answer bodies.", write_histogram,
     HTTP(response_bytes)},
};

// Lets the loop breathe between two runs of series.
static int breathe_await(struct fiber *self)
{
    return fiber_sleep_await(self, mono_add_ms(ring_now(fiber_ring(self)), 1));
}

static int write_family_await(struct buf *out, const struct family *f, const struct map *m,
                              struct metrics_taker *taker, struct fiber *self)
{
    unsigned n = 0;
    int rc = 0;
    struct map_entry *e;
    if (m->live > 0)
        add_family(out, f->name, f->type, f->help);
    for (size_t i = 0; rc == 0 && (e = map_next(m, &i)) != NULL;) {
        f->write(out, f, e->value);
        if (taker && out->len >= METRICS_PART_BYTES && out->err == 0)
            rc = taker->take_await(taker, self, out);
        if (rc == 0 && ++n % WRITE_SERIES == 0)
            rc = breathe_await(self);
    }
    return rc;
}

// ---- ringgate's own and the process's ---------------------------------------------------------

struct core_family {
    const char *name, *type, *help;
    size_t offset;
};

static const struct core_family core_families[] = {
#define X(member, name, type, help) {name, type, help, offsetof(struct core_figures, member)},
    CORE_MAP(X)
#undef X
};

static void write_cores(struct buf *out, const struct sum *sum, unsigned cores)
{
    for (size_t i = 0; i < ARRAY_LEN(core_families); i++) {
        const struct core_family *f = &core_families[i];
        bool nanoseconds = f->offset == offsetof(struct core_figures, lag_ns);
        add_family(out, f->name, f->type, f->help);
        for (unsigned c = 0; c < cores; c++) {
            uint64_t value;
            memcpy(&value, (const char *)&sum->core[c] + f->offset, sizeof(value));
            buf_printf(out, "%s{core=\"%u\"} ", f->name, c);
            add_double(out, (double)value / (nanoseconds ? NS_PER_SECOND : 1));
            buf_add_char(out, '\n');
        }
    }
}

struct h2_family {
    const char *name, *help;
    size_t offset;
};

static const struct h2_family h2_families[] = {
#define X(member, name, help) {name, help, offsetof(struct h2_figures, member)},
    H2_MAP(X)
#undef X
};

static void write_h2(struct buf *out, const struct sum *sum, unsigned cores)
{
    for (size_t i = 0; i < ARRAY_LEN(h2_families); i++) {
        const struct h2_family *f = &h2_families[i];
        add_family(out, f->name, "counter", f->help);
        for (unsigned n = 0; n < cores * H2_ROLES; n++) {
            uint64_t value;
            memcpy(&value, (const char *)&sum->core[n / H2_ROLES].h2[n % H2_ROLES] + f->offset,
                   sizeof(value));
            buf_printf(out, "%s{core=\"%u\",role=\"%s\"} %llu\n", f->name, n / H2_ROLES,
                       h2_roles[n % H2_ROLES], (unsigned long long)value);
        }
    }
}

static void write_h2_limits(struct buf *out, const struct sum *sum, unsigned cores)
{
    static const char name[] = "ringgate_http2_limits_total";
    add_family(out, name, "counter", "Limits of HTTP/2 that peers went beyond.");
    for (unsigned n = 0; n < cores * H2_ROLES; n++) {
        const struct h2_figures *f = &sum->core[n / H2_ROLES].h2[n % H2_ROLES];
        for (unsigned i = 0; i < H2_LIMIT_COUNT; i++)
            buf_printf(out, "%s{core=\"%u\",role=\"%s\",limit=\"%s\"} %llu\n", name, n / H2_ROLES,
                       h2_roles[n % H2_ROLES], h2_limit_label(i), (unsigned long long)f->limits[i]);
    }
}

// Counters of a core that lie in a row, one for each reason.
struct reason_family {
    const char *name, *help;
    const char *const *reasons;
    size_t count, offset;
};

#define X(name, label) label,
static const char *const tls_reasons[] = {TLS_FAILURE_MAP(X)};
static const char *const proxy_reasons[] = {PROXY_FAILURE_MAP(X)};
static const char *const shed_reasons[] = {NET_SHED_MAP(X)};
#undef X

static const struct reason_family reason_families[] = {
    {"ringgate_tls_handshake_failures_total", "TLS handshakes with clients that came to nothing.",
     tls_reasons, TLS_FAILURE_COUNT, offsetof(struct core_figures, tls_failures)},
    {"ringgate_proxy_protocol_failures_total",
     "Connections closed for want of a good PROXY header.", proxy_reasons, PROXY_FAILURE_COUNT,
     offsetof(struct core_figures, proxy_failures)},
    {"ringgate_clients_shed_total", "Connections and requests let down for being slow or too many.",
     shed_reasons, NET_SHED_COUNT, offsetof(struct core_figures, shed)},
};

static void write_reasons(struct buf *out, const struct sum *sum, unsigned cores)
{
    for (size_t n = 0; n < ARRAY_LEN(reason_families); n++) {
        const struct reason_family *f = &reason_families[n];
        add_family(out, f->name, "counter", f->help);
        for (unsigned i = 0; i < cores * f->count; i++) {
            unsigned c = i / (unsigned)f->count, r = i % (unsigned)f->count;
            const uint64_t *row = (const void *)((const char *)&sum->core[c] + f->offset);
            buf_printf(out, "%s{core=\"%u\",reason=\"%s\"} %llu\n", f->name, c, f->reasons[r],
                       (unsigned long long)row[r]);
        }
    }
}

static void write_limiters(struct buf *out, const struct config *config)
{
    static const char *const names[] = {"ringgate_provider_running", "ringgate_provider_waiting"};
    static const char *const helps[] = {"Requests a provider is working on.",
                                        "Requests waiting for a provider's slot."};
    for (unsigned n = 0; config != NULL && n < ARRAY_LEN(names); n++) {
        add_family(out, names[n], "gauge", helps[n]);
        for (unsigned i = 0; i < config->provider_count; i++) {
            const struct config_provider *p = &config->providers[i];
            if (p->limiter == NULL)
                continue;
            buf_printf(out, "%s{provider=", names[n]);
            buf_add_json(out, p->name);
            buf_printf(out, "} %u\n",
                       n == 0 ? limiter_running(p->limiter) : limiter_waiting(p->limiter));
        }
    }
}

static void write_single(struct buf *out, const char *name, const char *type, const char *help,
                         double value)
{
    add_family(out, name, type, help);
    buf_printf(out, "%s ", name);
    add_double(out, value);
    buf_add_char(out, '\n');
}

static uint64_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    unsigned long long size, resident;
    if (sscanf(text, "%llu %llu", &size, &resident) != 2)
        return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_upgrades(struct buf *out, const struct handover_area *a)
{
    if (a == NULL)
        return;
    const struct {
        const char *result;
        uint64_t count;
    } rows[] = {
        {"succeeded", atomic_load_explicit(&a->upgrades, memory_order_relaxed)},
        {"failed", atomic_load_explicit(&a->failed, memory_order_relaxed)},
        {"refused", atomic_load_explicit(&a->refused, memory_order_relaxed)},
    };
    add_family(out, "ringgate_upgrades_total", "counter",
               "SIGUSR2, since the first of the processes that replaced each other.");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        buf_printf(out, "ringgate_upgrades_total{result=\"%s\"} %llu\n", rows[i].result,
                   (unsigned long long)rows[i].count);
    write_single(out, "ringgate_generation", "gauge",
                 "Processes that have served, replacing each other, up to the newest.",
                 atomic_load_explicit(&a->generation, memory_order_relaxed));
}

static void write_prices(struct buf *out, const struct gateway *g)
{
    const struct pricing_sync *s = &g->prices;
    write_single(out, "ringgate_pricing_models", "gauge", "Models whose price is known.",
                 atomic_load_explicit(&s->models, memory_order_relaxed));
    add_family(out, "ringgate_pricing_syncs_total", "counter",
               "Attempts to fetch framework.pricing.pricing_url.");
    buf_printf(out, "ringgate_pricing_syncs_total{result=\"succeeded\"} %llu\n",
               (unsigned long long)counter_get(&s->succeeded));
    buf_printf(out, "ringgate_pricing_syncs_total{result=\"failed\"} %llu\n",
               (unsigned long long)counter_get(&s->failed));
}

static void write_process(struct buf *out, const struct gateway *g)
{
    struct timespec cpu = {0};
    struct rlimit files = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    getrlimit(RLIMIT_NOFILE, &files);
    add_family(out, "ringgate_build_info", "gauge", "What is running.");
    buf_add(out, SLICE("ringgate_build_info{version="));
    buf_add_json(out, slice_str(g->version));
    buf_add(out, SLICE("} 1\n"));
    write_single(out, "process_cpu_seconds_total", "counter", "User and system time spent.",
                 (double)cpu.tv_sec + (double)cpu.tv_nsec / NS_PER_SECOND);
    write_single(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
                 (double)resident_bytes());
    write_single(out, "process_max_fds", "gauge", "Descriptors the process may hold.",
                 (double)files.rlim_cur);
    write_single(out, "process_start_time_seconds", "gauge", "Start, in seconds since 1970.",
                 (double)g->started.ns / NS_PER_SECOND);
}

// ---- The scrape ------------------------------------------------------------------------------

static void free_sum(struct sum *sum)
{
    struct map *maps[] = {&sum->upstream, &sum->http};
    for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
        struct map_entry *e;
        for (size_t i = 0; (e = map_next(maps[m], &i)) != NULL;)
            free(e->value);
        map_done(maps[m]);
    }
    free(sum);
}

// 0 with *sum complete, or an error; either way the tour is over.
static int collect_await(struct sum *sum, struct gateway_core *core, struct fiber *self)
{
    int result = 0;
    fiber_wait_begin(&sum->wait);
    tour_start(&sum->tour, core, visit, come_home);
    int rc = fiber_wait_await(&sum->wait, self, &result);
    if (rc < 0) {
        fiber_wait_shielded_await(&sum->wait, self);
        return rc;
    }
    return result;
}

int metrics_scrape_await(struct gateway *g, struct gateway_core *core, struct fiber *self,
                         struct metrics_taker *taker, struct buf *out)
{
    ASSERT(core->gateway == g && g->cores <= CORES_MAX);
    struct sum *sum = calloc(1, sizeof(*sum));
    if (sum == NULL)
        return ERR_NOMEM;
    map_init(&sum->upstream, core->metrics.upstream.seed);
    map_init(&sum->http, core->metrics.http.seed);
    int rc = collect_await(sum, core, self);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(http_families); i++)
        rc = write_family_await(out, &http_families[i], &sum->http, taker, self);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(upstream_families); i++)
        rc = write_family_await(out, &upstream_families[i], &sum->upstream, taker, self);
    if (rc == 0) {
        write_cores(out, sum, g->cores);
        write_h2(out, sum, g->cores);
        write_h2_limits(out, sum, g->cores);
        write_reasons(out, sum, g->cores);
        write_limiters(out, core->config);
        write_prices(out, core->gateway);
        metrics__write_store(out, g->store);
        write_upgrades(out, g->area);
        write_process(out, g);
        rc = out->err;
    }
    free_sum(sum);
    return rc;
}
