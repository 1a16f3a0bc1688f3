// SPDX-License-Identifier: Apache-2.0
//
// logs_test.c: who is told of records, and which questions are understood.
#include "tests/unit/gateway/fixture.h"
#include "tests/unit/store/fixture.h"

#include "admin/logs.h"
#include "gateway/row.h"
#include "ring/work.h"

static struct store *store;
static struct slice part;

static void serve_search(struct fake *f, struct fiber *self)
{
    logs_search_await(&f->x, self);
}

static void serve_entry(struct fake *f, struct fiber *self)
{
    f->x.route_part = part;
    logs_entry_await(&f->x, self);
}

static struct fake *asked(const char *query)
{
    struct fake *f = fake_open();
    f->gateway.store = store;
    f->config.on_loopback = true;
    f->stream.request.query = slice_str(query);
    return f;
}

static void closed(struct fake *f)
{
    if (store)
        store_leave(store);
    fake_close(f);
}

static void only_loopback_is_told(void **state)
{
    (void)state;
    store = memory_open();
    struct fake *f = asked("");
    f->config.on_loopback = false;
    fake_run(f, serve_search);
    assert_int_equal(f->status, 403);
    fake_again(f);
    f->config.allow_open_management = true;
    fake_run(f, serve_search);
    assert_int_equal(f->status, 200);
    closed(f);
    store_close(store);
}

static void without_a_store_there_is_nothing(void **state)
{
    (void)state;
    store = NULL;
    struct fake *f = asked("");
    fake_run(f, serve_search);
    assert_int_equal(f->status, 404);
    closed(f);
}

static void parameters(void **state)
{
    static const struct {
        const char *query;
        unsigned status;
        const char *named;
    } cases[] = {
        {"limit=1000", 200, ""},
        {"limit=1001", 400, "limit"},
        {"limit=-1", 400, "limit"},
        {"offset=1&order=asc&sort_by=cost", 200, ""},
        {"sort_by=name", 400, "sort_by"},
        {"order=down", 400, "order"},
        {"status=success", 200, ""},
        {"status=maybe", 400, "status"},
        {"status=processing,error", 200, ""},
        {"start_time=2023-11-14T22:13:20Z&end_time=2023-11-15T00:00:00%2B01:00", 200, ""},
        {"start_time=now", 400, "start_time"},
        {"min_latency=1.5&max_latency=9", 200, ""},
        {"min_tokens=x", 400, "min_tokens"},
        {"providers=openai,groq&models=a%2Cb&virtual_key_ids=v", 200, ""},
    };
    (void)state;
    store = memory_open();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake *f = asked(cases[i].query);
        fake_run(f, serve_search);
        if (f->status != cases[i].status || !strstr(text_of_buf(&f->body), cases[i].named))
            fail_msg("%s: %u %s", cases[i].query, f->status, text_of_buf(&f->body));
        closed(f);
    }
    store_close(store);
}

static struct slice some_row(struct arena *arena)
{
    struct slice bytes = SLICE_EMPTY;
    struct row row;
    row_init(&row);
    row.text[ROW_REQUEST_ID] = SLICE("r-1");
    assert_int_equal(row_write(&row, arena, &bytes), 0);
    return bytes;
}

static void one_record(void **state)
{
    static const char *const nobodys[] = {"", "x", "0000000000000000000000000000",
                                          "00000000000000000000000000000"};
    (void)state;
    store = memory_open();
    struct store_record r = sample(T0_US);
    struct fake *f = asked("");
    r.row = some_row(&f->stream.arena);
    r.request = SLICE("{\"q\":1}");
    struct store_id id = put(store, 0, &r, STORE_KEPT_ALL);
    drain(store);
    char text[32];
    snprintf(text, sizeof text, "%016llx%04x%08x", (unsigned long long)id.time_us, id.ring,
             id.number);
    part = slice_str(text);
    fake_run(f, serve_entry);
    assert_int_equal(f->status, 200);
    const char *body = text_of_buf(&f->body);
    assert_non_null(strstr(body, text));
    assert_non_null(strstr(body, ",\"provider\":\"openai\",\"model\":\"gpt-4o\","
                                 "\"status\":\"success\",\"object\":\"chat.completion\","));
    assert_non_null(strstr(body, ",\"metadata\":{\"request_id\":\"r-1\"},"
                                 "\"raw_request\":\"{\\\"q\\\":1}\"}"));
    closed(f);
    for (size_t i = 0; i < ARRAY_LEN(nobodys); i++) {
        part = slice_str(nobodys[i]);
        f = asked("");
        fake_run(f, serve_entry);
        assert_int_equal(f->status, 404);
        closed(f);
    }
    store_close(store);
}

#define FACTS "\",\"provider\":\"openai\",\"model\":\"gpt-4o\",\"status\":\"error\",\"latency\":12}"

// One with a row, one without, one whose row is of no version that is known.
static void a_page_tells_what_it_can(void **state)
{
    static const struct slice unknown = SLICE("\xff of the future");
    (void)state;
    store = memory_open();
    struct fake *f = asked("order=asc");
    for (unsigned i = 0; i < 3; i++) {
        struct store_record r = sample(T0_US + i);
        r.status = 500;
        r.row = i == 0 ? some_row(&f->stream.arena) : i == 1 ? SLICE_EMPTY : unknown;
        (void)put(store, 0, &r, STORE_KEPT_ALL);
    }
    drain(store);
    fake_run(f, serve_search);
    assert_int_equal(f->status, 200);
    const char *body = text_of_buf(&f->body);
    const char *first = strstr(body, "\"request_id\":\"r-1\"}},{\"id\":");
    assert_non_null(first);
    const char *second = strstr(first, FACTS ",{\"id\":");
    assert_non_null(second);
    assert_non_null(strstr(second + 1, FACTS "],\"pagination\":"));
    assert_non_null(strstr(body, "\"total_count\":3"));
    closed(f);
    store_close(store);
}

// Of few rows, but of much in them: a worker's.
static void a_heavy_page_is_told_whole(void **state)
{
    static char value[ROW_TEXT_BYTES_MAX];
    struct row row;
    (void)state;
    store = memory_open();
    struct fake *f = asked("");
    memset(value, '\n', sizeof value);
    row_init(&row);
    while (row.headers < ROW_HEADERS_MAX)
        row.header[row.headers++] = (struct row_header){SLICE("n"), slice_of(value, sizeof value)};
    struct store_record r = sample(T0_US);
    assert_int_equal(row_write(&row, &f->stream.arena, &r.row), 0);
    (void)put(store, 0, &r, STORE_KEPT_ALL);
    drain(store);
    assert_int_equal(work_pool_new(1, &f->gateway.work), 0);
    fake_run(f, serve_search);
    assert_int_equal(f->status, 200);
    assert_true(f->body.len > (size_t)2 * ROW_HEADERS_MAX * ROW_TEXT_BYTES_MAX);
    assert_non_null(strstr(text_of_buf(&f->body), "\\n\"}}],\"pagination\""));
    work_pool_leave(f->gateway.work);
    struct work_pool *pool = f->gateway.work;
    closed(f);
    work_pool_free(pool);
    store_close(store);
}

static void long_content_is_told_whole(void **state)
{
    static char body[300 * 1024];
    char text[32];
    (void)state;
    store = memory_open();
    struct store_record r = sample(T0_US);
    memset(body, 'x', sizeof body);
    r.request = slice_of(body, sizeof body);
    struct store_id id = put(store, 0, &r, STORE_KEPT_ALL);
    drain(store);
    snprintf(text, sizeof text, "%016llx%04x%08x", (unsigned long long)id.time_us, id.ring,
             id.number);
    part = slice_str(text);
    struct fake *f = asked("");
    assert_int_equal(work_pool_new(1, &f->gateway.work), 0);
    fake_run(f, serve_entry);
    assert_int_equal(f->status, 200);
    assert_true(f->body.len > sizeof body);
    assert_non_null(strstr(text_of_buf(&f->body), "x\"}"));
    work_pool_leave(f->gateway.work);
    struct work_pool *pool = f->gateway.work;
    closed(f);
    work_pool_free(pool);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_loopback_is_told),
        cmocka_unit_test(without_a_store_there_is_nothing),
        cmocka_unit_test(parameters),
        cmocka_unit_test(one_record),
        cmocka_unit_test(a_page_tells_what_it_can),
        cmocka_unit_test(a_heavy_page_is_told_whole),
        cmocka_unit_test(long_content_is_told_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
