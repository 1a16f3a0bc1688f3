// SPDX-License-Identifier: Apache-2.0
//
// pricing_sync.c: the fiber that fetches prices, and what a worker does with them.

#include "gateway/pricing_sync.h"
#include "base/assert.h"
#include "base/err.h"
#include "gateway/coding.h"
#include "gateway/config_build.h"
#include "gateway/gateway.h"
#include "net/upstream.h"
#include "providers/catalog.h"
#include "ring/fiber.h"
#include "ring/work.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// From the request to the last byte; a server that trickles is given up.
#define FETCH_MS (60 * 1000)
// The pause after a failure; it doubles with each further one, up to the second or the interval.
#define RETRY_S     60u
#define RETRY_S_MAX 3600u
// The answer's head.
#define HEAD_MEMORY_BYTES_MAX (256 * 1024)
#define SHUTTING_DOWN         "shutting down"
#define NO_URL                "there is no URL any more"
// Inflated in steps of this.
#define STEP_BYTES (64 * 1024)

// One fetch; on its fiber's stack, but for what the buffers hold.
struct fetch {
    struct pricing_sync *sync;
    const struct coding_row *coding; // of `body`; NULL: none
    struct buf body, text;
    struct catalog *fresh;
    int err;       // of the fetch or of reading it
    int store_err; // errno of keeping the copy, or 0
    char reason[PRICING_REASON_BYTES];
};

static void prices_fiber(struct fiber *self, void *sync);

static struct gateway_core *core_of(struct pricing_sync *s)
{
    return s->gateway->core[0];
}

// ---- Who asked -------------------------------------------------------------------------------

// On its fiber's stack; on core 0's lists between the two mails.
struct asker {
    struct ring_mail mail; // there, and back
    struct list link;
    struct pricing_sync *sync;
    struct ring *home;
    struct fiber_wait wait;
    int err;
    char reason[PRICING_REASON_BYTES];
};

static void on_answered(struct ring *ring, struct ring_mail *mail)
{
    struct asker *a = container_of(mail, struct asker, mail);
    (void)ring;
    fiber_wait_done(&a->wait, a->err);
}

static void answer(struct pricing_sync *s, struct asker *a, int err, const char *reason)
{
    a->err = err;
    snprintf(a->reason, sizeof(a->reason), "%s", reason);
    ring_mail_send(core_of(s)->net.ring, a->home, &a->mail, on_answered);
}

static void answer_all(struct pricing_sync *s, struct list *askers, int err, const char *reason)
{
    for (struct list *l; (l = list_pop_front(askers)) != NULL;)
        answer(s, container_of(l, struct asker, link), err, reason);
}

static void move_all(struct list *from, struct list *to)
{
    for (struct list *l; (l = list_pop_front(from)) != NULL;)
        list_push_back(to, l);
}

static int fail(struct fetch *f, int err, const char *reason)
{
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    f->err = err;
    return err;
}

// ---- The worker's part -----------------------------------------------------------------------

static int inflate_body(struct fetch *f)
{
    struct block_pool blocks;
    struct arena memory;
    struct coding *coding = NULL;
    struct slice in = buf_slice(&f->body);
    size_t len = STEP_BYTES;
    char *room;

    block_pool_init(&blocks, 0);
    arena_init(&memory, &blocks, CATALOG_BYTES_MAX);
    room = arena_bytes(&memory, STEP_BYTES);
    int rc = room ? coding_new(&memory, f->coding, &coding) : ERR_NOMEM;
    while (rc == 0 && (in.len > 0 || len == STEP_BYTES)) {
        rc = coding_step(coding, &in, room, STEP_BYTES, &len);
        if (rc == 0)
            buf_add(&f->text, slice_of(room, len));
        if (rc == 0)
            rc = f->text.err;
    }
    if (rc == 0 && !coding_is_whole(coding))
        rc = ERR_BAD_PACKED;
    coding_free(coding);
    arena_done(&memory);
    block_pool_done(&blocks);
    return rc;
}

static int write_all(int fd, struct slice left)
{
    while (left.len > 0) {
        ssize_t n = write(fd, left.ptr, left.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        left = slice_skip(left, (size_t)n);
    }
    return fsync(fd) < 0 ? errno : 0;
}

// 0 or errno. A reader sees the old copy or the new one, whole.
static int store(const char *path, struct slice text)
{
    char beside[PRICING_PATH_BYTES + 8];

    if (path[0] == '\0')
        return ENAMETOOLONG;
    snprintf(beside, sizeof(beside), "%s.tmp", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return errno;
    int err = write_all(fd, text);
    if (close(fd) < 0 && err == 0)
        err = errno;
    if (err == 0 && rename(beside, path) < 0)
        err = errno;
    if (err)
        unlink(beside);
    return err;
}

static void read_sheet(void *fetch)
{
    struct fetch *f = fetch;
    struct slice text = buf_slice(&f->body);
    const char *reason = NULL;
    int rc = 0;

    if (f->coding) {
        rc = inflate_body(f);
        text = buf_slice(&f->text);
    }
    if (rc) {
        fail(f, rc, err_text(rc));
        return;
    }
    rc = catalog_new(text, &f->fresh, &reason);
    if (rc)
        fail(f, rc, reason ? reason : err_text(rc));
    else
        f->store_err = store(f->sync->path, text);
}

// ---- Fetching --------------------------------------------------------------------------------

static int read_body_await(struct fetch *f, struct fiber *self, struct upstream *u)
{
    struct body_part part = {0};

    while (!part.last) {
        int rc = body_pull_await(&u->body, self, &part);
        if (rc)
            return fail(f, rc, err_text(rc));
        for (unsigned i = 0; i < part.count; i++)
            buf_add(&f->body, part.span[i]);
        bool last = part.last;
        body_put(&u->body, &part);
        part.last = last;
        if (f->body.err)
            return fail(f, f->body.err,
                        f->body.err == ERR_LIMIT ? "the datasheet is too large"
                                                 : err_text(f->body.err));
    }
    return 0;
}

static int look_at_head(struct fetch *f, const struct http_head *head)
{
    const struct http_field *coded = http_head_get(head, HTTP_N_CONTENT_ENCODING);
    char text[PRICING_REASON_BYTES];

    if (head->status != 200) {
        bool elsewhere = head->status >= 300 && head->status < 400;
        snprintf(text, sizeof(text), "the server answered %u%s", head->status,
                 elsewhere ? "; redirects are not followed" : "");
        return fail(f, ERR_UPSTREAM_FOREIGN, text);
    }
    if (!coded || slice_ieq(coded->value, SLICE("identity")))
        return 0;
    f->coding = slice_ieq(coded->value, SLICE("gzip")) ? coding_find(coded->value) : NULL;
    return f->coding ? 0 : fail(f, ERR_UPSTREAM_PROTOCOL, "a content-encoding that is not gzip");
}

static int fetch_await(struct fetch *f, struct fiber *self, const struct config_pricing *from,
                       struct arena *memory)
{
    struct net_core *net = &core_of(f->sync)->net;
    struct upstream *u = NULL;
    struct slice head = arena_printf(
        memory,
        "GET %.*s HTTP/1.1\r\nhost: %.*s\r\naccept: application/json\r\naccept-encoding: gzip\r\n"
        "user-agent: ringgate\r\n\r\n",
        SLICE_ARG(from->path), SLICE_ARG(origin_authority(from->origin)));
    struct iovec iov = {.iov_base = (void *)(uintptr_t)head.ptr, .iov_len = head.len};
    struct upstream_call call = {
        .origin = from->origin, .method = HTTP_GET, .iov = &iov, .iov_count = 1, .arena = memory};
    if (!head.ptr)
        return fail(f, ERR_NOMEM, err_text(ERR_NOMEM));
    fiber_set_deadline(self, mono_add_ms(ring_now(net->ring), FETCH_MS));
    int rc = upstream_call_await(net, self, &call, &u);
    if (rc)
        fail(f, rc, err_text(rc));
    else
        rc = look_at_head(f, &u->head);
    if (rc == 0)
        rc = read_body_await(f, self, u);
    upstream_end(net, u);
    fiber_set_deadline(self, MONO_NEVER);
    return rc;
}

// ---- When ------------------------------------------------------------------------------------

static void start(struct pricing_sync *s)
{
    struct gateway_core *core = core_of(s);

    if (s->url.len == 0)
        answer_all(s, &s->next, ERR_NOT_FOUND, NO_URL);
    if (s->stopped || s->url.len == 0)
        return;
    if (s->fiber) {
        s->again = true;
        return;
    }
    ring_timer_clear(core->net.ring, &s->timer);
    s->last = ring_now(core->net.ring);
    move_all(&s->next, &s->waiting);
    int rc = fiber_spawn(core->net.fibers, prices_fiber, s, &s->fiber);
    if (rc == 0)
        return;
    s->fiber = NULL;
    answer_all(s, &s->waiting, rc, "");
}

static void on_timer(struct ring *ring, struct ring_timer *timer)
{
    (void)ring;
    start(container_of(timer, struct pricing_sync, timer));
}

static void arm(struct pricing_sync *s)
{
    unsigned pause = s->interval_s, most = pause < RETRY_S_MAX ? pause : RETRY_S_MAX;
    if (s->stopped || s->fiber || s->url.len == 0)
        return;
    if (s->failures > 0) {
        pause = RETRY_S;
        for (unsigned i = 1; i < s->failures && pause < most; i++)
            pause *= 2;
        pause = pause < most ? pause : most;
    }
    ring_timer_set(core_of(s)->net.ring, &s->timer, mono_add_ms(s->last, (int64_t)pause * 1000),
                   on_timer);
}

// ---- One round -------------------------------------------------------------------------------

static void conclude(struct pricing_sync *s, struct fetch *f)
{
    struct gateway_core *core = core_of(s);

    if (f->err) {
        s->failures++;
        counter_add(&s->failed, 1);
        LOG(&core->log, ring_wall(core->net.ring), LOG_WARN,
            "prices not fetched, the old ones stay", LOG_S("error", slice_str(f->reason)));
        answer_all(s, &s->waiting, f->err, f->reason);
        return;
    }
    s->failures = 0;
    counter_add(&s->succeeded, 1);
    atomic_store_explicit(&s->models, catalog_count(f->fresh), memory_order_relaxed);
    LOG(&core->log, ring_wall(core->net.ring), LOG_INFO, "prices fetched",
        LOG_N("models", catalog_count(f->fresh)), LOG_N("skipped", catalog_skipped(f->fresh)));
    if (f->store_err)
        LOG(&core->log, ring_wall(core->net.ring), LOG_WARN, "prices not stored",
            LOG_S("error", slice_str(strerror(f->store_err))));
    catalog_put(s->gateway->catalog);
    s->gateway->catalog = f->fresh;
    move_all(&s->waiting, &s->unpublished);
    s->publish(s->gateway);
}

static void prices_fiber(struct fiber *self, void *sync)
{
    struct pricing_sync *s = sync;
    struct gateway_core *core = core_of(s);
    struct config *config = core->config; // holds the origin
    struct fetch f = {.sync = s};
    struct arena memory;

    config_exchange_begin(config, core->index);
    buf_init(&f.body, CATALOG_BYTES_MAX);
    buf_init(&f.text, CATALOG_BYTES_MAX);
    arena_init(&memory, &core->net.blocks, HEAD_MEMORY_BYTES_MAX);
    int rc = config->pricing.origin ? fetch_await(&f, self, &config->pricing, &memory)
                                    : fail(&f, ERR_CANCELLED, NO_URL);
    if (rc == 0 && (rc = work_await(core->gateway->work, self, read_sheet, &f)) != 0)
        fail(&f, rc, err_text(rc));
    if (f.err || s->stopped) {
        catalog_put(f.fresh);
        f.fresh = NULL;
    }
    s->fiber = NULL;
    if (!s->stopped)
        conclude(s, &f);
    arena_done(&memory);
    buf_done(&f.body);
    buf_done(&f.text);
    config_exchange_end(config, core->index);
    bool again = s->again;
    s->again = false;
    if (again)
        start(s);
    else
        arm(s);
}

// ---- Life ------------------------------------------------------------------------------------

int pricing_sync_init(struct pricing_sync *s, const char *folder, struct catalog **ret)
{
    struct buf text;
    const char *reason = NULL;

    buf_init(&s->url, 64 * 1024);
    list_init(&s->next);
    list_init(&s->waiting);
    list_init(&s->unpublished);
    int n = snprintf(s->path, sizeof(s->path), "%s/pricing.json", folder ? folder : ".");
    if (n < 0 || (size_t)n >= sizeof(s->path))
        s->path[0] = '\0';
    buf_init(&text, CATALOG_BYTES_MAX);
    int rc = s->path[0] ? config__read_file(s->path, &text) : ERR_NOT_FOUND;
    if (rc == 0)
        rc = catalog_new(buf_slice(&text), ret, &reason);
    buf_done(&text);
    if (rc && rc != ERR_NOT_FOUND)
        fprintf(stderr, "pricing.json: %s; the built-in prices are used\n",
                reason ? reason : err_text(rc));
    if (rc)
        rc = catalog_new(catalog_built_in(), ret, &reason);
    if (rc == 0)
        atomic_store_explicit(&s->models, catalog_count(*ret), memory_order_relaxed);
    return rc;
}

void pricing_sync_done(struct pricing_sync *s)
{
    buf_done(&s->url);
}

void pricing_sync_begin(struct pricing_sync *s, struct gateway_core *core,
                        void (*publish)(struct gateway *g))
{
    s->gateway = core->gateway;
    s->publish = publish;
    pricing_sync_look(s, core);
}

void pricing_sync_look(struct pricing_sync *s, struct gateway_core *core)
{
    const struct config_pricing *now = &core->config->pricing;
    bool other_interval = s->interval_s != now->interval_s;

    if (!s->gateway || s->stopped)
        return;
    s->interval_s = now->interval_s;
    if (!slice_eq(buf_slice(&s->url), now->url)) {
        buf_reset(&s->url);
        buf_add(&s->url, now->url);
        s->failures = 0;
        ring_timer_clear(core->net.ring, &s->timer);
        start(s);
    } else if (other_interval) {
        arm(s);
    }
}

void pricing_sync_stop(struct pricing_sync *s, struct gateway_core *core)
{
    s->stopped = true;
    if (!s->gateway)
        return; // never begun
    answer_all(s, &s->next, ERR_OVERLOAD, SHUTTING_DOWN);
    answer_all(s, &s->waiting, ERR_OVERLOAD, SHUTTING_DOWN);
    answer_all(s, &s->unpublished, ERR_OVERLOAD, SHUTTING_DOWN);
    ring_timer_clear(core->net.ring, &s->timer);
    if (s->fiber)
        fiber_cancel(s->fiber, ERR_CANCELLED);
}

void pricing_sync_published(struct pricing_sync *s, struct gateway_core *core, int err)
{
    if (err)
        answer_all(s, &s->unpublished, err, "the snapshot with the new prices was not made");
    else if (core->config->catalog == s->gateway->catalog) // else another reload is under way
        answer_all(s, &s->unpublished, 0, "");
}

static void on_asked(struct ring *ring, struct ring_mail *mail)
{
    struct asker *a = container_of(mail, struct asker, mail);
    struct pricing_sync *s = a->sync;
    (void)ring;
    if (s->stopped) {
        answer(s, a, ERR_OVERLOAD, SHUTTING_DOWN);
    } else {
        list_push_back(&s->next, &a->link);
        start(s);
    }
}

int pricing_sync_await(struct pricing_sync *s, struct gateway_core *from, struct fiber *self,
                       char ret_reason[PRICING_REASON_BYTES])
{
    struct asker a = {.sync = s, .home = from->net.ring};
    int result = 0;

    fiber_wait_begin(&a.wait);
    ring_mail_send(from->net.ring, from->gateway->core[0]->net.ring, &a.mail, on_asked);
    int rc = fiber_wait_await(&a.wait, self, &result);
    if (rc < 0) { // its place on the list is on this stack
        fiber_wait_shielded_await(&a.wait, self);
        return rc;
    }
    memcpy(ret_reason, a.reason, PRICING_REASON_BYTES);
    return result;
}
