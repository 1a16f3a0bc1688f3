// SPDX-License-Identifier: Apache-2.0
//
// credential.c: the tokens of one core, and the fiber that fetches one. attempt.c and models.c call
// it before they write a head.

#include "gateway/credential.h"
#include "base/assert.h"
#include "base/err.h"
#include "gateway/error.h"
#include "gateway/exchange.h"
#include "gateway/relay.h"
#include "net/upstream.h"

// Renewed this long before it is over, so that a request on its way never carries a dead one.
#define EARLY_MS 60000
// Until a token endpoint must have answered; it stands in every client's way.
#define FETCH_MS 10000
// Its answer; more is no answer of a token endpoint.
#define ANSWER_BYTES_MAX (64 * 1024)
// What a client may bring.
#define CALLERS_PREFIX SLICE("Bearer sk-ant-oat")

// One fiber that waits for another's fetch; on its stack.
struct waiter {
    struct list link;
    struct fiber_wait wait;
};

// ---- The table -------------------------------------------------------------------------------

static void drop_token(struct credential *e)
{
    if (e->token.ptr)
        explicit_bzero(e->token.ptr, e->token.len);
    buf_reset(&e->token);
}

void credentials_init(struct credentials *c)
{
    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < CREDENTIALS_MAX; i++) {
        buf_init(&c->each[i].identity, CREDENTIAL_IDENTITY_BYTES_MAX);
        buf_init(&c->each[i].token, CREDENTIAL_BYTES_MAX + 7);
        list_init(&c->each[i].waiters);
    }
}

void credentials_done(struct credentials *c)
{
    for (unsigned i = 0; i < CREDENTIALS_MAX; i++) {
        struct credential *e = &c->each[i];
        ASSERT(!e->fetching && e->waiting == 0);
        drop_token(e);
        buf_done(&e->token);
        buf_done(&e->identity);
    }
}

static struct credential *find(struct credentials *c, struct slice identity)
{
    for (unsigned i = 0; i < CREDENTIALS_MAX; i++)
        if (slice_eq(buf_slice(&c->each[i].identity), identity))
            return &c->each[i];
    return NULL;
}

// The place of the one unused for the longest time, taken over; NULL when none may go.
static struct credential *take_over(struct credentials *c, struct slice identity)
{
    struct credential *oldest = NULL;
    for (unsigned i = 0; i < CREDENTIALS_MAX; i++) {
        struct credential *e = &c->each[i];
        if (!e->fetching && e->waiting == 0 && (!oldest || e->used < oldest->used))
            oldest = e;
    }
    if (!oldest)
        return NULL;
    drop_token(oldest);
    buf_reset(&oldest->identity);
    buf_add(&oldest->identity, identity);
    if (oldest->identity.err) {
        buf_reset(&oldest->identity);
        return NULL;
    }
    return oldest;
}

// ---- Fetching --------------------------------------------------------------------------------

static int fail(struct exchange *x, struct failure *ret, int err, const char *what)
{
    if (relay_client_left(x, err))
        return err;
    struct slice text = arena_printf(&x->stream->arena, "Entra ID token: %s", what);
    failure_of(ret, err, text.ptr ? text : SLICE_EMPTY, SLICE_EMPTY);
    return err;
}

// {"access_token":"…","expires_in":3599,…}
static int keep_token(struct exchange *x, struct credential *e, struct slice answer,
                      struct failure *ret)
{
    static const struct slice names[] = {SLICE("access_token"), SLICE("expires_in")};
    struct json_scanner scan;
    struct slice token = SLICE_EMPTY;
    uint64_t seconds = 0;

    if (json_scan(&scan, answer, names, ARRAY_LEN(names), 0) != 0 ||
        scan.member[0].type != JSON_STRING || json_u64(scan.member[1].value, &seconds) != 0)
        return fail(x, ret, ERR_UPSTREAM_PROTOCOL, "the authority's answer holds no token");
    token = slice_of(scan.member[0].value.ptr + 1, scan.member[0].value.len - 2);
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] <= ' ' || token.ptr[i] > '~' || token.ptr[i] == '\\')
            return fail(x, ret, ERR_UPSTREAM_PROTOCOL, "the authority's token is no field value");
    if (token.len == 0 || token.len > CREDENTIAL_BYTES_MAX)
        return fail(x, ret, ERR_UPSTREAM_PROTOCOL, "the authority's token is empty or too long");
    drop_token(e);
    buf_add(&e->token, SLICE("Bearer "));
    buf_add(&e->token, token);
    if (e->token.err) {
        drop_token(e);
        return fail(x, ret, ERR_NOMEM, "out of memory");
    }
    if (seconds > 86400)
        seconds = 86400;
    e->over = mono_add_ms(ring_now(x->core->net.ring), (int64_t)seconds * 1000);
    return 0;
}

// The authority's error code, which is safe to show; its description is not always.
static int refused(struct exchange *x, unsigned status, struct slice answer, struct failure *ret)
{
    static const struct slice names[] = {SLICE("error")};
    struct json_scanner scan;
    struct slice code = SLICE_EMPTY;

    if (json_scan(&scan, answer, names, 1, 0) == 0 && scan.member[0].type == JSON_STRING)
        code = slice_of(scan.member[0].value.ptr + 1, scan.member[0].value.len - 2);
    code = slice_take(code, 64);
    struct slice text = arena_printf(&x->stream->arena, "refused with status %u%s%.*s%c", status,
                                     code.len > 0 ? ": " : "", SLICE_ARG(code), '\0');
    // A principal that is refused is no passing trouble of the authority's.
    return fail(x, ret, status < 500 ? ERR_CREDENTIAL : ERR_UPSTREAM_PROTOCOL,
                text.ptr ? text.ptr : "refused");
}

static int read_answer_await(struct exchange *x, struct fiber *self, struct credential *e,
                             struct upstream *u, int64_t budget_ns, struct failure *ret)
{
    struct gathered g = {0};

    int rc = gathered_fill_await(x, self, &u->body, &budget_ns, ANSWER_BYTES_MAX, &g);
    if (rc)
        return fail(x, ret, rc, err_text(rc));
    struct slice answer = slice_of(g.ptr, g.len);
    if (!g.last)
        rc = fail(x, ret, ERR_UPSTREAM_TOO_LARGE, "the authority's answer is too large");
    else if (u->head.status != 200)
        rc = refused(x, u->head.status, answer, ret);
    else
        rc = keep_token(x, e, answer, ret);
    if (g.ptr)
        explicit_bzero(g.ptr, g.len);
    return rc;
}

static int fetch_await(struct exchange *x, struct fiber *self, const struct config_entra *entra,
                       struct credential *e, struct failure *ret)
{
    struct net_core *net = &x->core->net;
    struct arena *early = &x->stream->early;
    struct slice host = origin_authority(entra->origin);
    struct upstream *u = NULL;
    struct mono begin = ring_now(net->ring);
    struct slice head = arena_printf(
        early,
        "POST %.*s HTTP/1.1\r\nhost: %.*s\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        "accept: application/json\r\naccept-encoding: identity\r\nuser-agent: ringgate\r\n"
        "content-length: %zu\r\n\r\n",
        SLICE_ARG(entra->path), SLICE_ARG(host), entra->form.len);
    if (!head.ptr)
        return fail(x, ret, ERR_NOMEM, "out of memory");
    struct iovec iov[2] = {
        {.iov_base = (void *)(uintptr_t)head.ptr, .iov_len = head.len},
        {.iov_base = (void *)(uintptr_t)entra->form.ptr, .iov_len = entra->form.len},
    };
    struct upstream_call call = {
        .origin = entra->origin, .method = HTTP_POST, .iov = iov, .iov_count = 2, .arena = early};
    fiber_set_deadline(self, mono_add_ms(begin, FETCH_MS));
    int rc = upstream_call_await(net, self, &call, &u);
    fiber_set_deadline(self, MONO_NEVER);
    if (rc)
        return fail(x, ret, rc == ERR_DEADLINE ? ERR_UPSTREAM_TIMEOUT : rc,
                    err_text(rc == ERR_DEADLINE ? ERR_UPSTREAM_TIMEOUT : rc));
    int64_t left = FETCH_MS * NS_PER_MS - mono_diff_ns(ring_now(net->ring), begin);
    rc = read_answer_await(x, self, e, u, left > 1 ? left : 1, ret);
    upstream_end(net, u);
    return rc;
}

// ---- One for all -----------------------------------------------------------------------------

static void release_waiters(struct credential *e, int result)
{
    struct list *link;
    while ((link = list_pop_front(&e->waiters)) != NULL) {
        struct waiter *w = container_of(link, struct waiter, link);
        e->waiting--;
        fiber_wait_done(&w->wait, result);
    }
}

// 0: look again. An interruption, or the fetcher's error.
static int wait_await(struct exchange *x, struct fiber *self, struct credential *e,
                      struct failure *ret)
{
    struct waiter w = {0}; // idle until it begins
    int result = 0;

    fiber_wait_begin(&w.wait);
    list_push_back(&e->waiters, &w.link);
    e->waiting++;
    int rc = fiber_wait_await(&w.wait, self, &result);
    if (rc) {
        if (!w.wait.done) {
            list_remove(&w.link);
            e->waiting--;
        }
        return rc;
    }
    // A fetcher that was called off leaves the task to whoever looks first.
    if (result == 0 || result == ERR_CANCELLED || result == ERR_CLIENT_GONE)
        return 0;
    return fail(x, ret, result, err_text(result));
}

static int entra_await(struct exchange *x, struct fiber *self, const struct config_entra *entra,
                       struct failure *ret)
{
    struct credentials *table = &x->core->credentials;

    for (;;) {
        struct credential *e = find(table, entra->identity);
        if (!e)
            e = take_over(table, entra->identity);
        if (!e)
            return fail(x, ret, ERR_LIMIT, "too many service principals at once");
        e->used = ++table->uses;
        struct mono now = ring_now(x->core->net.ring);
        int64_t left_ms = e->token.len > 0 ? mono_diff_ns(e->over, now) / NS_PER_MS : 0;
        // What is not over yet serves while another fiber fetches, or when the authority fails.
        if (left_ms <= 0 && e->fetching) {
            int rc = wait_await(x, self, e, ret);
            if (rc)
                return rc;
            continue;
        }
        if (left_ms <= EARLY_MS && !e->fetching) {
            e->fetching = true;
            int rc = fetch_await(x, self, entra, e, ret);
            e->fetching = false;
            release_waiters(e, rc);
            if (rc && (left_ms <= 0 || relay_client_left(x, rc)))
                return rc;
        }
        x->credential = arena_copy(&x->stream->arena, buf_slice(&e->token));
        return x->credential.ptr ? 0 : fail(x, ret, ERR_NOMEM, "out of memory");
    }
}

// ---- For an attempt --------------------------------------------------------------------------

bool credential_is_callers(const struct exchange *x, const struct config_provider *provider)
{
    const struct http_field *f = http_head_get(&x->stream->request, HTTP_N_AUTHORIZATION);
    return f && provider->row->anthropic && !provider->row->by_family &&
           slice_starts(f->value, CALLERS_PREFIX);
}

int credential_take_await(struct exchange *x, struct fiber *self,
                          const struct config_provider *provider, const struct config_key *key,
                          struct failure *ret)
{
    x->credential = SLICE_EMPTY;
    if (credential_is_callers(x, provider)) {
        x->credential = http_head_get(&x->stream->request, HTTP_N_AUTHORIZATION)->value;
        return 0;
    }
    return key && key->entra ? entra_await(x, self, key->entra, ret) : 0;
}

void credential_forget(struct gateway_core *core, const struct config_key *key)
{
    struct credential *e =
        key && key->entra ? find(&core->credentials, key->entra->identity) : NULL;
    if (e && !e->fetching)
        drop_token(e);
}
