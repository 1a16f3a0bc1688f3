// SPDX-License-Identifier: Apache-2.0
//
// exchange_settle_test.c: which state may follow which, what is counted, and the one log line.
#define FIXTURE_REAL_EXCHANGE
#include "tests/unit/gateway/fixture.h"

#include "codec/dialect.h"
#include <signal.h>
#include <sys/wait.h>

static const struct route chat = {
    .path = "/v1/chat/completions", .mount = MOUNT_UNIFIED, .operation = OP_CHAT};
static const struct route health = {.path = "/health"};
static struct config_provider provider = {.name = {"groq", 4}};

// Does the step end in a failed assertion? It is taken in a child.
static bool aborts(enum exchange_state from, enum exchange_state to)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct exchange x = {.state = from};
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        close(STDERR_FILENO);
        exchange_set_state(&x, to);
        _exit(x.state == to ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGABRT);
        return true;
    }
    assert_int_equal(status, 0);
    return false;
}

static void states_follow_the_diagram(void **state)
{
    // Rows: from; columns: to.
    static const char allowed[EXCHANGE_STATE_COUNT][EXCHANGE_STATE_COUNT + 1] = {
        //                      RRTCFS
        [EXCHANGE_READING] = /**/ ".x.xxx", [EXCHANGE_ROUTED] = "..xxxx",
        [EXCHANGE_TRYING] = /* */ "..xxxx", [EXCHANGE_COMMITTED] = ".....x",
        [EXCHANGE_FAILED] = /* */ ".....x", [EXCHANGE_SETTLED] = "......",
    };
    (void)state;
    for (unsigned from = 0; from < EXCHANGE_STATE_COUNT; from++)
        for (unsigned to = 0; to < EXCHANGE_STATE_COUNT; to++)
            if (aborts(from, to) != (allowed[from][to] == '.'))
                fail_msg("state %u to %u", from, to);
}

static struct fake *open_chat(unsigned status)
{
    struct fake *f = fake_open();
    f->x.route = &chat;
    f->x.dialect = &dialect_openai_chat;
    f->x.state = EXCHANGE_COMMITTED;
    f->x.target[0] = (struct target){.provider = &provider, .model = SLICE("llama")};
    f->x.target_count = 1;
    f->x.status = status;
    f->x.request_id = SLICE("id-1");
    f->x.model_requested = SLICE("groq/llama");
    f->stream.request.method = HTTP_POST;
    return f;
}

static struct buf page;

static void scrape(struct fake *f, struct fiber *self)
{
    assert_int_equal(metrics_scrape_await(&f->gateway, &f->core, self, NULL, &page), 0);
}

static bool page_has(struct fake *f, const char *text)
{
    buf_init(&page, 1 << 24);
    fake_run(f, scrape);
    bool found = strstr(text_of_buf(&page), text) != NULL;
    buf_done(&page);
    return found;
}

static void a_relayed_answer_is_counted(void **state)
{
    (void)state;
    struct fake *f = open_chat(200);
    f->x.answer_bytes = 1500;
    exchange_settle(&f->x);
    assert_int_equal(f->x.state, EXCHANGE_SETTLED);
    assert_true(page_has(f, "http_requests_total{path=\"/v1/chat/completions\",method=\"POST\","
                            "status=\"200\"} 1\n"));
    assert_true(page_has(f, "bifrost_success_requests_total{provider=\"groq\",model=\"llama\""));
    assert_true(page_has(f, "http_response_size_bytes_sum{path=\"/v1/chat/completions\","
                            "method=\"POST\",status=\"200\"} 1500\n"));
    fake_close(f);
}

static void a_broken_answer_is_an_error_of_its_provider(void **state)
{
    (void)state;
    struct fake *f = open_chat(200);
    f->x.broken = true;
    f->x.retries = 2;
    f->x.failure = (struct failure){.err = ERR_UPSTREAM_TRUNCATED};
    exchange_settle(&f->x);
    assert_false(page_has(f, "bifrost_success_requests_total{"));
    assert_true(page_has(f, "bifrost_error_requests_total{provider=\"groq\",model=\"llama\""));
    gateway_access_log(&f->x);
    struct slice line = log_take(&f->core.log);
    assert_true(slice_find(line, SLICE("\"message\":\"request failed\"")) > 0);
    assert_true(slice_starts(line, SLICE("{\"level\":\"error\"")));
    assert_true(slice_find(line, SLICE("\"provider\":\"groq\",\"model\":\"groq/llama\"")) > 0);
    assert_true(slice_find(line, SLICE("\"retries\":2")) > 0);
    log_written(&f->core.log);
    fake_close(f);
}

// Attempts that failed before have been counted by their targets.
static void a_failed_request_is_no_further_attempt(void **state)
{
    (void)state;
    struct fake *f = open_chat(429);
    f->x.state = EXCHANGE_FAILED;
    f->x.failure = (struct failure){.message = SLICE("slow down")};
    exchange_settle(&f->x);
    assert_false(page_has(f, "bifrost_upstream_requests_total{"));
    gateway_access_log(&f->x);
    struct slice line = log_take(&f->core.log);
    assert_true(slice_find(line, SLICE("\"message\":\"request failed\"")) > 0);
    assert_true(slice_starts(line, SLICE("{\"level\":\"warn\"")));
    assert_true(slice_find(line, SLICE("\"error\":\"slow down\"")) > 0);
    log_written(&f->core.log);
    fake_close(f);
}

static void our_own_answers_are_counted_as_http(void **state)
{
    (void)state;
    struct fake *f = open_chat(503);
    f->x.route = &health;
    f->x.target_count = 0;
    exchange_settle(&f->x);
    assert_true(page_has(f, "http_requests_total{path=\"/health\",method=\"POST\","
                            "status=\"503\"} 1\n"));
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_follow_the_diagram),
        cmocka_unit_test(a_relayed_answer_is_counted),
        cmocka_unit_test(a_broken_answer_is_an_error_of_its_provider),
        cmocka_unit_test(a_failed_request_is_no_further_attempt),
        cmocka_unit_test(our_own_answers_are_counted_as_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
