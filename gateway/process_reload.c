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
// What cannot change without a restart (listener, cores, log level, head limit) is not looked at.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/notify.h"
#include "gateway/process_internal.h"
#include <string.h>

static struct process *process_of(struct reload *r)
{
    return container_of(r, struct process, reload);
}

static struct core_thread *first_core(struct process *p)
{
    return p->thread[0];
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
    bool again = r->again;
    config_report_done(&r->report);
    r->busy = false;
    r->again = false;
    if (p->control.state != CONTROL_RUNNING)
        return;
    notify_ready();
    if (again)
        process__reload(p);
}

static bool swap(struct tour *tour, struct gateway_core *core)
{
    struct reload *r = container_of(tour, struct reload, tour);
    struct config *old = core->config;
    core->config = r->config;
    config_retire(old, core->index);
    return true;
}

static void swapped(struct tour *tour)
{
    struct reload *r = container_of(tour, struct reload, tour);
    struct core_thread *t = first_core(process_of(r));
    LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "configuration reloaded",
        LOG_N("providers", r->config->provider_count));
    r->config = NULL;
    finish(r);
}

static void on_built(struct ring *ring, struct ring_mail *mail)
{
    struct reload *r = container_of(mail, struct reload, mail);
    struct process *p = process_of(r);
    struct core_thread *t = first_core(p);
    ASSERT(ring == t->ring && r->busy);
    pthread_join(r->thread, NULL); // it has sent its last word
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
    struct config_source source = process__source(p->setup);
    r->err = config_build(&source, p->gateway.limiters, &r->report, &r->config);
    ring_mail_send(NULL, first_core(p)->ring, &r->mail, on_built);
    return NULL;
}

void process__reload(struct process *p)
{
    struct reload *r = &p->reload;
    struct core_thread *t = first_core(p);
    if (r->busy) {
        r->again = true;
        return;
    }
    r->busy = true;
    notify_reloading();
    r->config = NULL;
    config_report_init(&r->report);
    int rc = pthread_create(&r->thread, NULL, build, r);
    if (rc != 0) {
        LOG(&t->core.log, ring_wall(t->ring), LOG_ERROR, "configuration not reloaded",
            LOG_S("error", slice_str(strerror(rc))));
        finish(r);
    }
}
