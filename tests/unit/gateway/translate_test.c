// SPDX-License-Identifier: Apache-2.0
//
// translate_test.c: how often a body is read and written, where, and what is told of it.
//
// Two toy dialects stand on either side: the client's reads a body into one message, the provider's
// writes the model and what the message said.
#include "tests/unit/gateway/fixture.h"

#include "codec/dialect.h"
#include "gateway/translate.h"
#include "ring/work.h"
#include <pthread.h>

static struct {
    unsigned reads, writes;
    int read_err, write_err;
    bool dropped_read, dropped_write;
    bool pass_extra;
    pthread_t by;
} toy;

static int toy_read(struct canon_request *r, struct slice text)
{
    struct canon_message **tail = &r->messages, *m;
    toy.reads++;
    toy.by = pthread_self();
    toy.pass_extra = r->pass_extra;
    if (toy.read_err)
        return canon_refuse(r, toy.read_err, SLICE("messages"), "`messages` has a %s", "hole");
    if (toy.dropped_read)
        canon_drop(r, SLICE("seed"));
    int rc = canon_add_message(r, &tail, &m);
    if (rc == 0)
        m->name = slice_take(text, 5);
    return rc;
}

static int toy_write(struct canon_request *r, struct slice model, struct json_writer *w)
{
    toy.writes++;
    toy.by = pthread_self();
    if (toy.dropped_write)
        canon_drop(r, SLICE("top_k"));
    if (toy.write_err)
        return canon_refuse(r, toy.write_err, SLICE("n"), "`n` must be 1");
    json_object(w);
    json_member_string(w, SLICE("model"), model);
    json_member_string(w, SLICE("said"), r->messages->name);
    json_object_end(w);
    return 0;
}

static const struct slice members[DIALECT_MEMBER_COUNT] = {
    SLICE("model"), SLICE("stream"),     SLICE("stream_options"),        SLICE("fallbacks"),
    SLICE("input"), SLICE("max_tokens"), SLICE("max_completion_tokens"), SLICE("service_tier"),
};
static const struct dialect_translation reads = {.read_request = toy_read};
static const struct dialect_translation writes = {.write_request = toy_write};
static const struct dialect client = {.members = members, .translation = &reads};
static const struct dialect provider = {.members = members, .translation = &writes};

static const struct provider_row plain = {.stream_usage = true, .max_completion_tokens = true};
static const struct provider_edit drops[] = {
    {.kind = EDIT_DROP, .operations = 1u << OP_CHAT, .member = SLICE("said")}};
static const struct provider_row picky = {.edits = drops, .edit_count = 1, .stream_usage = true};
static const struct config_provider one = {.row = &plain};
static const struct config_provider two = {.row = &picky};

static const struct route route = {.mount = MOUNT_OPENAI, .operation = OP_CHAT};
static struct failure failure;
static int result;

static struct fake *open_toy(struct slice body)
{
    struct fake *f = fake_open();
    memset(&toy, 0, sizeof(toy));
    f->x.route = &route;
    f->x.dialect = &client;
    f->x.upstream_dialect = &provider;
    f->x.body = body;
    f->x.request_id = SLICE("id-7");
    f->x.target[0].provider = &one;
    f->x.target_count = 1;
    f->x.model_sent = SLICE("m");
    return f;
}

static void close_toy(struct fake *f)
{
    translate_drop(&f->x);
    fake_close(f);
}

static void begin(struct fake *f, struct fiber *self)
{
    result = translate_begin_await(&f->x, self, &failure);
}

static void begin_and_write(struct fake *f, struct fiber *self)
{
    result = translate_begin_await(&f->x, self, &failure);
    if (result == 0)
        result = translate_write_await(&f->x, self, &f->x.target[0], &failure);
}

static void assert_slice(struct slice s, const char *want)
{
    if (!slice_eq(s, slice_str(want)))
        fail_msg("%.*s, not %s", SLICE_ARG(s), want);
}

static void a_body_is_read_once_and_written_for_each_model(void **state)
{
    (void)state;
    struct fake *f = open_toy(SLICE("{\"a\":1}"));
    fake_run(f, begin_and_write);
    assert_int_equal(result, 0);
    assert_slice(f->x.translation->written, "{\"model\":\"m\",\"said\":\"{\\\"a\\\":\"}");
    assert_slice(f->x.translated->context.model, "m");
    assert_slice(f->x.translated->context.id, "id-7");
    fake_run(f, begin_and_write); // the same again: a retry
    assert_int_equal(toy.reads, 1);
    assert_int_equal(toy.writes, 1);
    f->x.model_sent = SLICE("alias");
    fake_run(f, begin_and_write);
    assert_slice(f->x.translation->written, "{\"model\":\"alias\",\"said\":\"{\\\"a\\\":\"}");
    assert_int_equal(toy.reads, 1);
    assert_int_equal(toy.writes, 2);
    close_toy(f);
}

static void what_is_written_is_walked_only_for_edits(void **state)
{
    (void)state;
    struct fake *f = open_toy(SLICE("{\"a\":1}"));
    fake_run(f, begin_and_write);
    assert_null(f->x.translation->scan);
    f->x.target[0].provider = &two;
    fake_run(f, begin_and_write);
    assert_int_equal(toy.writes, 2);
    const struct json_scanner *scan = f->x.translation->scan;
    assert_non_null(scan);
    assert_slice(scan->names[DIALECT_MEMBER_COUNT], "said");
    assert_int_equal(scan->member[DIALECT_MEMBER_COUNT].type, JSON_STRING);
    close_toy(f);
}

static void what_did_not_cross_is_reported_for_each_writing(void **state)
{
    (void)state;
    struct fake *f = open_toy(SLICE("{\"a\":1}"));
    toy.dropped_read = true;
    toy.dropped_write = true;
    fake_run(f, begin_and_write);
    assert_slice(f->x.translated->dropped, "[\"seed\",\"top_k\"]");
    assert_slice(f->x.translated->dropped_list, "seed, top_k");
    f->x.model_sent = SLICE("other");
    toy.dropped_write = false;
    fake_run(f, begin_and_write);
    assert_slice(f->x.translated->dropped, "[\"seed\"]");
    close_toy(f);
    f = open_toy(SLICE("{\"a\":1}"));
    fake_run(f, begin_and_write);
    assert_int_equal(f->x.translated->dropped.len, 0);
    close_toy(f);
}

static void a_refusal_is_a_400_that_names_the_member(void **state)
{
    (void)state;
    struct fake *f = open_toy(SLICE("{\"a\":1}"));
    toy.read_err = ERR_UNSUPPORTED; // 501 by itself
    fake_run(f, begin);
    assert_int_equal(result, ERR_UNSUPPORTED);
    assert_null(f->x.translation); // a fallback begins anew
    assert_int_equal(failure.status, 400);
    assert_false(failure.from_gateway);
    assert_slice(failure.param, "messages");
    assert_slice(failure.message, "`messages` has a hole");
    assert_slice(failure.type, "invalid_request_error");
    toy.read_err = 0;
    toy.write_err = ERR_BAD_TYPE;
    fake_run(f, begin_and_write);
    assert_int_equal(failure.status, 400);
    assert_slice(failure.param, "n");
    // Nothing of it is taken for written.
    toy.write_err = 0;
    fake_run(f, begin_and_write);
    assert_int_equal(result, 0);
    assert_int_equal(toy.writes, 2);
    close_toy(f);
}

static void too_many_parts_are_the_callers_and_no_memory_is_ours(void **state)
{
    (void)state;
    struct fake *f = open_toy(SLICE("{\"a\":1}"));
    toy.read_err = ERR_LIMIT;
    fake_run(f, begin);
    assert_int_equal(failure.status, 400);
    toy.read_err = ERR_NOMEM;
    fake_run(f, begin);
    assert_int_equal(failure.status, 503);
    close_toy(f);
}

static void unknown_members_pass_when_the_header_says_so(void **state)
{
    static const char *const values[] = {"true", "false", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct fake *f = open_toy(SLICE("{\"a\":1}"));
        fake_field(f, "x-bf-passthrough-extra-params", values[i]);
        fake_run(f, begin);
        assert_int_equal(toy.pass_extra, i == 0);
        close_toy(f);
    }
}

static void a_large_body_is_another_threads_work(void **state)
{
    (void)state;
    char *text = malloc(TRANSLATE_TURN_BYTES + 1);
    assert_non_null(text);
    memset(text, 'x', TRANSLATE_TURN_BYTES + 1);
    for (size_t over = 0; over < 2; over++) {
        struct fake *f = open_toy(slice_of(text, TRANSLATE_TURN_BYTES + over));
        assert_int_equal(work_pool_new(1, &f->gateway.work), 0);
        fake_run(f, begin_and_write);
        assert_int_equal(result, 0);
        assert_slice(f->x.translation->written, "{\"model\":\"m\",\"said\":\"xxxxx\"}");
        assert_int_equal(pthread_equal(toy.by, pthread_self()) == 0, over == 1);
        translate_drop(&f->x);
        assert_null(f->x.translation);
        translate_drop(&f->x);
        work_pool_leave(f->gateway.work);
        work_pool_free(f->gateway.work);
        fake_close(f);
    }
    free(text);
}

#define TOOL "{\"type\":\"function\",\"name\":\"f\"}"

// The body goes at commit; what an answer of the responses API repeats of it stays.
static void what_an_answer_repeats_outlives_the_body(void **state)
{
    (void)state;
    char body[] =
        " {\"input\":\"hi\",\"tools\":[ " TOOL " ],\"model\":\"m\",\"temperature\":0.50} ";
    struct fake *f = open_toy(slice_str(body));
    fake_run(f, begin);
    assert_int_equal(f->x.translated->context.request.len, 0);
    translate_drop(&f->x);
    f->x.dialect = &dialect_openai_responses;
    fake_run(f, begin);
    if (result != 0)
        fail_msg("%.*s", SLICE_ARG(failure.message));
    memset(body, 'x', sizeof(body) - 1);
    assert_slice(f->x.translated->context.request, "{\"tools\":[ " TOOL " ],\"temperature\":0.50}");
    close_toy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_read_once_and_written_for_each_model),
        cmocka_unit_test(what_is_written_is_walked_only_for_edits),
        cmocka_unit_test(what_did_not_cross_is_reported_for_each_writing),
        cmocka_unit_test(a_refusal_is_a_400_that_names_the_member),
        cmocka_unit_test(too_many_parts_are_the_callers_and_no_memory_is_ours),
        cmocka_unit_test(unknown_members_pass_when_the_header_says_so),
        cmocka_unit_test(a_large_body_is_another_threads_work),
        cmocka_unit_test(what_an_answer_repeats_outlives_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
