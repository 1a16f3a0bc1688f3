// SPDX-License-Identifier: Apache-2.0
//
// world.c: see world.h.
//
// The gateway is put together as gateway/process.c and process_core.c do it, without their threads
// and signals; the way down is that of process_control.c.
#include "tests/sim/world.h"

#include "admin/admin.h"
#include "base/assert.h"
#include "base/err.h"
#include "gateway/gateway.h"
#include "gateway/limiter.h"
#include "gateway/metrics_series.h"
#include "gateway/tour.h"
#include "net/sockets.h"
#include "ring/work.h"
#include "tests/sim/client.h"
#include "tests/sim/client_h2.h"
#include "tests/sim/kernel.h"
#include "tests/sim/loop.h"
#include "tests/sim/provider.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORES       2
#define CLIENTS_MAX 6
#define PORT        8080
#define ROUND_MS    20
#define ABORT_MS    5000
#define LAST_TURNS  2
// Nobody waits for anything longer than this in a story of some requests.
#define STORY_NS (3600 * NS_PER_S)

struct core {
    struct gateway_core core;
    struct ring *ring;
    struct fiber_sched *fibers;
};

enum way_down { RUNNING, DRAINING, ABORTING, STOPPED };

struct world {
    struct gateway gateway;
    struct core *core[CORES];
    struct config *config;
    struct net_sockets sockets;
    struct sim_loop loop;
    struct story story;
    struct provider provider[2];
    struct client client[CLIENTS_MAX];
    struct client_h2 client_h2[CLIENTS_MAX];
    unsigned clients, clients_h2;
    unsigned fibers_max;
    // The way down.
    enum way_down way;
    struct ring_mail order;
    struct ring_timer timer;
    struct tour tour;
    int64_t until;
    unsigned busy, drain_ms;
    // A reload.
    struct ring_mail built;
    struct tour reload;
    struct config *fresh; // on its way to the cores
    // Log lines of requests.
    struct text line[CORES]; // not ended yet
    uint64_t logged;
};

static struct world *world; // of this seed: the kernel's log has no owner

// ---- The log ---------------------------------------------------------------------------------

static void on_log(unsigned ring, const char *bytes, size_t len)
{
    struct text *line = &world->line[ring];
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n') {
            text_add(line, &bytes[i], 1);
            continue;
        }
        if (text_find(line, 0, "\"message\":\"request") >= 0)
            world->logged++;
        sim_trace("log: %.*s", (int)line->len, line->ptr);
        line->len = 0;
    }
}

// As process_core.c: the filled half goes out at the end of a turn.
static void on_log_written(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct gateway_core *core = container_of(op, struct gateway_core, log_write);
    if (event->res > 0 && (size_t)event->res < core->log_left.len) {
        core->log_left = slice_skip(core->log_left, (size_t)event->res);
        ring_write(ring, op, on_log_written, 2, core->log_left.ptr, core->log_left.len);
        return;
    }
    log_written(&core->log);
}

static void flush_log(struct ring *ring, struct ring_hook *hook)
{
    struct gateway_core *core = container_of(hook, struct gateway_core, log_hook);
    if (ring_op_busy(&core->log_write))
        return;
    core->log_left = log_take(&core->log);
    if (core->log_left.len > 0)
        ring_write(ring, &core->log_write, on_log_written, 2, core->log_left.ptr,
                   core->log_left.len);
}

// ---- Making ----------------------------------------------------------------------------------

static const char *environment(const char *name)
{
    (void)name;
    return NULL;
}

static void add_provider(struct text *t, const char *name, unsigned port, const char *more)
{
    text_printf(t,
                "\"%s\":{\"keys\":[{\"name\":\"%s-a\",\"value\":\"sk-a\",\"models\":[\"*\"],"
                "\"weight\":1},{\"name\":\"%s-b\",\"value\":\"sk-b\",\"models\":[\"*\"],"
                "\"weight\":1}],\"network_config\":{\"base_url\":\"http://127.0.0.1:%u\","
                "\"default_request_timeout_in_seconds\":%u,"
                "\"stream_idle_timeout_in_seconds\":%u,\"max_retries\":%u,"
                "\"retry_backoff_initial\":100,\"retry_backoff_max\":200,"
                "\"max_conns_per_host\":%u},\"concurrency_and_buffer_size\":"
                "{\"concurrency\":%u,\"buffer_size\":%u}%s}",
                name, name, name, port, (unsigned)sim_between(1, 5), (unsigned)sim_between(5, 8),
                (unsigned)sim_below(3), (unsigned)sim_between(1, 8), (unsigned)sim_between(1, 6),
                (unsigned)sim_between(6, 12), more);
}

static struct config *make_config(const struct world *w)
{
    struct text t = {0};
    struct config_source source = {.environment = environment};
    struct config_report report;
    struct config *config = NULL;
    text_printf(&t, "{\"server\":{\"drain_timeout_s\":%u},\"client\":{\"drop_excess_requests\":%s}",
                w->drain_ms / 1000, sim_chance(500) ? "true" : "false");
    text_printf(&t, ",\"providers\":{");
    add_provider(&t, "openai", 9001, "");
    text_printf(&t, ",");
    add_provider(&t, "other", 9002,
                 ",\"custom_provider_config\":{\"base_provider_type\":\"openai\"}");
    text_printf(&t, "}}");
    config_report_init(&report);
    int rc =
        config_build_text(slice_of(t.ptr, t.len), &source, w->gateway.limiters, &report, &config);
    SIM_HOLDS(rc == 0, "the configuration: %.*s", SLICE_ARG(buf_slice(&report.errors)));
    config_report_done(&report);
    text_free(&t);
    atomic_store(&config->cores, w->gateway.cores);
    return config;
}

static void *zalloc_aligned(size_t bytes)
{
    bytes = (bytes + 63) / 64 * 64;
    void *p = aligned_alloc(64, bytes);
    ASSERT(p);
    return memset(p, 0, bytes);
}

static void make_core(struct world *w, unsigned index)
{
    struct core *c = zalloc_aligned(sizeof(*c));
    struct gateway_core *core = &c->core;
    struct ring_options options = {.entries = 1u << sim_between(3, 10)};
    struct fiber_options fibers = {.fibers_max = w->fibers_max, .keep_max = 4};
    struct net_options net = {.senders = &w->config->senders};
    uint64_t seed[2] = {prng_next(&sim.prng), prng_next(&sim.prng)};
    const char *reason = "";
    w->core[index] = c;
    w->gateway.core[index] = core;
    core->gateway = &w->gateway;
    core->index = index;
    core->config = w->config;
    core->server =
        (struct net_server){.on_request = gateway_on_request, .refusal = gateway_refusal};
    net.head_bytes_max = w->config->head_bytes_max;
    ASSERT(ring_new(&options, &c->ring, &reason) == 0);
    credentials_init(&core->credentials);
    ASSERT(log_init(&core->log, LOG_INFO, LOG_JSON) == 0);
    ASSERT(metrics_init(&core->metrics, seed) == 0);
    ASSERT(fiber_sched_new(c->ring, &fibers, &c->fibers) == 0);
    ASSERT(net_core_init(&core->net, index, &w->gateway.net, c->ring, c->fibers, &core->log,
                         &core->server, &net) == 0);
    ring_hook_add(c->ring, &core->log_hook, flush_log);
    w->loop.ring[w->loop.rings++] = c->ring;
}

static void make_gateway(struct world *w)
{
    struct gateway *g = &w->gateway;
    uint64_t seed[2] = {prng_next(&sim.prng), prng_next(&sim.prng)};
    struct net_want want = {.wanted = true, .host = "127.0.0.1", .port = PORT};
    unsigned port = 0;
    g->version = "sim";
    g->started = clock_wall();
    g->cores = (unsigned)sim_between(1, CORES);
    g->net.cores = g->cores;
    w->fibers_max = sim_chance(100) ? (unsigned)sim_between(1, 3) : 64;
    ASSERT(limiters_new(&g->limiters) == 0);
    ASSERT(work_pool_new(1, &g->work) == 0);
    ASSERT(route_table_init(&g->routes, seed) == 0);
    ASSERT(route_table_add(&g->routes, gateway_routes, gateway_route_count) == 0);
    ASSERT(route_table_add(&g->routes, admin_routes, admin_route_count) == 0);
    w->drain_ms = (unsigned)sim_between(1, 30) * 1000;
    w->config = make_config(w);
    for (unsigned i = 0; i < g->cores; i++)
        make_core(w, i);
    ASSERT(net_sockets_open(&w->sockets, NET_ROLE_MAIN, &want, g->cores, &port) == 0);
    for (unsigned i = 0; i < g->cores; i++)
        ASSERT(net_listen(&w->core[i]->core.net, &w->sockets) == 0);
}

// ---- Reload ----------------------------------------------------------------------------------
//
// As process_reload.c, but that the snapshot is built at once.

static bool swap(struct tour *tour, struct gateway_core *core)
{
    struct world *w = container_of(tour, struct world, reload);
    struct config *old = core->config;
    core->config = w->fresh;
    net_senders_use(&core->net, &core->config->senders);
    config_retire(old, core->index);
    return true;
}

static void swapped(struct tour *tour)
{
    struct world *w = container_of(tour, struct world, reload);
    w->config = w->fresh;
    w->fresh = NULL;
}

static void on_built(struct ring *ring, struct ring_mail *mail)
{
    struct world *w = container_of(mail, struct world, built);
    (void)ring;
    tour_start(&w->reload, &w->core[0]->core, swap, swapped);
}

static void begin_reload(void *arg)
{
    struct world *w = arg;
    if (w->way != RUNNING)
        return;
    sim_trace("another configuration");
    if (!w->fresh) {
        w->fresh = make_config(w);
        ring_mail_send(NULL, w->core[0]->ring, &w->built, on_built);
    }
    if (sim_chance(500))
        (void)sim_after((int64_t)sim_below(3 * (uint64_t)NS_PER_S), begin_reload, w);
}

// ---- The way down ----------------------------------------------------------------------------

static void send_round(struct ring *ring, struct ring_timer *timer);

// From here on closing without an answer is right.
static void lose_clients(struct world *w)
{
    for (unsigned i = 0; i < w->clients; i++)
        w->client[i].may_be_lost = true;
    for (unsigned i = 0; i < w->clients_h2; i++)
        w->client_h2[i].may_be_lost = true;
}

static bool visit(struct tour *tour, struct gateway_core *core)
{
    struct world *w = container_of(tour, struct world, tour);
    (w->way == ABORTING ? net_abort : net_drain)(&core->net);
    if (!net_idle(&core->net) || fiber_live(core->net.fibers) > 0)
        w->busy++;
    return true;
}

static void round_done(struct tour *tour)
{
    struct world *w = container_of(tour, struct world, tour);
    struct ring *ring = w->core[0]->ring;
    if (w->busy == 0 && !w->fresh) {
        w->way = STOPPED;
        return;
    }
    if (sim.now_ns >= w->until) {
        SIM_HOLDS(w->way == DRAINING, "%u cores are not idle five seconds after aborting", w->busy);
        sim_trace("aborting");
        w->way = ABORTING;
        w->until = sim.now_ns + ABORT_MS * NS_PER_MS;
        lose_clients(w);
    }
    ring_timer_set(ring, &w->timer, mono_add_ms(ring_now(ring), ROUND_MS), send_round);
}

static void send_round(struct ring *ring, struct ring_timer *timer)
{
    struct world *w = container_of(timer, struct world, timer);
    (void)ring;
    w->busy = 0;
    tour_start(&w->tour, &w->core[0]->core, visit, round_done);
}

static void on_order(struct ring *ring, struct ring_mail *mail)
{
    struct world *w = container_of(mail, struct world, order);
    w->until = ring_now(ring).ns + w->drain_ms * NS_PER_MS;
    atomic_store(&w->gateway.draining, true);
    send_round(ring, &w->timer);
}

static void begin_end(void *arg)
{
    struct world *w = arg;
    if (w->way != RUNNING)
        return;
    sim_trace("the way down begins");
    w->way = DRAINING;
    for (unsigned i = 0; i < w->clients; i++)
        client_no_more(&w->client[i]);
    for (unsigned i = 0; i < w->clients_h2; i++)
        client_h2_no_more(&w->client_h2[i]);
    ring_mail_send(NULL, w->core[0]->ring, &w->order, on_order);
}

// ---- Unmaking --------------------------------------------------------------------------------

static bool quiet(const struct world *w)
{
    for (unsigned i = 0; i < w->gateway.cores; i++) {
        const struct core *c = w->core[i];
        if (!net_idle(&c->core.net) || fiber_live(c->fibers) > 0 ||
            ring_op_busy(&c->core.log_write))
            return false;
    }
    return true;
}

// Each request was counted, settled and logged once, but for those that were taken back before they
// had begun.
static void check_counts(const struct world *w, bool faulty)
{
    uint64_t requests = 0, settled = 0, silent = 0, dropped = 0;
    for (unsigned i = 0; i < w->gateway.cores; i++) {
        const struct gateway_core *core = &w->core[i]->core;
        size_t at = 0;
        requests += counter_get(&core->net.stats.requests);
        requests -= counter_get(&core->net.stats.h2_taken_back);
        for (struct map_entry *e; (e = map_next(&core->metrics.http, &at));) {
            const struct http_series *series = e->value;
            settled += counter_get(&series->requests);
            if (slice_find(series->labels, SLICE("/health")) >= 0)
                silent += counter_get(&series->requests);
        }
        dropped += core->log.dropped_total;
        SIM_HOLDS(atomic_load(&w->gateway.net.load[i].live) == 0, "core %u has load left: %u", i,
                  atomic_load(&w->gateway.net.load[i].live));
        SIM_HOLDS(atomic_load(&core->net.stats.connections) == 0, "connections are counted still");
    }
    SIM_HOLDS(settled <= requests, "%llu requests, settled %llu times",
              (unsigned long long)requests, (unsigned long long)settled);
    bool all_served = w->fibers_max >= 64 && !faulty;
    SIM_HOLDS(!all_served || settled == requests, "%llu requests, %llu settled",
              (unsigned long long)requests, (unsigned long long)settled);
    SIM_HOLDS(!all_served || dropped > 0 || w->logged == settled - silent,
              "%llu requests, %llu of them to /health, %llu lines in the log",
              (unsigned long long)requests, (unsigned long long)silent,
              (unsigned long long)w->logged);
    uint64_t bytes = atomic_load(&w->gateway.net.body_bytes);
    SIM_HOLDS(bytes == 0, "%llu request bytes are in flight still", (unsigned long long)bytes);
    for (unsigned i = 0; i < w->config->provider_count; i++) {
        const struct limiter *l = w->config->providers[i].limiter;
        SIM_HOLDS(limiter_running(l) == 0 && limiter_waiting(l) == 0,
                  "%u slots are taken, %u wait for one", limiter_running(l), limiter_waiting(l));
    }
}

static void unmake_core(struct core *c)
{
    net_core_done(&c->core.net);
    fiber_sched_free(c->fibers);
    ring_free(c->ring);
    credentials_done(&c->core.credentials);
    metrics_done(&c->core.metrics);
    log_done(&c->core.log);
    free(c);
}

static void unmake(struct world *w, bool faulty)
{
    struct gateway *g = &w->gateway;
    // What was submitted last: descriptors to be closed, log lines.
    LOOP_UNTIL(&w->loop, 60 * NS_PER_S, quiet(w));
    for (unsigned i = 0; i < w->clients; i++)
        client_end(&w->client[i]);
    for (unsigned i = 0; i < w->clients_h2; i++)
        client_h2_end(&w->client_h2[i]);
    for (unsigned i = 0; i < ARRAY_LEN(w->provider); i++)
        provider_end(&w->provider[i]);
    LOOP_UNTIL(&w->loop, 60 * NS_PER_S, kernel_in_flight() == g->cores && quiet(w));
    check_counts(w, faulty);
    // As process_core.c: a wake for another core may still lie unsubmitted.
    for (unsigned i = 0; i < LAST_TURNS * g->cores; i++)
        (void)ring_turn(w->core[i % g->cores]->ring, (struct mono){.ns = sim.now_ns});
    for (unsigned i = 0; i < g->cores; i++)
        config_retire(w->core[i]->core.config, i);
    for (unsigned i = 0; i < g->cores; i++)
        unmake_core(w->core[i]);
    route_table_done(&g->routes);
    limiters_free(g->limiters);
    work_pool_free(g->work);
}

// ---- A seed ----------------------------------------------------------------------------------

static bool told(const struct world *w)
{
    for (unsigned i = 0; i < w->clients; i++) {
        if (!w->client[i].done)
            return false;
    }
    for (unsigned i = 0; i < w->clients_h2; i++) {
        if (!w->client_h2[i].done)
            return false;
    }
    return true;
}

static void live(struct world *w)
{
    provider_begin(&w->provider[0], &w->story, 9001);
    provider_begin(&w->provider[1], &w->story, 9002);
    w->clients = (unsigned)sim_between(1, CLIENTS_MAX);
    w->clients_h2 = sim_chance(400) ? (unsigned)sim_between(1, 3) : 0;
    for (unsigned i = 0; i < w->clients; i++)
        client_begin(&w->client[i], &w->story, i, PORT);
    for (unsigned i = 0; i < w->clients_h2; i++)
        client_h2_begin(&w->client_h2[i], &w->story, CLIENTS_MAX + i, PORT);
    if (sim.faults.allocation + sim.faults.operation > 0)
        lose_clients(w);
    if (sim_chance(400))
        (void)sim_after((int64_t)sim_below(6 * (uint64_t)NS_PER_S), begin_end, w);
    if (sim_chance(300))
        (void)sim_after((int64_t)sim_below(3 * (uint64_t)NS_PER_S), begin_reload, w);
    LOOP_UNTIL(&w->loop, STORY_NS, told(w) || w->way == STOPPED);
    begin_end(w);
    LOOP_UNTIL(&w->loop, STORY_NS, w->way == STOPPED);
}

void world_run(uint64_t seed, bool trace, const struct world_faults *faults,
               struct world_result *ret, bool *ret_hit)
{
    int64_t blocks = sim.blocks;
    sim_begin(seed, trace);
    wire_begin();
    kernel_begin(sim_chance(500));
    struct world *w = zalloc_aligned(sizeof(*w));
    world = w;
    kernel_on_log(on_log);
    make_gateway(w);
    sim.faults = (struct sim_faults){
        .allocation = faults->allocation, .operation = faults->operation, .armed = true};
    int64_t began = sim.now_ns;
    live(w);
    sim.faults.armed = false;
    unmake(w, sim.faults.hit);
    *ret_hit = sim.faults.hit;
    *ret = (struct world_result){.count = w->story.count,
                                 .requests = w->story.requests,
                                 .attempts = w->story.attempts,
                                 .turns = w->loop.turns,
                                 .took_ns = sim.now_ns - began};
    story_free(&w->story);
    for (unsigned i = 0; i < CORES; i++)
        text_free(&w->line[i]);
    free(w);
    world = NULL;
    wire_end_all();
    kernel_end();
    sim_end();
    SIM_HOLDS(sim.blocks == blocks, "%lld blocks of memory are left",
              (long long)(sim.blocks - blocks));
}
