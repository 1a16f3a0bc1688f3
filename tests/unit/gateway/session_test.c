// SPDX-License-Identifier: Apache-2.0
//
// session_test.c: bindings last as long as they are used, and belong to one session each.
#include "gateway/session.h"
#include "tests/unit/gateway/fixture.h"

#include <pthread.h>

#define MINUTE_MS ((int64_t)60 * 1000)

static struct mono at(int64_t ms)
{
    return (struct mono){.ns = (1000000 + ms) * NS_PER_MS};
}

static struct session_who who_of(const struct sessions *s, const char *id)
{
    return session_who(s, SLICE("openai"), SLICE_EMPTY, slice_str(id));
}

static void a_binding_is_refreshed_and_ends(void **state)
{
    struct sessions *s;
    (void)state;
    assert_int_equal(sessions_new(&s), 0);
    struct session_who who = who_of(s, "a");
    assert_int_equal(sessions_get(s, who, at(0), MINUTE_MS), 0);
    assert_int_equal(sessions_put(s, who, 0, 7, at(0), MINUTE_MS), 7);
    assert_int_equal(sessions_get(s, who, at(MINUTE_MS - 1), MINUTE_MS), 7);
    // That was a use: it counts from there.
    assert_int_equal(sessions_get(s, who, at(2 * MINUTE_MS - 2), 1000), 7);
    // So does the shorter time of that use.
    assert_int_equal(sessions_get(s, who, at(2 * MINUTE_MS - 2 + 1000), MINUTE_MS), 0);
    assert_int_equal(sessions_put(s, who, 0, 9, at(2 * MINUTE_MS + 1000), MINUTE_MS), 9);
    sessions_free(s);
    sessions_free(NULL);
}

static void the_first_of_two_decides(void **state)
{
    struct sessions *s;
    (void)state;
    assert_int_equal(sessions_new(&s), 0);
    struct session_who who = who_of(s, "a");
    assert_int_equal(sessions_put(s, who, 0, 7, at(0), MINUTE_MS), 7);
    assert_int_equal(sessions_put(s, who, 0, 8, at(1), MINUTE_MS), 7);
    // Who saw a key that serves no more replaces it.
    assert_int_equal(sessions_put(s, who, 7, 8, at(2), MINUTE_MS), 8);
    assert_int_equal(sessions_put(s, who, 7, 9, at(3), MINUTE_MS), 8);
    assert_int_equal(sessions_get(s, who, at(4), MINUTE_MS), 8);
    sessions_free(s);
}

static void sessions_are_told_apart(void **state)
{
    struct sessions *s, *other;
    (void)state;
    assert_int_equal(sessions_new(&s), 0);
    assert_int_equal(sessions_new(&other), 0);
    static const char *const triples[][3] = {
        {"openai", "", "a"},    {"openai", "", "b"},    {"openai", "a", ""}, {"openaia", "", ""},
        {"openai", "vk1", "a"}, {"openai", "vk2", "a"}, {"azure", "", "a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(triples); i++)
        for (size_t k = 0; k <= i; k++) {
            struct session_who a = session_who(s, slice_str(triples[i][0]),
                                               slice_str(triples[i][1]), slice_str(triples[i][2]));
            struct session_who b = session_who(s, slice_str(triples[k][0]),
                                               slice_str(triples[k][1]), slice_str(triples[k][2]));
            assert_int_equal(a.word[0] == b.word[0] && a.word[1] == b.word[1], i == k);
        }
    // Nobody outside knows where a name lands.
    assert_true(who_of(s, "a").word[0] != who_of(other, "a").word[0]);
    assert_true(session_key(s, SLICE("k")) != 0);
    assert_true(session_key(s, SLICE("k")) != session_key(s, SLICE("l")));
    sessions_free(s);
    sessions_free(other);
}

// Names come from clients: however many there are, the table stays as it is and goes on working.
static void a_flood_pushes_out_what_ends_first(void **state)
{
    struct sessions *s;
    char id[32];
    unsigned kept = 0;
    (void)state;
    assert_int_equal(sessions_new(&s), 0);
    struct session_who mine = who_of(s, "mine");
    assert_int_equal(sessions_put(s, mine, 0, 7, at(0), 60 * MINUTE_MS), 7);
    for (unsigned i = 0; i < 4 * SESSIONS_MAX; i++) {
        snprintf(id, sizeof(id), "flood-%u", i);
        assert_int_equal(sessions_put(s, who_of(s, id), 0, 9, at(i / 1000), MINUTE_MS), 9);
    }
    for (unsigned i = 0; i < 4 * SESSIONS_MAX; i++) {
        snprintf(id, sizeof(id), "flood-%u", i);
        kept += sessions_get(s, who_of(s, id), at(4 * SESSIONS_MAX / 1000), MINUTE_MS) == 9;
    }
    assert_true(kept < SESSIONS_MAX && kept > SESSIONS_MAX / 2);
    assert_int_equal(sessions_get(s, mine, at(4 * SESSIONS_MAX / 1000), MINUTE_MS), 7);
    sessions_free(s);
}

#define THREADS 4
#define ROUNDS  2000

struct racer {
    struct sessions *s;
    uint64_t own;
    uint64_t got[ROUNDS];
};

static void *race(void *arg)
{
    struct racer *r = arg;
    char id[32];
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(id, sizeof(id), "s-%u", i);
        r->got[i] = sessions_put(r->s, who_of(r->s, id), 0, r->own, at(0), MINUTE_MS);
    }
    return NULL;
}

static void every_core_sees_the_same(void **state)
{
    static struct racer racer[THREADS];
    pthread_t thread[THREADS];
    struct sessions *s;
    (void)state;
    assert_int_equal(sessions_new(&s), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        racer[i] = (struct racer){.s = s, .own = i + 1};
        assert_int_equal(pthread_create(&thread[i], NULL, race, &racer[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned k = 1; k < THREADS; k++)
        assert_memory_equal(racer[k].got, racer[0].got, sizeof(racer[0].got));
    sessions_free(s);
}

static void times(void **state)
{
    static const struct {
        const char *value;
        int64_t ms;
    } cases[] = {
        {"", SESSION_TTL_MS},
        {"30m", 30 * MINUTE_MS},
        {"90", 90000},
        {"1h30m", 90 * MINUTE_MS},
        {"250ms", 250},
        {"0", SESSION_TTL_MS},
        {"-5", SESSION_TTL_MS},
        {"soon", SESSION_TTL_MS},
        {"1h ", SESSION_TTL_MS},
        {"99999999999999999", SESSION_TTL_MS_MAX},
        {"9000h", SESSION_TTL_MS_MAX},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (session_ttl_ms(slice_str(cases[i].value)) != cases[i].ms)
            fail_msg("%s: %lld", cases[i].value,
                     (long long)session_ttl_ms(slice_str(cases[i].value)));
}

// ---- The choice ------------------------------------------------------------------------------

#define KEYS 4

struct world {
    struct fake *f;
    struct config_key keys[KEYS];
    struct config_provider provider;
    struct target target;
    unsigned fields;
};

static void world_open(struct world *w)
{
    static const struct slice ids[KEYS] = {SLICE("k0"), SLICE("k1"), SLICE("k2"), SLICE("k3")};
    static const struct provider_row row = {.key_optional = true};

    memset(w, 0, sizeof(*w));
    w->f = fake_open();
    for (unsigned i = 0; i < KEYS; i++)
        w->keys[i] = (struct config_key){.id = ids[i],
                                         .name = ids[i],
                                         .value = SLICE("v"),
                                         .weight = 1,
                                         .enabled = true,
                                         .all_models = true};
    w->provider = (struct config_provider){
        .name = SLICE("openai"), .row = &row, .keys = w->keys, .key_count = KEYS};
    w->target = (struct target){.provider = &w->provider, .model = SLICE("m")};
    assert_int_equal(sessions_new(&w->f->gateway.sessions), 0);
    prng_seed(&w->f->core.net.prng, 5);
}

static void world_close(struct world *w)
{
    sessions_free(w->f->gateway.sessions);
    fake_close(w->f);
}

static void name_session(struct world *w, const char *id)
{
    struct http_head *request = &w->f->stream.request;
    w->f->fields[0] =
        (struct http_field){HTTP_N_X_BF_SESSION_ID, SLICE("x-bf-session-id"), slice_str(id)};
    request->fields = w->f->fields;
    request->count = id[0] ? 1 : 0;
}

static struct slice choose(struct world *w, const struct key_pin *pin)
{
    static const struct key_pin none = {.lent = NULL};
    uint64_t used = 0;
    assert_int_equal(session_key_choose(&w->f->x, &w->target, pin ? pin : &none, &used), KEY_FOUND);
    return w->f->x.key->id;
}

static unsigned different(struct world *w, unsigned rounds)
{
    unsigned seen = 0;
    for (unsigned i = 0; i < rounds; i++)
        seen |= 1u << (choose(w, NULL).ptr[1] - '0');
    return (unsigned)__builtin_popcount(seen);
}

static void a_session_keeps_its_key(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    name_session(&w, "");
    assert_int_equal(different(&w, 100), KEYS);
    unsigned keys = 0;
    for (char id[3] = "s0"; id[1] <= '9'; id[1]++) {
        name_session(&w, id);
        assert_int_equal(different(&w, 100), 1);
        keys |= 1u << (choose(&w, NULL).ptr[1] - '0');
    }
    assert_true(__builtin_popcount(keys) > 1); // each has drawn
    world_close(&w);
}

static void a_key_that_is_gone_gives_way(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    name_session(&w, "a");
    for (unsigned left = KEYS; left > 1; left--) {
        unsigned at = (unsigned)(choose(&w, NULL).ptr[1] - '0');
        w.keys[at].enabled = false; // as a reload would have it
        assert_true(choose(&w, NULL).ptr[1] != (char)('0' + at));
        assert_int_equal(different(&w, 50), 1);
    }
    world_close(&w);
}

static void what_knows_no_sessions(void **state)
{
    static char longer[SESSION_ID_BYTES_MAX + 2];
    struct world w;
    (void)state;
    world_open(&w);
    // A key the client names wins and binds nothing.
    name_session(&w, "a");
    struct slice bound = choose(&w, NULL);
    struct key_pin pin = {.id = bound.ptr[1] == '0' ? SLICE("k1") : SLICE("k0")};
    assert_true(slice_eq(choose(&w, &pin), pin.id));
    assert_true(slice_eq(choose(&w, NULL), bound));
    // Fallbacks.
    w.f->x.target_index = 1;
    assert_int_equal(different(&w, 100), KEYS);
    w.f->x.target_index = 0;
    // A request that says so.
    w.f->fields[1] =
        (struct http_field){HTTP_N_OTHER, SLICE("X-BF-Session-Affinity"), SLICE("Off")};
    w.f->stream.request.count = 2;
    assert_int_equal(different(&w, 100), KEYS);
    w.f->stream.request.count = 1;
    assert_true(slice_eq(choose(&w, NULL), bound));
    // A name that is too long is none, and is not cut.
    memset(longer, 'n', SESSION_ID_BYTES_MAX);
    name_session(&w, longer);
    assert_int_equal(different(&w, 100), 1);
    longer[SESSION_ID_BYTES_MAX] = 'n';
    name_session(&w, longer);
    assert_int_equal(different(&w, 100), KEYS);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_binding_is_refreshed_and_ends),
        cmocka_unit_test(the_first_of_two_decides),
        cmocka_unit_test(sessions_are_told_apart),
        cmocka_unit_test(a_flood_pushes_out_what_ends_first),
        cmocka_unit_test(every_core_sees_the_same),
        cmocka_unit_test(times),
        cmocka_unit_test(a_session_keeps_its_key),
        cmocka_unit_test(a_key_that_is_gone_gives_way),
        cmocka_unit_test(what_knows_no_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
