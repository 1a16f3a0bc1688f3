// SPDX-License-Identifier: Apache-2.0
//
// metrics_test.c: the page for a known sequence, byte for byte, and what hostile labels do to it.
#include "tests/unit/gateway/fixture.h"

#include <pthread.h>
#include <semaphore.h>

#define EMPTY_LABELS                                                                               \
    "virtual_key_id=\"\",virtual_key_name=\"\",team_id=\"\",team_name=\"\",customer_id=\"\","      \
    "customer_name=\"\",routing_engine_used=\"\",routing_rule_id=\"\",routing_rule_name=\"\""
#define LABELS(model)                                                                              \
    "provider=\"groq\",model=\"" model "\",method=\"chat_completion_stream\","                     \
    "selected_key_id=\"id-1\",selected_key_name=\"first\",fallback_index=\"0\"," EMPTY_LABELS

static const struct route chat = {
    .path = "/v1/chat/completions", .mount = MOUNT_UNIFIED, .operation = OP_CHAT};
static struct config_key key = {.id = {"id-1", 4}, .name = {"first", 5}};
static struct config_provider provider = {.name = {"groq", 4}, .keys = &key, .key_count = 1};

static struct buf page;
static int scraped;

static void scrape(struct fake *f, struct fiber *self)
{
    buf_reset(&page);
    scraped = metrics_scrape_await(&f->gateway, &f->core, self, NULL, &page);
}

static struct fake *open_chat(struct slice model)
{
    struct fake *f = fake_open();
    f->x.route = &chat;
    f->x.stream_wanted = true;
    f->stream.request.method = HTTP_POST;
    f->x.target[0] = (struct target){.provider = &provider, .model = model};
    f->x.target_count = 1;
    f->x.key = &key;
    buf_init(&page, 1 << 28);
    return f;
}

static void close_chat(struct fake *f)
{
    buf_done(&page);
    fake_close(f);
}

// What stands before the cores' own figures, which differ from run to run.
static const char *counted(void)
{
    char *text = (char *)(uintptr_t)text_of_buf(&page);
    char *own = strstr(text, "# HELP ringgate_");
    assert_non_null(own);
    *own = '\0';
    return text;
}

// clang-format off
static const char expected[] =
    "# HELP http_requests_total HTTP requests answered.\n"
    "# TYPE http_requests_total counter\n"
    "http_requests_total{path=\"/v1/chat/completions\",method=\"POST\",status=\"200\"} 2\n"
    "# HELP http_request_duration_seconds Time from a request's head to its end.\n"
    "# TYPE http_request_duration_seconds histogram\n"
#define D(le, n)                                                                                   \
    "http_request_duration_seconds_bucket{path=\"/v1/chat/completions\",method=\"POST\","          \
    "status=\"200\",le=\"" le "\"} " n "\n"
    D("0.005", "0") D("0.01", "0") D("0.025", "1") D("0.05", "1") D("0.1", "1") D("0.25", "1") D(
        "0.5", "1") D("1", "1") D("2.5", "2") D("5", "2") D("10", "2")
        D("+Inf",
          "2") "http_request_duration_seconds_sum{path=\"/v1/chat/completions\",method=\"POST\","
               "status=\"200\"} 2.0155\n"
               "http_request_duration_seconds_count{path=\"/v1/chat/completions\",method=\"POST\","
               "status=\"200\"} 2\n"
               "# HELP http_request_size_bytes Size of request bodies.\n"
               "# TYPE http_request_size_bytes histogram\n"
#define S(name, le, n)                                                                             \
    "http_" name "_size_bytes_bucket{path=\"/v1/chat/completions\",method=\"POST\","               \
    "status=\"200\",le=\"" le "\"} " n "\n"
#define T(name, sum)                                                                               \
    "http_" name "_size_bytes_sum{path=\"/v1/chat/completions\",method=\"POST\","                  \
    "status=\"200\"} " sum "\n"                                                                    \
    "http_" name "_size_bytes_count{path=\"/v1/chat/completions\",method=\"POST\","                \
    "status=\"200\"} 2\n"
    S("request", "100", "1") S("request", "1000", "2") S("request", "10000", "2") S(
        "request", "100000", "2") S("request", "1e+06", "2") S("request", "1e+07", "2")
        S("request", "1e+08", "2") S("request", "1e+09", "2") S("request", "+Inf", "2") T(
            "request",
            "1100") "# HELP http_response_size_bytes Size of answer bodies.\n"
                    "# TYPE http_response_size_bytes histogram\n" S("response", "100", "0") S(
                        "response",
                        "1000",
                        "0") S("response", "10000",
                               "2") S("response", "100000", "2")
                        S("response", "1e+06",
                          "2") S("response", "1e+07",
                                 "2") S("response", "1e+08", "2")
                            S("response", "1e+09",
                              "2") S("response", "+Inf", "2")
                                T("response",
                                  "4000") "# HELP bifrost_upstream_requests_total Requests sent to "
                                          "providers.\n"
                                          "# TYPE bifrost_upstream_requests_total counter\n"
                                          "bifrost_upstream_requests_total{" LABELS(
                                              "llama") "} 3\n"
                                                       "# HELP bifrost_success_requests_total "
                                                       "Requests that providers answered well.\n"
                                                       "# TYPE bifrost_success_requests_total "
                                                       "counter\n"
                                                       "bifrost_success_requests_total{" LABELS(
                                                           "llama") "} 1\n"
                                                                    "# HELP "
                                                                    "bifrost_error_requests_total "
                                                                    "Requests that failed at a "
                                                                    "provider.\n"
                                                                    "# TYPE "
                                                                    "bifrost_error_requests_total "
                                                                    "counter\n"
                                                                    "bifrost_error_requests_"
                                                                    "total{" LABELS(
                                                                        "llama") ",status_code="
                                                                                 "\"429\"} 2\n"
                                                                                 "# HELP "
                                                                                 "bifrost_upstream_"
                                                                                 "latency_seconds "
                                                                                 "Time a provider "
                                                                                 "took for a "
                                                                                 "request.\n"
                                                                                 "# TYPE "
                                                                                 "bifrost_upstream_"
                                                                                 "latency_seconds "
                                                                                 "histogram\n"
#define L(ok, le, n)                                                                               \
    "bifrost_upstream_latency_seconds_bucket{" LABELS("llama") ",is_success=\"" ok "\",le=\"" le   \
                                                               "\"} " n "\n"
#define LATENCY(ok, below, n, sum)                                                                 \
    L(ok, "0.005", below)                                                                          \
    L(ok, "0.01", below)                                                                           \
    L(ok, "0.025", below) L(ok, "0.05", below) L(ok, "0.1", below) L(ok, "0.25", below)            \
        L(ok, "0.5", n) L(ok, "1", n) L(ok, "2.5", n) L(ok, "5", n) L(ok, "10", n) L(ok, "15", n)  \
            L(ok, "30", n) L(ok, "45", n) L(ok, "60", n) L(ok, "90", n) L(ok, "120", n)            \
                L(ok, "180", n) L(ok, "300", n) L(ok, "600", n) L(ok, "900", n)                    \
                    L(ok, "+Inf", n) "bifrost_upstream_latency_seconds_sum{" LABELS(               \
                        "llama") ",is_success=\"" ok "\"} " sum "\n"                               \
                                 "bifrost_upstream_latency_seconds_count{" LABELS(                 \
                                     "llama") ",is_success=\"" ok "\"} " n "\n"
    LATENCY("false", "0", "2", "0.75") LATENCY(
        "true", "0", "1",
        "0.5") "# HELP bifrost_input_tokens_total Input tokens, as providers counted them.\n"
               "# TYPE bifrost_input_tokens_total counter\n"
               "bifrost_input_tokens_total{" LABELS(
                   "llama") "} 11\n"
                            "# HELP bifrost_output_tokens_total Output tokens, as providers "
                            "counted them.\n"
                            "# TYPE bifrost_output_tokens_total counter\n"
                            "bifrost_output_tokens_total{" LABELS(
                                "llama") "} 7\n"
                                         "# HELP bifrost_cache_read_input_tokens_total "
                                         "Input tokens read from a provider's prompt cache.\n"
                                         "# TYPE bifrost_cache_read_input_tokens_total counter\n"
                                         "bifrost_cache_read_input_tokens_total{" LABELS(
                                             "llama") "} 3\n"
                                                      "# HELP "
                                                      "bifrost_cache_write_input_tokens_total "
                                                      "Input tokens written to a provider's prompt "
                                                      "cache.\n"
                                                      "# TYPE "
                                                      "bifrost_cache_write_input_tokens_total "
                                                      "counter\n"
                                                      "# HELP bifrost_cost_total "
"Dollars, by the providers' "
"prices.\n"
"# TYPE bifrost_cost_total "
"counter\n"
"# HELP "
                                                      "bifrost_stream_first_token_latency_seconds "
                                                      "Time to the first event of a stream.\n"
                                                      "# TYPE "
                                                      "bifrost_stream_first_token_latency_seconds "
                                                      "histogram\n"
#define F(le, n)                                                                                   \
    "bifrost_stream_first_token_latency_seconds_bucket{" LABELS("llama") ",le=\"" le "\"} " n "\n"
    F("0.005", "0") F("0.01", "0") F("0.025", "0") F("0.05", "0") F("0.1", "1") F("0.25", "1")
        F("0.5", "1") F("1", "1") F("2.5", "1") F("5", "1") F("10", "1") F("20", "1") F("30", "1")
            F("60", "1") F("120", "1") F("300", "1")
                F("+Inf", "1") "bifrost_stream_first_token_latency_seconds_sum{" LABELS(
                    "llama") "} 0.1\n"
                             "bifrost_stream_first_token_latency_seconds_count{" LABELS(
                                 "llama") "} 1\n"
                                          "# HELP bifrost_stream_inter_token_latency_seconds Time "
                                          "between two events of a stream.\n"
                                          "# TYPE bifrost_stream_inter_token_latency_seconds "
                                          "histogram\n"
#define G(le, n)                                                                                   \
    "bifrost_stream_inter_token_latency_seconds_bucket{" LABELS("llama") ",le=\"" le "\"} " n "\n"
    G("0.001", "1") G("0.005", "1") G("0.01", "1") G("0.025", "2") G("0.05", "2") G("0.1", "2") G(
        "0.25", "2") G("0.5", "2") G("1", "2") G("2.5", "2") G("5", "2") G("10", "2")
        G("+Inf", "2") "bifrost_stream_inter_token_latency_seconds_sum{" LABELS(
            "llama") "} 0.021\n"
                     "bifrost_stream_inter_token_latency_seconds_count{" LABELS("llama") "} 2\n";

// clang-format on

static void known_sequence_gives_this_page(void **state)
{
    (void)state;
    struct fake *f = open_chat(SLICE("llama"));
    struct exchange *x = &f->x;
    metrics_upstream(x, false, 429, 0.25 + 0.125);
    metrics_upstream(x, false, 429, 0.375);
    x->usage = (struct usage){
        .known = true, .input_tokens = 11, .output_tokens = 7, .cached_read_tokens = 3};
    metrics_first_event(x, 0.1);
    metrics_event_gap(x, 0.001);
    metrics_event_gap(x, 0.02);
    metrics_upstream(x, true, 200, 0.5);
    x->status = 200;
    metrics_http(x, 2, 100, 2000);
    metrics_http(x, 0.0155, 1000, 2000);
    fake_run(f, scrape);
    assert_int_equal(scraped, 0);
    assert_string_equal(counted(), expected);
    close_chat(f);
}

static void own_figures_are_on_the_page(void **state)
{
    (void)state;
    struct fake *f = open_chat(SLICE("llama"));
    f->core.log.dropped_total = 5;
    fake_run(f, scrape);
    const char *text = text_of_buf(&page);
    assert_non_null(strstr(text, "\nringgate_build_info{version=\"1.2.3\"} 1\n"));
    assert_non_null(strstr(text, "\nringgate_log_lines_dropped_total{core=\"0\"} 5\n"));
    assert_non_null(strstr(text, "\nringgate_connections{core=\"0\"} 0\n"));
    assert_non_null(strstr(text, "\nringgate_tls_handshakes_in_progress{core=\"0\"} 0\n"));
    assert_non_null(strstr(text, "\nringgate_tls_handshake_failures_total{core=\"0\","
                                 "reason=\"client_certificate\"} 0\n"));
    assert_non_null(strstr(text, "\nringgate_exchanges{core=\"0\"} 1\n"));
    assert_non_null(strstr(text, "\nringgate_loop_lag_seconds{core=\"0\"} "));
    assert_non_null(strstr(text, "\nprocess_resident_memory_bytes "));
    close_chat(f);
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    struct fake *f = open_chat(SLICE("a\"b\\c\nd\xff\xc3\xa9"));
    metrics_upstream(&f->x, true, 200, 1);
    fake_run(f, scrape);
    assert_non_null(strstr(text_of_buf(&page), "bifrost_upstream_requests_total{" LABELS(
                                                   "a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xa9") "} 1\n"));
    close_chat(f);
}

// Cut in the middle of a character, two names still differ as keys but not on the page: one line.
static void names_that_look_alike_are_one_line(void **state)
{
    (void)state;
    struct fake *f = open_chat(SLICE("x\xfe"));
    metrics_upstream(&f->x, true, 200, 1);
    f->x.series = NULL;
    f->x.target[0].model = SLICE("x\xff");
    metrics_upstream(&f->x, true, 200, 1);
    assert_int_equal(f->core.metrics.upstream.live, 2);
    fake_run(f, scrape);
    assert_non_null(strstr(text_of_buf(&page),
                           "bifrost_upstream_requests_total{" LABELS("x\xef\xbf\xbd") "} 2\n"));
    close_chat(f);
}

static void custom_labels_come_from_headers(void **state)
{
    (void)state;
    struct slice names[] = {SLICE("team-name"), SLICE("env"), SLICE("status"), SLICE("ENV"),
                            SLICE("app-tier")};
    struct fake *f = open_chat(SLICE("llama"));
    f->config.prometheus_labels = names;
    f->config.prometheus_label_count = ARRAY_LEN(names);
    fake_field(f, "X-BF-Prom-Env", "prod");
    fake_field(f, "x-bf-prom-app_tier", "gold");
    f->x.status = 200;
    metrics_http(&f->x, 1, 1, 1);
    fake_run(f, scrape);
    // team-name and status are taken by labels of the page, ENV is env.
    assert_non_null(strstr(text_of_buf(&page),
                           "http_requests_total{path=\"/v1/chat/completions\",method=\"POST\","
                           "status=\"200\",env=\"prod\",app_tier=\"gold\"} 1\n"));
    close_chat(f);
}

static void invented_models_end_as_other(void **state)
{
    (void)state;
    struct fake *f = open_chat(SLICE_EMPTY);
    char name[32];
    for (unsigned i = 0; i < METRICS_SERIES_MAX + 100; i++) {
        f->x.series = NULL;
        f->x.target[0].model = slice_of(name, (size_t)snprintf(name, sizeof(name), "m%u", i));
        metrics_upstream(&f->x, true, 200, 1);
    }
    assert_int_equal(f->core.metrics.upstream.live, METRICS_SERIES_MAX + 1);
    assert_int_equal(counter_get(&f->core.metrics.overflow), 100);
    fake_run(f, scrape);
    assert_int_equal(scraped, 0);
    const char *text = text_of_buf(&page);
    assert_non_null(strstr(text, "bifrost_upstream_requests_total{" LABELS("other") "} 100\n"));
    assert_non_null(strstr(text, "\nringgate_metrics_overflow_total{core=\"0\"} 100\n"));
    close_chat(f);
}

static void the_series_found_is_kept_per_key_and_target(void **state)
{
    (void)state;
    struct fake *f = open_chat(SLICE("llama"));
    struct config_key second = {.id = SLICE("id-2"), .name = SLICE("second")};
    metrics_first_event(&f->x, 1);
    struct upstream_series *first = f->x.series;
    metrics_event_gap(&f->x, 1);
    assert_ptr_equal(f->x.series, first);
    f->x.key = &second;
    metrics_event_gap(&f->x, 1);
    assert_ptr_not_equal(f->x.series, first);
    assert_int_equal(f->core.metrics.upstream.live, 2);
    close_chat(f);
}

// ---- Two cores -------------------------------------------------------------------------------

struct second {
    struct gateway_core core;
    struct fake *fake;
    sem_t ready;          // no turn of the first ring ends for it
    _Atomic bool stopped; // ring_stop has returned
    pthread_t thread;
};

static void *second_core(void *arg)
{
    struct second *s = arg;
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    uint64_t seed[2] = {1, 2};
    s->core.gateway = &s->fake->gateway;
    s->core.index = 1;
    s->core.net.ring = ring_open(false, 64, 0);
    if (fiber_sched_new(s->core.net.ring, &options, &s->core.net.fibers) < 0)
        abort();
    metrics_init(&s->core.metrics, seed);
    struct exchange x = s->fake->x;
    x.core = &s->core;
    x.series = NULL;
    metrics_upstream(&x, false, 500, 1);
    metrics_upstream(&x, true, 200, 1);
    (void)sem_post(&s->ready);
    ring_run(s->core.net.ring);
    while (!atomic_load(&s->stopped))
        ring_turn(s->core.net.ring, mono_add_ms(clock_mono(), 1));
    metrics_done(&s->core.metrics);
    fiber_sched_free(s->core.net.fibers);
    ring_free(s->core.net.ring);
    return NULL;
}

static void cores_are_added_up(void **state)
{
    (void)state;
    struct fake *f = open_chat(SLICE("llama"));
    struct second *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);
    assert_non_null(s);
    memset(s, 0, sizeof(*s));
    s->fake = f;
    assert_int_equal(sem_init(&s->ready, 0, 0), 0);
    metrics_upstream(&f->x, true, 200, 1);
    assert_int_equal(pthread_create(&s->thread, NULL, second_core, s), 0);
    assert_int_equal(sem_wait(&s->ready), 0);
    f->gateway.core[1] = &s->core;
    f->gateway.cores = 2;
    fake_run(f, scrape);
    const char *text = text_of_buf(&page);
    assert_non_null(strstr(text, "bifrost_upstream_requests_total{" LABELS("llama") "} 3\n"));
    assert_non_null(strstr(text, "bifrost_success_requests_total{" LABELS("llama") "} 2\n"));
    assert_non_null(strstr(text, LABELS("llama") ",status_code=\"500\"} 1\n"));
    assert_non_null(strstr(text, "\nringgate_exchanges{core=\"1\"} 0\n"));
    ring_stop(s->core.net.ring);
    atomic_store(&s->stopped, true);
    pthread_join(s->thread, NULL);
    (void)sem_destroy(&s->ready);
    f->gateway.cores = 1;
    free(s);
    close_chat(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sequence_gives_this_page),
        cmocka_unit_test(own_figures_are_on_the_page),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(names_that_look_alike_are_one_line),
        cmocka_unit_test(custom_labels_come_from_headers),
        cmocka_unit_test(invented_models_end_as_other),
        cmocka_unit_test(the_series_found_is_kept_per_key_and_target),
        cmocka_unit_test(cores_are_added_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
