// SPDX-License-Identifier: Apache-2.0
//
// credential_test.c: one fetch for all who ask, what is kept, and how a fetch fails.
//
// The authority is a script in this file: it stands in for the network below credential.c.
#include "tests/unit/gateway/fixture.h"

#include "gateway/credential.h"
#include "gateway/relay.h"

static struct config_entra entra = {
    .path = {"/t/oauth2/v2.0/token", 20},
    .form = {"grant_type=x&client_secret=hush", 31},
    .identity = {"authority t me scope", 20},
};
static struct config_key key = {.entra = &entra};
static struct config_provider azure, anthropic;

// ---- The authority ---------------------------------------------------------------------------

static struct {
    unsigned calls;
    int rc; // of the call
    unsigned status;
    const char *body;
    bool hold; // the call waits until `go`
    struct fiber_wait wait;
    char sent[1024];
    struct upstream upstream;
} authority;

int upstream_call_await(struct net_core *c, struct fiber *self, const struct upstream_call *call,
                        struct upstream **ret)
{
    (void)c;
    size_t n = 0;
    authority.calls++;
    for (unsigned i = 0; i < call->iov_count; i++) {
        memcpy(authority.sent + n, call->iov[i].iov_base, call->iov[i].iov_len);
        n += call->iov[i].iov_len;
    }
    authority.sent[n] = '\0';
    if (authority.hold) {
        int result;
        fiber_wait_begin(&authority.wait);
        int rc = fiber_wait_await(&authority.wait, self, &result);
        if (rc)
            return rc;
    }
    if (authority.rc)
        return authority.rc;
    authority.upstream.head.status = authority.status;
    *ret = &authority.upstream;
    return 0;
}

void upstream_end(struct net_core *c, struct upstream *u)
{
    (void)c;
    assert_ptr_equal(u, &authority.upstream);
}

int gathered_fill_await(struct exchange *x, struct fiber *self, struct body *b, int64_t *budget_ns,
                        size_t bytes, struct gathered *g)
{
    (void)self, (void)b, (void)budget_ns, (void)bytes;
    struct slice copy = arena_copy(&x->stream->early, slice_str(authority.body));
    *g = (struct gathered){.ptr = (char *)(uintptr_t)copy.ptr, .len = copy.len, .last = true};
    return 0;
}

bool relay_client_left(const struct exchange *x, int err)
{
    return x->stream->gone || err == ERR_CLIENT_GONE || err == ERR_CANCELLED;
}

static void answers(unsigned status, const char *body)
{
    memset(&authority, 0, sizeof(authority));
    authority.status = status;
    authority.body = body;
}

#define TOKEN(token, seconds)                                                                      \
    "{\"token_type\":\"Bearer\",\"expires_in\":" seconds ",\"access_token\":\"" token "\"}"

// ---- Asking ----------------------------------------------------------------------------------

static struct failure failure;
static int result;

static void take(struct fake *f, struct fiber *self)
{
    failure = (struct failure){0};
    result = credential_take_await(&f->x, self, &azure, &key, &failure);
}

static struct fake *open_fake(void)
{
    struct origin_options options = {.host = SLICE("login.example"), .port = 80};
    assert_int_equal(origin_new(&options, &entra.origin), 0);
    azure.row = provider_find(SLICE("azure"));
    anthropic.row = provider_find(SLICE("anthropic"));
    struct fake *f = fake_open();
    credentials_init(&f->core.credentials);
    return f;
}

static void close_fake(struct fake *f)
{
    credentials_done(&f->core.credentials);
    origin_put(entra.origin);
    fake_close(f);
}

static void a_token_is_fetched_once_and_kept(void **state)
{
    (void)state;
    struct fake *f = open_fake();
    answers(200, TOKEN("abc.def-ghi", "3599"));
    for (int i = 0; i < 3; i++) {
        fake_run(f, take);
        assert_int_equal(result, 0);
        assert_true(slice_eq(f->x.credential, SLICE("Bearer abc.def-ghi")));
    }
    assert_int_equal(authority.calls, 1);
    assert_non_null(strstr(authority.sent, "POST /t/oauth2/v2.0/token HTTP/1.1\r\n"));
    assert_non_null(strstr(authority.sent, "host: login.example\r\n"));
    assert_non_null(
        strstr(authority.sent, "content-length: 31\r\n\r\ngrant_type=x&client_secret=hush"));
    credential_forget(&f->core, &key);
    answers(200, TOKEN("new", "3599"));
    fake_run(f, take);
    assert_int_equal(authority.calls, 1);
    assert_true(slice_eq(f->x.credential, SLICE("Bearer new")));
    close_fake(f);
}

static void a_token_near_its_end_is_renewed_and_serves_while_that_fails(void **state)
{
    (void)state;
    struct fake *f = open_fake();
    answers(200, TOKEN("short", "59"));
    fake_run(f, take);
    answers(500, "{}");
    fake_run(f, take);
    assert_int_equal(authority.calls, 1);
    assert_int_equal(result, 0);
    assert_true(slice_eq(f->x.credential, SLICE("Bearer short")));
    answers(200, TOKEN("long", "3599"));
    fake_run(f, take);
    assert_true(slice_eq(f->x.credential, SLICE("Bearer long")));
    close_fake(f);
}

static void failures_name_the_code_and_no_secret(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *body;
        int rc, err;
        const char *text;
    } rows[] = {
        {401, "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215 hush\"}", 0,
         ERR_CREDENTIAL, "Entra ID token: refused with status 401: invalid_client"},
        {400, "nonsense", 0, ERR_CREDENTIAL, "Entra ID token: refused with status 400"},
        {503, "", 0, ERR_UPSTREAM_PROTOCOL, "Entra ID token: refused with status 503"},
        {200, "{\"access_token\":\"x\"}", 0, ERR_UPSTREAM_PROTOCOL,
         "Entra ID token: the authority's answer holds no token"},
        {200, TOKEN("a b", "10"), 0, ERR_UPSTREAM_PROTOCOL,
         "Entra ID token: the authority's token is no field value"},
        {200, TOKEN("", "10"), 0, ERR_UPSTREAM_PROTOCOL,
         "Entra ID token: the authority's token is empty or too long"},
        {0, NULL, ERR_CONNECT, ERR_CONNECT, "Entra ID token: connection refused or unreachable"},
        {0, NULL, ERR_DEADLINE, ERR_UPSTREAM_TIMEOUT, "Entra ID token: request timed out"},
    };
    struct fake *f = open_fake();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        answers(rows[i].status, rows[i].body);
        authority.rc = rows[i].rc;
        fake_run(f, take);
        assert_int_equal(result, rows[i].err);
        assert_int_equal(failure.err, rows[i].err);
        if (!slice_eq(failure.message, slice_str(rows[i].text)))
            fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(failure.message), rows[i].text);
        assert_int_equal(f->x.credential.len, 0);
    }
    close_fake(f);
}

// Two more exchanges of the same core.
struct other {
    struct exchange x;
    struct fiber *fiber;
    int result;
    bool ended;
};

static void other_fiber(struct fiber *self, void *arg)
{
    struct other *o = arg;
    struct failure ignored = {0};
    o->result = credential_take_await(&o->x, self, &azure, &key, &ignored);
    o->ended = true;
}

static void spawn(struct fake *f, struct other *o)
{
    *o = (struct other){.x = f->x};
    assert_int_equal(fiber_spawn(f->sched, other_fiber, o, &o->fiber), 0);
}

static void those_who_come_meanwhile_wait_for_the_one(void **state)
{
    (void)state;
    struct fake *f = open_fake();
    struct other o[3];
    answers(200, TOKEN("one", "3599"));
    authority.hold = true;
    for (int i = 0; i < 3; i++)
        spawn(f, &o[i]);
    WAIT_FOR(f->ring, authority.calls == 1 && authority.wait.fiber);
    fiber_wait_done(&authority.wait, 0);
    WAIT_FOR(f->ring, o[0].ended && o[1].ended && o[2].ended);
    assert_int_equal(authority.calls, 1);
    for (int i = 0; i < 3; i++)
        assert_true(o[i].result == 0 && slice_eq(o[i].x.credential, SLICE("Bearer one")));
    close_fake(f);
}

static void who_leaves_hands_the_fetch_on(void **state)
{
    (void)state;
    struct fake *f = open_fake();
    struct other o[3];
    answers(200, TOKEN("two", "3599"));
    authority.hold = true;
    for (int i = 0; i < 3; i++)
        spawn(f, &o[i]);
    WAIT_FOR(f->ring, authority.calls == 1 && authority.wait.fiber);
    fiber_cancel(o[1].fiber, ERR_CLIENT_GONE); // one that waits
    WAIT_FOR(f->ring, o[1].ended);
    assert_int_equal(o[1].result, ERR_CLIENT_GONE);
    fiber_cancel(o[0].fiber, ERR_CLIENT_GONE); // the one that fetches
    WAIT_FOR(f->ring, o[0].ended && authority.calls == 2 && authority.wait.fiber);
    fiber_wait_done(&authority.wait, 0);
    WAIT_FOR(f->ring, o[2].ended);
    assert_true(o[2].result == 0 && slice_eq(o[2].x.credential, SLICE("Bearer two")));
    close_fake(f);
}

static void the_callers_own_token_goes_to_anthropic_only(void **state)
{
    (void)state;
    struct fake *f = open_fake();
    struct failure ignored = {0};
    assert_false(credential_is_callers(&f->x, &anthropic));
    fake_field(f, "Authorization", "Bearer sk-ant-oat01-mine");
    assert_true(credential_is_callers(&f->x, &anthropic));
    assert_false(credential_is_callers(&f->x, &azure));
    assert_int_equal(credential_take_await(&f->x, NULL, &anthropic, NULL, &ignored), 0);
    assert_true(slice_eq(f->x.credential, SLICE("Bearer sk-ant-oat01-mine")));
    f->stream.request.count = 0;
    fake_field(f, "Authorization", "Bearer sk-ant-api03-mine");
    assert_false(credential_is_callers(&f->x, &anthropic));
    assert_int_equal(credential_take_await(&f->x, NULL, &anthropic, NULL, &ignored), 0);
    assert_int_equal(f->x.credential.len, 0);
    close_fake(f);
}

static void reloads_with_ever_new_principals_stay_bounded(void **state)
{
    (void)state;
    struct fake *f = open_fake();
    struct config_entra own = entra;
    answers(200, TOKEN("t", "3599"));
    key.entra = &own;
    for (unsigned i = 0; i < CREDENTIALS_MAX + 40; i++) {
        char name[32];
        own.identity = slice_of(name, (size_t)snprintf(name, sizeof(name), "principal %u", i));
        fake_run(f, take);
        assert_int_equal(result, 0);
    }
    key.entra = &entra;
    // The last ones are there, the first had to go.
    for (unsigned i = 0; i < 2; i++) {
        char name[32];
        unsigned at = i == 0 ? CREDENTIALS_MAX + 39 : 0;
        own.identity = slice_of(name, (size_t)snprintf(name, sizeof(name), "principal %u", at));
        key.entra = &own;
        authority.calls = 0;
        fake_run(f, take);
        assert_int_equal(authority.calls, i);
    }
    key.entra = &entra;
    close_fake(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_fetched_once_and_kept),
        cmocka_unit_test(a_token_near_its_end_is_renewed_and_serves_while_that_fails),
        cmocka_unit_test(failures_name_the_code_and_no_secret),
        cmocka_unit_test(those_who_come_meanwhile_wait_for_the_one),
        cmocka_unit_test(who_leaves_hands_the_fetch_on),
        cmocka_unit_test(the_callers_own_token_goes_to_anthropic_only),
        cmocka_unit_test(reloads_with_ever_new_principals_stay_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
