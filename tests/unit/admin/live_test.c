// SPDX-License-Identifier: Apache-2.0
//
// live_test.c: who of the open records matches, in which order, and how a long list is walked.
#include "tests/unit/gateway/fixture.h"
#include "tests/unit/store/fixture.h"

#include "admin/live.h"
#include "tests/support/config_support.h"

static const char text[] = "{\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"id\":\"id-k\","
                           "\"value\":\"s\",\"models\":[\"*\"]}]}}}";
static const struct route route = {.operation = OP_CHAT};

static struct built built;
static struct store *store;
static struct fake *fake;
static struct exchange *open_ones;
static struct store_query query;
static struct slice id;
static struct live *found;
static int err;

static int set_up(void **state)
{
    struct store_options options;
    char reason[STORE_REASON_BYTES];
    (void)state;
    built_text(&built, text);
    if (built.err)
        return built.err;
    memory_options(&options);
    options.ring_bytes = 64 << 20; // a place each
    assert_int_equal(store_open(&options, &store, reason), 0);
    fake = fake_open();
    fake->stream.arena.bytes_max = LIVE_BYTES_MAX;
    fake->core.records = store_ring(store, 0);
    query = (struct store_query){.limit = 50};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    live_done(found);
    found = NULL;
    free(open_ones);
    store_leave(store);
    fake_close(fake);
    store_close(store);
    built_done(&built);
    return 0;
}

// `count` of them, a millisecond between one and the next; the models are m0, m1, …
static void open_records(unsigned count)
{
    static char names[4000][16];
    open_ones = calloc(count, sizeof(*open_ones));
    assert_non_null(open_ones);
    for (unsigned i = 0; i < count; i++) {
        struct exchange *x = &open_ones[i];
        snprintf(names[i], sizeof names[i], "m%u", i);
        x->stream = &fake->stream;
        x->core = &fake->core;
        x->config = built.config;
        x->route = &route;
        x->request_id = SLICE("r");
        x->target[0] = (struct target){built_provider(&built, "openai"), slice_str(names[i])};
        x->target_count = 1;
        assert_int_equal(record_open(x), 0);
        x->record.started.ns = ring_now(fake->ring).ns - (int64_t)(count - i) * NS_PER_MS;
    }
}

static void close_records(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        open_ones[i].status = 200;
        record_close(&open_ones[i], NULL);
    }
}

static void search(struct fake *f, struct fiber *self)
{
    live_done(found);
    err = live_search_await(&f->x, self, &query, &f->stream.arena, &found);
}

static void get(struct fake *f, struct fiber *self)
{
    live_done(found);
    err = live_get_await(&f->x, self, id, &f->stream.arena, &found);
}

static bool holds(unsigned i, const char *part)
{
    return slice_find(live_text(found, i), slice_str(part)) >= 0;
}

static void nobody_is_there(void **state)
{
    (void)state;
    fake_run(fake, search);
    assert_int_equal(err, 0);
    assert_int_equal(found->count, 0);
    assert_null(fake->core.live);
}

static void the_newest_come_first(void **state)
{
    (void)state;
    open_records(3);
    fake_run(fake, search);
    assert_int_equal(err, 0);
    assert_int_equal(found->count, 3);
    assert_int_equal(found->total, 3);
    assert_true(holds(0, "{\"id\":\"live-0-2\",\"provider\":\"openai\",\"model\":\"m2\","
                         "\"status\":\"processing\",\"object\":\"chat_completion\","));
    assert_true(holds(0, "\"metadata\":{\"request_id\":\"r\"}}"));
    assert_false(holds(0, "\"latency\"") || holds(0, "\"cost\"") || holds(0, "token_usage"));
    assert_true(holds(2, "\"model\":\"m0\""));
    close_records(0, 3);
}

static void what_has_ended_is_gone(void **state)
{
    (void)state;
    open_records(4);
    close_records(1, 2);
    close_records(3, 4);
    fake_run(fake, search);
    assert_int_equal(found->count, 2);
    assert_true(holds(0, "\"m2\"") && holds(1, "\"m0\""));
    close_records(0, 1);
    close_records(2, 3);
    assert_null(fake->core.live);
}

static void filters(void **state)
{
    static const struct slice model[] = {SLICE("m1"), SLICE("m7")}, other[] = {SLICE("x")};
    (void)state;
    open_records(3);
    query.word[STORE_WORD_MODEL] = model;
    query.words[STORE_WORD_MODEL] = 2;
    fake_run(fake, search);
    assert_int_equal(found->count, 1);
    assert_true(holds(0, "\"m1\""));
    query.word[STORE_WORD_ROUTING_RULE] = other;
    query.words[STORE_WORD_ROUTING_RULE] = 1;
    fake_run(fake, search);
    assert_int_equal(found->count, 0);
    query = (struct store_query){.to = {.ns = 1}};
    fake_run(fake, search);
    assert_int_equal(found->count, 0);
    query = (struct store_query){.latency_min_ms = 3600 * 1000};
    fake_run(fake, search);
    assert_int_equal(found->count, 0);
    close_records(0, 3);
    assert_true(live_may_match(&query));
    query.tokens_min = 1;
    assert_false(live_may_match(&query));
    query = (struct store_query){.content = SLICE("x")};
    assert_false(live_may_match(&query));
}

// More than one visit looks at: each once, and of those more than are brought home only the number.
static void a_long_list_is_walked_in_turns(void **state)
{
    (void)state;
    open_records(3000);
    fake_run(fake, search);
    assert_int_equal(err, 0);
    assert_int_equal(found->total, 3000);
    assert_int_equal(found->count, LIVE_ROWS_MAX);
    assert_true(holds(0, "\"m2999\"") && holds(999, "\"m2000\""));
    close_records(0, 3000);
    assert_null(fake->core.live);
}

static void one_by_its_id(void **state)
{
    static const char *const nobodys[] = {"live-0-3",  "live-1-0", "live-",   "live-0", "live-0-",
                                          "live-0-0-", "live-0-g", "live--1", "",       "0"};
    (void)state;
    open_records(3);
    id = SLICE("live-0-1");
    fake_run(fake, get);
    assert_int_equal(err, 0);
    assert_true(holds(0, "\"model\":\"m1\""));
    for (size_t i = 0; i < ARRAY_LEN(nobodys); i++) {
        id = slice_str(nobodys[i]);
        fake_run(fake, get);
        assert_int_equal(err, ERR_NOT_FOUND);
    }
    close_records(0, 3);
    id = SLICE("live-0-1");
    fake_run(fake, get);
    assert_int_equal(err, ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_there), TEST(the_newest_come_first),          TEST(what_has_ended_is_gone),
        TEST(filters),         TEST(a_long_list_is_walked_in_turns), TEST(one_by_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
