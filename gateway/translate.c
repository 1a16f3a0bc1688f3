// SPDX-License-Identifier: Apache-2.0
//
// translate.c: the request's way through the canonical form. The answers' is translate_answer.c.
//
// Reading and writing are pure functions of a `struct translation`, so that a worker can run them:
// they touch the body, the two arenas and nothing else. What the rest of the exchange needs of the
// result is copied into the stream's arena afterwards, on the core.

#include "gateway/translate.h"
#include "base/assert.h"
#include "base/err.h"
#include "gateway/beta.h"
#include "gateway/error.h"
#include "gateway/request.h"
#include "ring/work.h"

// ---- Jobs ------------------------------------------------------------------------------------

struct job {
    struct translation *t;
    const struct dialect *dialect; // who reads or writes
    struct slice text;             // read: the body. write: the model
    size_t guess;                  // write: how long it will be, about
    struct slice names[JSON_WANTS_MAX];
    unsigned name_count; // write: of the scan; 0: none is needed
    bool claude;         // write: for the Anthropic API
    int err;
};

// The members of a request that an answer of its dialect repeats, as a request of their own: the
// body itself is given back at commit.
static int keep_repeated(struct translation *t, struct slice body)
{
    static const struct slice names[] = {
        SLICE("instructions"), SLICE("metadata"),    SLICE("parallel_tool_calls"),
        SLICE("temperature"),  SLICE("tool_choice"), SLICE("tools"),
        SLICE("top_p"),
    };
    struct json_writer w;
    size_t at = 0;
    struct json_member m;

    json_writer_init(&w, &t->source, 0);
    json_object(&w);
    while (json_object_next(slice_trim(body), &at, &m))
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (slice_eq(slice_of(m.key.ptr + 1, m.key.len - 2), names[i]))
                json_member(&w, names[i], m.value);
    json_object_end(&w);
    return json_writer_done(&w, &t->repeated);
}

static void read_job(void *arg)
{
    struct job *j = arg;
    struct translation *t = j->t;

    j->err = j->dialect->translation->read_request(&t->request, j->text);
    if (j->err == 0 && j->dialect == &dialect_openai_responses)
        j->err = keep_repeated(t, j->text);
    for (struct canon_member *m = t->request.dropped; m; m = m->next)
        t->dropped_end = m;
}

// Looks through what was written: edits and the vendor's own rules are applied to it like to a
// client's.
static int scan_written(struct job *j)
{
    struct translation *t = j->t;
    struct slice *names = arena_alloc(&t->text, j->name_count * sizeof(names[0]));
    struct json_scanner *scan = arena_alloc(&t->text, sizeof(*scan));

    if (!names || !scan)
        return ERR_NOMEM;
    memcpy(names, j->names, j->name_count * sizeof(names[0]));
    int rc = json_scan_written(scan, t->written, names, j->name_count);
    t->scan = scan;
    return rc;
}

static void write_job(void *arg)
{
    struct job *j = arg;
    struct translation *t = j->t;
    struct json_writer w;

    // The report goes on behind what the reader said, whatever was written before.
    if (t->dropped_end)
        t->dropped_end->next = NULL;
    else
        t->request.dropped = NULL;
    t->request.refusal = (struct canon_refusal){0};
    json_writer_init(&w, &t->text, j->guess);
    j->err = j->dialect->translation->write_request(&t->request, j->text, &w);
    if (j->err == 0)
        j->err = json_writer_done(&w, &t->written);
    if (j->err == 0 && j->claude)
        t->betas = beta_needed(&t->text, t->written);
    if (j->err == 0 && j->name_count > 0)
        j->err = scan_written(j);
}

static int run_await(struct exchange *x, struct fiber *self, void (*fn)(void *), struct job *job)
{
    int rc = 0;

    if (job->t->large)
        rc = work_await(x->core->gateway->work, self, fn, job);
    else
        fn(job);
    return rc ? rc : job->err;
}

// ---- Telling ---------------------------------------------------------------------------------

static int refuse(struct exchange *x, int err, struct failure *ret)
{
    const struct canon_refusal *r = &x->translation->request.refusal;
    struct arena *a = &x->stream->arena;
    struct slice message = SLICE_EMPTY, param = SLICE_EMPTY;

    if (err == ERR_NOMEM || err == ERR_CLIENT_GONE || err == ERR_CANCELLED) {
        failure_of(ret, err, SLICE_EMPTY, SLICE_EMPTY);
        return err;
    }
    // The rest is the caller's: what he asks for cannot be said to this provider.
    if (r->message.len > 0)
        message = arena_copy(a, r->message);
    if (r->param.len > 0)
        param = arena_copy(a, r->param);
    failure_of(ret, err, message.ptr ? message : SLICE_EMPTY, param.ptr ? param : SLICE_EMPTY);
    ret->status = 400;
    ret->type = SLICE("invalid_request_error");
    ret->from_gateway = false;
    return err;
}

// ---- Reading ---------------------------------------------------------------------------------

static bool passes_extra(const struct exchange *x)
{
    const struct http_field *f =
        http_head_find(&x->stream->request, SLICE("x-bf-passthrough-extra-params"));
    return f && slice_ieq(f->value, SLICE("true"));
}

static struct translation *translation_new(struct exchange *x)
{
    struct translation *t = arena_zalloc(&x->stream->early, sizeof(*t));

    if (!t)
        return NULL;
    t->large = x->body.len > TRANSLATE_TURN_BYTES;
    block_pool_init(&t->blocks, 0);
    struct block_pool *pool = t->large ? &t->blocks : &x->core->net.blocks;
    arena_init(&t->source, pool, TRANSLATE_BYTES_MAX);
    arena_init(&t->text, pool, TRANSLATE_BYTES_MAX);
    t->request.arena = &t->source;
    t->request.pass_extra = passes_extra(x);
    return t;
}

void translate_drop(struct exchange *x)
{
    struct translation *t = x->translation;

    if (!t)
        return;
    arena_done(&t->source);
    arena_done(&t->text);
    block_pool_done(&t->blocks);
    x->translation = NULL;
}

// What the answer will need, in memory that outlives the body.
static int translated_new(struct exchange *x)
{
    struct arena *a = &x->stream->arena;
    struct translated *d = arena_zalloc(a, sizeof(*d));

    if (!d)
        return ERR_NOMEM;
    d->context.now_s = (uint64_t)(ring_wall(x->core->net.ring).ns / NS_PER_S);
    d->context.id = x->request_id;
    d->context.request = arena_copy(a, x->translation->repeated);
    if (!d->context.request.ptr)
        return ERR_NOMEM;
    x->translated = d;
    return 0;
}

int translate_begin_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    int rc = 0;

    ASSERT(x->dialect != x->upstream_dialect);
    if (!x->translation)
        x->translation = translation_new(x);
    if (!x->translation) {
        failure_of(ret, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
        return ERR_NOMEM;
    }
    if (!x->translation->read) {
        struct job job = {.t = x->translation, .dialect = x->dialect, .text = x->body};
        rc = run_await(x, self, read_job, &job);
    }
    x->translation->read = rc == 0;
    if (rc == 0)
        rc = translated_new(x);
    if (rc) {
        rc = refuse(x, rc, ret);
        translate_drop(x); // half a reading is none: a fallback reads anew
    }
    return rc;
}

// ---- Writing ---------------------------------------------------------------------------------

// The names of what did not cross, twice: as JSON and as a list.
static int report_dropped(struct exchange *x)
{
    struct arena *a = &x->stream->arena;
    const struct canon_member *m = x->translation->request.dropped;
    struct json_writer json, list;

    x->translated->dropped = SLICE_EMPTY;
    x->translated->dropped_list = SLICE_EMPTY;
    if (!m)
        return 0;
    json_writer_init(&json, a, 0);
    json_writer_init(&list, a, 0);
    json_array(&json);
    for (; m; m = m->next) {
        json_string(&json, m->name);
        bool plain = list.len + m->name.len + 2 <= TRANSLATE_REPORT_BYTES_MAX;
        for (size_t i = 0; i < m->name.len && plain; i++)
            plain = m->name.ptr[i] > ' ' && m->name.ptr[i] < 127 && m->name.ptr[i] != ',';
        if (!plain)
            continue;
        json_plain(&list, list.len > 0 ? SLICE(", ") : SLICE(""));
        json_plain(&list, m->name);
    }
    json_array_end(&json);
    int rc = json_writer_done(&json, &x->translated->dropped);
    return rc ? rc : json_writer_done(&list, &x->translated->dropped_list);
}

int translate_write_await(struct exchange *x, struct fiber *self, const struct target *target,
                          struct failure *ret)
{
    struct translation *t = x->translation;
    struct job job = {.t = t,
                      .dialect = x->upstream_dialect,
                      .text = x->model_sent,
                      // Most of it is texts and schemas, which every dialect writes alike.
                      .guess = x->body.len + x->body.len / 8 + 512};

    ASSERT(t && t->read && x->translated);
    x->translated->context.model = x->model_sent;
    if (t->to == x->upstream_dialect && t->provider == target->provider &&
        slice_eq(t->model, x->model_sent))
        return 0;
    t->to = NULL;
    t->scan = NULL;
    t->betas = SLICE_EMPTY;
    t->request.keep_thoughts = target->provider->row->keeps_thoughts;
    job.claude = (PROVIDER_CLAUDE_OPERATIONS >> x->upstream_op & 1) != 0;
    arena_done(&t->text);
    arena_init(&t->text, t->large ? &t->blocks : &x->core->net.blocks, TRANSLATE_BYTES_MAX);
    job.name_count = request_wanted_names(x, target->provider, job.names);
    int rc = run_await(x, self, write_job, &job);
    if (rc == 0)
        rc = report_dropped(x);
    if (rc)
        return refuse(x, rc, ret);
    t->to = x->upstream_dialect;
    t->provider = target->provider;
    t->model = x->model_sent;
    return 0;
}
