// SPDX-License-Identifier: Apache-2.0
//
// record_test.c: a row as the store has it, what it moved, and what of the content is kept.
#include "tests/unit/gateway/fixture.h"
#include "tests/unit/store/fixture.h"

#include "gateway/admission.h"
#include "gateway/record.h"
#include "gateway/row.h"
#include "tests/support/config_support.h"

static const char text[] =
    "{\"version\":2,\"client\":{\"logging_headers\":[\"X-Tenant\"]},\"providers\":{\"openai\":{"
    "\"keys\":[{\"name\":\"k\",\"id\":\"id-k\",\"value\":\"s\",\"models\":[\"*\"]}]}},"
    "\"governance\":{\"virtual_keys\":[{\"id\":\"v\",\"name\":\"V\",\"value\":\"sk-bf-v\"}]}}";

static struct built built;
static struct fake *fake;
static struct store *store;
static const struct route route = {.operation = OP_CHAT};

static int set_up(void **state)
{
    (void)state;
    built_text(&built, text);
    if (built.err)
        return built.err;
    store = memory_open();
    fake = fake_open();
    struct exchange *x = &fake->x;
    fake->core.records = store_ring(store, 0);
    x->config = built.config;
    x->route = &route;
    x->request_id = SLICE("r-1");
    x->target[0] = (struct target){built_provider(&built, "openai"), SLICE("gpt-4o")};
    x->target[1] = (struct target){built_provider(&built, "openai"), SLICE("gpt-4o-mini")};
    x->target_count = 2;
    x->key = &x->target[0].provider->keys[0];
    x->virtual_key = governance_find_key(&built.config->governance, SLICE("sk-bf-v"));
    x->status = 200;
    x->body = SLICE("{\"model\":\"gpt-4o\"}");
    x->state = EXCHANGE_SETTLED;
    x->usage =
        (struct usage){.known = true, .input_tokens = 9, .output_tokens = 2, .total_tokens = 11};
    x->charge = (struct charge){.cost_known = true, .cost = INT64_C(42500000)};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_close(fake);
    store_close(store);
    built_done(&built);
    return 0;
}

// The rows, the oldest first.
static struct store_page rows(struct asker *a)
{
    drain(store);
    return search_for(a, (struct store_query){.ascending = true});
}

// As it is told.
static struct slice told(const struct store_found *found)
{
    struct row row;
    struct buf b;
    assert_int_equal(row_read(found->row, &row), 0);
    buf_init(&b, 1 << 20);
    buf_add_char(&b, '{');
    row_tell(&row, &found->facts, &b);
    buf_add_char(&b, '}');
    assert_int_equal(b.err, 0);
    struct slice copy = arena_copy(&fake->stream.arena, buf_slice(&b));
    assert_non_null(copy.ptr);
    buf_done(&b);
    return copy;
}

static bool has(struct slice row, const char *part)
{
    if (slice_find(row, slice_str(part)) >= 0)
        return true;
    fprintf(stderr, "no %s in %.*s\n", part, SLICE_ARG(row));
    return false;
}

static void an_answer(void **state)
{
    struct asker a;
    (void)state;
    fake_field(fake, "x-tenant", "t \"1\"");
    fake_field(fake, "X-BF-LH-Team", "red");
    fake_field(fake, "x-other", "no");
    assert_int_equal(record_open(&fake->x), 0);
    record_content(&fake->x, record_request(&fake->x), SLICE("{\"id\":\"a\"}"));
    record_close(&fake->x, NULL);
    record_close(&fake->x, NULL); // once is enough
    asker_open(&a, store);
    struct store_page page = rows(&a);
    assert_int_equal(page.total, 1);
    struct slice row = told(&page.found[0]);
    assert_true(has(row, "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"status\":\"success\","
                         "\"object\":\"chat_completion\",\"timestamp\":\""));
    assert_true(has(row, "\"number_of_retries\":0,\"fallback_index\":0,\"latency\":0,"
                         "\"cost\":4.25e-05,\"selected_key_id\":\"id-k\","
                         "\"selected_key_name\":\"k\",\"virtual_key_id\":\"v\","
                         "\"virtual_key_name\":\"V\",\"stream\":false,\"token_usage\":{"
                         "\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11},"
                         "\"metadata\":{\"request_id\":\"r-1\",\"x-tenant\":\"t \\\"1\\\"\","
                         "\"Team\":\"red\"}}"));
    const struct store_facts *f = &page.found[0].facts;
    assert_int_equal(f->status, 200);
    assert_int_equal(f->cost, 42500000);
    assert_true(slice_eq(f->word[STORE_WORD_VIRTUAL_KEY], SLICE("v")));
    asker_close(&a);
}

// A missing price is no zero, and a reservation that stood says so.
static void what_is_not_known_is_left_out(void **state)
{
    struct asker a;
    (void)state;
    fake->x.charge = (struct charge){.estimated = true};
    fake->x.usage = (struct usage){0};
    fake->x.key = NULL;
    fake->x.virtual_key = NULL;
    fake->x.target_index = 1;
    assert_int_equal(record_open(&fake->x), 0);
    record_close(&fake->x, NULL);
    asker_open(&a, store);
    struct slice row = told(&rows(&a).found[0]);
    assert_true(has(row, "\"fallback_index\":1,\"parent_request_id\":\"r-1\",\"latency\":0,"
                         "\"cost_estimated\":true,\"stream\":false,\"metadata\""));
    assert_true(slice_find(row, SLICE("\"cost\"")) < 0);
    assert_true(slice_find(row, SLICE("token_usage")) < 0);
    asker_close(&a);
}

static void a_failure(void **state)
{
    struct asker a;
    struct failure f = {.status = 503, .message = SLICE("busy"), .type = SLICE("overloaded")};
    (void)state;
    fake->x.state = EXCHANGE_TRYING;
    fake->x.status = 0;
    fake->x.attempt = 2;
    fake->x.usage = (struct usage){0};
    assert_int_equal(record_open(&fake->x), 0);
    record_close(&fake->x, &f);
    asker_open(&a, store);
    struct store_page page = rows(&a);
    struct slice row = told(&page.found[0]);
    assert_true(has(row, "\"status\":\"error\""));
    assert_true(has(row, "\"number_of_retries\":2"));
    assert_true(has(row,
                    "\"error_details\":{\"is_bifrost_error\":false,\"status_code\":503,\"error\":{"
                    "\"type\":\"overloaded\",\"message\":\"busy\"}}"));
    assert_int_equal(page.found[0].facts.status, 503);
    asker_close(&a);
}

static void what_clients_choose_is_bounded(void **state)
{
    static char names[FAKE_FIELDS_MAX][24], longest[2 * ROW_TEXT_BYTES_MAX];
    struct failure f = {.status = 500, .message = slice_of(longest, sizeof longest)};
    struct asker a;
    (void)state;
    memset(longest, 'v', sizeof longest - 1);
    fake->x.state = EXCHANGE_TRYING;
    fake->x.status = 0;
    for (unsigned i = 0; i <= ROW_HEADERS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "x-bf-lh-n%u", i);
        fake_field(fake, names[i], i == 0 ? longest : "short");
    }
    assert_int_equal(record_open(&fake->x), 0);
    record_close(&fake->x, &f);
    asker_open(&a, store);
    struct slice row = told(&rows(&a).found[0]);
    char last[24];
    snprintf(last, sizeof last, "\"n%u\":", ROW_HEADERS_MAX - 1);
    assert_true(has(row, last));
    snprintf(last, sizeof last, "\"n%u\":", ROW_HEADERS_MAX);
    assert_true(slice_find(row, slice_str(last)) < 0);
    ptrdiff_t at = slice_find(row, SLICE("\"n0\":\"v"));
    assert_true(at > 0);
    assert_int_equal(slice_find_char(slice_skip(row, (size_t)at + 6), '"'), ROW_TEXT_BYTES_MAX);
    at = slice_find(row, SLICE("\"message\":\"v"));
    assert_true(at > 0);
    assert_int_equal(slice_find_char(slice_skip(row, (size_t)at + 11), '"'), ROW_TEXT_BYTES_MAX);
    asker_close(&a);
}

// What the arena has no room for is the row, not what it cost.
static void without_memory_the_usage_is_kept(void **state)
{
    struct asker a;
    (void)state;
    fake->stream.arena.bytes_max = 0;
    fake->stream.arena.next = fake->stream.arena.end;
    assert_int_equal(record_open(&fake->x), 0);
    record_close(&fake->x, NULL);
    asker_open(&a, store);
    struct store_page page = rows(&a);
    assert_int_equal(page.total, 1);
    assert_int_equal(page.found[0].row.len, 0);
    assert_int_equal(page.found[0].facts.cost, 42500000);
    assert_int_equal(page.found[0].facts.input_tokens, 9);
    asker_close(&a);
}

static void what_was_charged_is_moved(void **state)
{
    const uint64_t window = window_s();
    struct governance_limit limit = {.counter = SLICE("budget/b")};
    struct admission *a = calloc(1, sizeof(*a) + sizeof(a->gates[0]));
    (void)state;
    *a = (struct admission){.state = ADMISSION_CHARGED, .count = 1};
    a->gates[0] = (struct admission_gate){
        .gate = {.limit = &limit}, .actual = INT64_C(42500000), .window = window};
    fake->x.admission = a;
    assert_int_equal(record_open(&fake->x), 0);
    record_close(&fake->x, NULL);
    drain(store);
    assert_int_equal(counter_value(store, "budget/b", window), 42500000);
    free(a);
}

static void content_is_kept_when_it_may_be(void **state)
{
    static const struct {
        bool no_content, choice;
        const char *header; // NULL: none
        bool kept;
    } cases[] = {{false, false, NULL, true},   {true, false, NULL, false},
                 {false, false, "true", true}, {false, true, "true", false},
                 {true, true, "false", true},  {true, true, NULL, false},
                 {true, false, "false", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_again(fake);
        built.config->logging.no_content = cases[i].no_content;
        built.config->logging.content_choice = cases[i].choice;
        if (cases[i].header)
            fake_field(fake, "x-bf-disable-content-logging", cases[i].header);
        assert_int_equal(record_request(&fake->x).len, 0); // nothing is open
        assert_int_equal(record_open(&fake->x), 0);
        assert_int_equal(record_request(&fake->x).len > 0, cases[i].kept);
        record_close(&fake->x, NULL);
    }
}

static struct store_entry content_of(struct asker *a)
{
    struct store_page page = rows(a);
    struct got got = {.id = page.found[page.count - 1].id};
    ask(a, got_fn, &got);
    assert_int_equal(got.err, 0);
    return got.entry;
}

#define EVENT(text)                                                                                \
    "data: {\"id\":\"chatcmpl-123\",\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"

// The request outlives its body, events singly and in runs; the LF owed to the one before is not
// of the event.
static void what_passes_is_kept(void **state)
{
    char body[] = "{\"model\":\"gpt-4o\"}";
    struct asker a;
    struct buf out;
    (void)state;
    fake->x.body = slice_str(body);
    record_event(&fake->x, SLICE(EVENT("too early")));
    assert_int_equal(record_open(&fake->x), 0);
    record_commit(&fake->x);
    memset(body, 'x', sizeof(body) - 1);
    fake->x.body.ptr = NULL;
    record_event(&fake->x, SLICE(EVENT("one")));
    record_run(&fake->x, SLICE(EVENT("two") EVENT("three")));
    record_event(&fake->x, SLICE("\n" EVENT("four")));
    assert_true(fake->core.kept_bytes > 0);
    record_close(&fake->x, NULL);
    assert_int_equal(fake->core.kept_bytes, 0);
    record_event(&fake->x, SLICE(EVENT("too late")));
    asker_open(&a, store);
    struct store_entry e = content_of(&a);
    assert_true(slice_eq(e.request, SLICE("{\"model\":\"gpt-4o\"}")));
    assert_true(e.answer_folded && !e.cut);
    buf_init(&out, 1 << 20);
    assert_int_equal(fold_read(e.answer, &out), 0);
    assert_true(
        slice_eq(buf_slice(&out), SLICE(EVENT("one") EVENT("two") EVENT("three") EVENT("four"))));
    buf_done(&out);
    asker_close(&a);
}

static void what_passes_and_is_too_long_is_cut(void **state)
{
    static char span[KEPT_BYTES_MAX + 1];
    struct asker a;
    (void)state;
    memset(span, 's', sizeof span);
    fake->stream.arena.bytes_max = 4 * KEPT_BYTES_MAX; // twice, and the row
    assert_int_equal(record_open(&fake->x), 0);
    record_commit(&fake->x);
    record_span(&fake->x, slice_of(span, sizeof span));
    record_close(&fake->x, NULL);
    asker_open(&a, store);
    struct store_entry e = content_of(&a);
    assert_true(e.cut && !e.answer_folded);
    assert_int_equal(e.answer.len, KEPT_BYTES_MAX);
    asker_close(&a);
}

static void nothing_that_passes_is_kept_unasked(void **state)
{
    (void)state;
    built.config->logging.no_content = true;
    assert_int_equal(record_open(&fake->x), 0);
    record_commit(&fake->x);
    record_event(&fake->x, SLICE(EVENT("one")));
    assert_int_equal(fake->core.kept_bytes, 0);
    record_close(&fake->x, NULL);
}

static void an_error_has_its_body(void **state)
{
    struct failure f = {.status = 400, .message = SLICE("no"), .raw = SLICE("{\"error\":\"no\"}")};
    struct asker a;
    (void)state;
    fake->x.state = EXCHANGE_TRYING;
    assert_int_equal(record_open(&fake->x), 0);
    record_close(&fake->x, &f);
    asker_open(&a, store);
    assert_true(slice_eq(content_of(&a).answer, f.raw));
    asker_close(&a);
}

static void a_refused_target_has_a_bare_row(void **state)
{
    struct failure f = {.status = 429, .message = SLICE("enough"), .raw = SLICE("{}")};
    struct asker a;
    (void)state;
    fake->x.state = EXCHANGE_ROUTED;
    fake->x.status = 0;
    fake->x.usage = (struct usage){0};
    record_refuse(&fake->x, &f);
    assert_false(fake->x.record.open);
    assert_null(fake->core.live);
    asker_open(&a, store);
    struct store_page page = rows(&a);
    assert_int_equal(page.total, 1);
    assert_int_equal(page.found[0].facts.status, 429);
    assert_true(has(told(&page.found[0]), "\"status\":\"error\""));
    struct store_entry e = content_of(&a);
    assert_int_equal(e.request.len + e.answer.len, 0);
    for (unsigned i = 0; i < 2 * RECORD_REFUSALS_MAX; i++)
        record_refuse(&fake->x, &f);
    drain(store);
    assert_int_equal(rows(&a).total, RECORD_REFUSALS_MAX); // the ring's clock stands still
    asker_close(&a);
}

static void without_a_store_nothing_is_kept(void **state)
{
    (void)state;
    fake->core.records = NULL;
    assert_int_equal(record_open(&fake->x), 0);
    assert_false(fake->x.record.open);
    record_close(&fake->x, NULL);
}

static void a_full_ring_refuses(void **state)
{
    unsigned opened = 0;
    (void)state;
    while (store_reserve(fake->core.records) == 0)
        opened++;
    assert_true(opened > 100);
    assert_int_equal(record_open(&fake->x), ERR_LIMIT);
    assert_false(fake->x.record.open);
    while (opened-- > 0)
        store_unreserve(fake->core.records);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer),
        TEST(what_is_not_known_is_left_out),
        TEST(a_failure),
        TEST(what_clients_choose_is_bounded),
        TEST(without_memory_the_usage_is_kept),
        TEST(what_was_charged_is_moved),
        TEST(content_is_kept_when_it_may_be),
        TEST(what_passes_is_kept),
        TEST(what_passes_and_is_too_long_is_cut),
        TEST(nothing_that_passes_is_kept_unasked),
        TEST(an_error_has_its_body),
        TEST(a_refused_target_has_a_bare_row),
        TEST(without_a_store_nothing_is_kept),
        TEST(a_full_ring_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
