// SPDX-License-Identifier: Apache-2.0
//
// process_reload.c: SIGHUP makes a second snapshot and swaps it in.
//
//   core 0 ── SIGHUP ──► worker thread: config_build ──mail──► core 0 ── tour ──► every core:
//                        (files, DNS-free, may take its time)     │                current = new,
//                                                                 │ errors: logged, old one stays
//                                                                 ▼                old one retired
//                                                               done
//
// A request sees the snapshot it began with; the old one is freed by the last core whose last
// exchange on it ends. One reload at a time: a SIGHUP that comes meanwhile starts another after it,
// so the last file written is the one that counts.
//
// Certificates that have changed on disk take the same road without a snapshot: the worker reads
// the files that the snapshot in use names, and the tour gives the cores what was made of them. An
// edited config.json waits for its SIGHUP even then.
//
// Prices that were fetched (pricing_sync.h) make a snapshot too, out of the text that the one in
// use was made of, so that an edited config.json waits for its SIGHUP there as well.
//
// What cannot change without a restart (ports, whether there is TLS, cores, log level, head limit)
// is not looked at, but for a word about TLS: whoever adds or removes it expects something.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/notify.h"
#include "gateway/process_internal.h"
#include "providers/catalog.h"
#include <string.h>

static struct process *process_of(struct reload *r)
{
    return container_of(r, struct process, reload);
}

static void say_lines(struct core_thread *t, enum log_level level, const struct buf *text)
{
    struct slice left = buf_slice(text);
    while (left.len > 0) {
        ptrdiff_t end = slice_find_char(left, '\n');
        struct slice line = slice_take(left, end < 0 ? left.len : (size_t)end);
        if (level >= t->core.log.level)
            log_line(&t->core.log, ring_wall(t->ring), level, line, NULL, 0);
        left = slice_skip(left, line.len + 1);
    }
}

static void finish(struct reload *r)
{
    struct process *p = process_of(r);
    unsigned again = r->again;
    config_report_done(&r->report);
    r->busy = false;
    r->again = 0;
    if (p->control.state != CONTROL_RUNNING)
        return;
    if (r->kind == RELOAD_ALL)
        notify_ready();
    if (r->kind != RELOAD_CERTIFICATES)
        pricing_sync_published(&p->gateway.prices, &process__first_core(p)->core,
                               r->kind == RELOAD_PRICES ? r->err : 0);
    pricing_sync_look(&p->gateway.prices, &process__first_core(p)->core);
    if (again & RELOAD_ALL) // the others too
        process__reload(p, RELOAD_ALL);
    else if (again & RELOAD_PRICES) // certificates too
        process__reload(p, RELOAD_PRICES);
    else if (again)
        process__reload(p, RELOAD_CERTIFICATES);
}

// ---- Certificates
// --------------------------------------------------------------------------------

static void set_current(struct process *p, struct tls_context *context)
{
    struct tls_context *old = p->care.current;
    p->care.current = tls_context_get(context);
    tls_context_put(old);
}

static bool swap_certificates(struct tour *tour, struct gateway_core *core)
{
    struct reload *r = container_of(tour, struct reload, tour);
    net_tls_use(&core->net, r->fresh);
    return true;
}

static void certificates_swapped(struct tour *tour)
{
    struct reload *r = container_of(tour, struct reload, tour);
    struct process *p = process_of(r);
    struct core_thread *t = process__first_core(p);
    LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "TLS certificates reloaded");
    set_current(p, r->fresh);
    tls_context_put(r->fresh);
    r->fresh = NULL;
    process__tls_watch(p); // a link may lead elsewhere now
    finish(r);
}

static void certificates_built(struct process *p, struct reload *r)
{
    struct core_thread *t = process__first_core(p);
    if (r->err < 0) {
        struct slice lines = buf_slice(&r->report.errors);
        ptrdiff_t end = lines.len > 0 ? slice_find_char(lines, '\n') : -1;
        LOG(&t->core.log, ring_wall(t->ring), LOG_ERROR,
            "TLS certificates not reloaded, the old ones stay",
            LOG_S("error", end > 0 ? slice_take(lines, (size_t)end) : slice_str(err_text(r->err))));
        finish(r);
    } else if (tls_context_same(p->care.current, r->fresh)) {
        tls_context_put(r->fresh);
        r->fresh = NULL;
        finish(r);
    } else {
        tour_start(&r->tour, &t->core, swap_certificates, certificates_swapped);
    }
}

// ---- The whole snapshot ------------------------------------------------------------------------

static bool swap(struct tour *tour, struct gateway_core *core)
{
    struct reload *r = container_of(tour, struct reload, tour);
    struct config *old = core->config;
    core->config = r->config;
    if (core->net.tls.context && r->config->tls)
        net_tls_use(&core->net, r->config->tls->context);
    net_senders_use(&core->net, &core->config->senders);
    config_retire(old, core->index);
    return true;
}

static void swapped(struct tour *tour)
{
    struct reload *r = container_of(tour, struct reload, tour);
    struct process *p = process_of(r);
    struct core_thread *t = process__first_core(p);
    if (r->kind == RELOAD_ALL)
        LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "configuration reloaded",
            LOG_N("providers", r->config->provider_count));
    else
        LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "prices updated",
            LOG_N("models", catalog_count(r->config->catalog)));
    if (p->secure != (r->config->tls != NULL))
        LOG(&t->core.log, ring_wall(t->ring), LOG_WARN,
            "server.tls was added or removed: that needs a restart");
    else if (p->secure)
        set_current(p, r->config->tls->context);
    process__tls_watch(p);
    process__retain(p, &r->config->logging);
    r->config = NULL;
    finish(r);
}

static void on_built(struct ring *ring, struct ring_mail *mail)
{
    struct reload *r = container_of(mail, struct reload, mail);
    struct process *p = process_of(r);
    struct core_thread *t = process__first_core(p);
    ASSERT(ring == t->ring && r->busy);
    pthread_join(r->thread, NULL); // it has sent its last word
    catalog_put(r->catalog);
    if (r->kind == RELOAD_CERTIFICATES) {
        certificates_built(p, r);
        return;
    }
    if (r->kind == RELOAD_ALL) // else they have been said
        say_lines(t, LOG_WARN, &r->report.warnings);
    say_lines(t, LOG_ERROR, &r->report.errors);
    if (r->err < 0) {
        LOG(&t->core.log, ring_wall(ring), LOG_ERROR,
            "configuration not reloaded, the old one stays",
            LOG_S("error", slice_str(err_text(r->err))));
        finish(r);
        return;
    }
    atomic_store(&r->config->cores, p->gateway.cores);
    tour_start(&r->tour, &t->core, swap, swapped);
}

static void *build(void *reload)
{
    struct reload *r = reload;
    struct process *p = process_of(r);
    struct config_source source = process__source(p->setup, &p->gateway);
    struct slice key = buf_slice(&p->encryption_key);
    source.catalog = r->catalog;
    source.encryption_key = p->gateway.store != NULL ? &key : NULL;
    if (r->kind == RELOAD_CERTIFICATES)
        r->err = config_listener_context(r->base->tls, &r->report, &r->fresh);
    else if (r->kind == RELOAD_PRICES)
        r->err = config_build_again(r->base, &source, p->gateway.limiters, &r->report, &r->config);
    else
        r->err = config_build(&source, p->gateway.limiters, &r->report, &r->config);
    ring_mail_send(NULL, process__first_core(p)->ring, &r->mail, on_built);
    return NULL;
}

void process__reload(struct process *p, enum reload_kind kind)
{
    struct reload *r = &p->reload;
    struct core_thread *t = process__first_core(p);
    if (r->busy) {
        r->again |= kind;
        return;
    }
    if (kind == RELOAD_CERTIFICATES && t->core.config->tls == NULL)
        return; // a snapshot without them is in use
    r->busy = true;
    r->kind = kind;
    if (kind == RELOAD_ALL)
        notify_reloading();
    r->base = t->core.config;
    r->catalog = catalog_get(p->gateway.catalog);
    r->config = NULL;
    r->fresh = NULL;
    config_report_init(&r->report);
    int rc = pthread_create(&r->thread, NULL, build, r);
    if (rc != 0) {
        LOG(&t->core.log, ring_wall(t->ring), LOG_ERROR, "configuration not reloaded",
            LOG_S("error", slice_str(strerror(rc))));
        catalog_put(r->catalog);
        r->err = ERR_SYSTEM;
        finish(r);
    }
}

// ---- Prices ------------------------------------------------------------------------------------

static void publish_prices(struct gateway *g)
{
    struct process *p = container_of(g, struct process, gateway);
    if (p->control.state == CONTROL_RUNNING)
        process__reload(p, RELOAD_PRICES);
}

void process__prices_begin(struct process *p)
{
    pricing_sync_begin(&p->gateway.prices, &process__first_core(p)->core, publish_prices);
}
