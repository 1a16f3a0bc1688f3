// SPDX-License-Identifier: Apache-2.0
//
// admin_test.c: health while serving and while draining, version, robots, the figures' type.
#include "tests/unit/gateway/fixture.h"
#include "tests/unit/store/fixture.h"

#include "admin/admin.h"

static const char *path;
static struct store *store;
static bool no_store_in_health;

static void serve(struct fake *f, struct fiber *self)
{
    f->x.route = route_find(&f->gateway.routes, slice_str(path), &(struct slice){0});
    assert_non_null(f->x.route);
    f->x.route->serve_await(&f->x, self);
}

static struct fake *get(const char *what, bool draining)
{
    struct fake *f = fake_open();
    assert_int_equal(route_table_add(&f->gateway.routes, admin_routes, admin_route_count), 0);
    atomic_store(&f->gateway.draining, draining);
    f->gateway.store = store;
    f->config.no_store_in_health = no_store_in_health;
    path = what;
    fake_run(f, serve);
    assert_int_equal(f->settled, 1);
    return f;
}

static void health_is_ok(void **state)
{
    (void)state;
    struct fake *f = get("/health", false);
    assert_int_equal(f->status, 200);
    ASSERT_TEXT(&f->body, "{\"status\":\"ok\",\"components\":{\"gateway\":\"ok\"}}");
    fake_close(f);
}

static void health_is_503_while_draining(void **state)
{
    (void)state;
    struct fake *f = get("/health", true);
    assert_int_equal(f->status, 503);
    assert_non_null(strstr(text_of_buf(&f->body), "\"message\":\"shutting down\""));
    fake_close(f);
}

static struct fake *closed(struct fake *f)
{
    fake_close(f);
    return NULL;
}

#define STORES(word)                                                                               \
    "{\"status\":\"ok\",\"components\":{\"gateway\":\"ok\",\"config_store\":\"" word               \
    "\",\"log_store\":\"" word "\"}}"

static void health_names_the_stores(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct store *old = place_open(&p);
    store = old;
    struct fake *f = get("/health", false);
    ASSERT_TEXT(&f->body, STORES("ok"));
    f = closed(f);
    p.options.standby = true;
    struct store *next = place_open(&p);
    store = next; // of an upgrade: the other one drains its rings
    f = get("/health", false);
    assert_int_equal(f->status, 200);
    ASSERT_TEXT(&f->body, STORES("standby"));
    f = closed(f);
    store_close(next);
    store_close(old);
    store = NULL;
    place_done(&p);
}

static void health_is_503_when_nothing_is_written(void **state)
{
    (void)state;
    store = memory_open();
    pthread_mutex_lock(&store->batch_mutex); // the drain's next success is not ours
    atomic_store(&store->numbers.batch_err, ERR_SYSTEM);
    struct fake *f = get("/health", false);
    assert_int_equal(f->status, 503);
    assert_non_null(strstr(text_of_buf(&f->body), "the log store cannot be written"));
    f = closed(f);
    no_store_in_health = true;
    f = get("/health", false);
    assert_int_equal(f->status, 200);
    ASSERT_TEXT(&f->body, "{\"status\":\"ok\",\"components\":{\"gateway\":\"ok\"}}");
    f = closed(f);
    no_store_in_health = false;
    pthread_mutex_unlock(&store->batch_mutex);
    store_close(store);
    store = NULL;
}

static void version_is_a_bare_string(void **state)
{
    (void)state;
    struct fake *f = get("/api/version", false);
    ASSERT_TEXT(&f->head, "content-type: application/json\n");
    ASSERT_TEXT(&f->body, "\"1.2.3\"");
    fake_close(f);
}

static void robots_are_welcome(void **state)
{
    (void)state;
    struct fake *f = get("/robots.txt", false);
    ASSERT_TEXT(&f->head, "content-type: text/plain; charset=utf-8\n");
    ASSERT_TEXT(&f->body, "User-agent: *\nAllow: /\n");
    fake_close(f);
}

static void metrics_are_prometheus_text(void **state)
{
    (void)state;
    struct fake *f = get("/metrics", false);
    assert_int_equal(f->status, 200);
    ASSERT_TEXT(&f->head, "content-type: text/plain; version=0.0.4; charset=utf-8\n");
    assert_non_null(strstr(text_of_buf(&f->body), "\nringgate_build_info{version=\"1.2.3\"} 1\n"));
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_is_ok),
        cmocka_unit_test(health_is_503_while_draining),
        cmocka_unit_test(health_names_the_stores),
        cmocka_unit_test(health_is_503_when_nothing_is_written),
        cmocka_unit_test(version_is_a_bare_string),
        cmocka_unit_test(robots_are_welcome),
        cmocka_unit_test(metrics_are_prometheus_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
