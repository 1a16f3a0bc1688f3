// SPDX-License-Identifier: Apache-2.0
//
// dialect_test.c: which pairs can be translated, by the functions their rows have.
#include "codec/dialect.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int read_request(struct canon_request *r, struct slice text)
{
    (void)r, (void)text;
    return 0;
}

static int write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    (void)r, (void)model, (void)w;
    return 0;
}

static int read_answer(struct canon_answer *a, struct slice text)
{
    (void)a, (void)text;
    return 0;
}

static int write_answer(const struct canon_answer *a, const struct canon_context *c,
                        struct json_writer *w)
{
    (void)a, (void)c, (void)w;
    return 0;
}

static int read_event(struct canon_reader *r, const struct sse_event *e, struct canon_sink *sink)
{
    (void)r, (void)e, (void)sink;
    return 0;
}

static int write_event(struct canon_writer *w, const struct canon_event *e)
{
    (void)w, (void)e;
    return 0;
}

static const struct dialect_translation all = {read_request, write_request, read_answer,
                                               write_answer, read_event,    write_event};
static const struct dialect_translation client_whole = {.read_request = read_request,
                                                        .write_answer = write_answer};
static const struct dialect_translation provider_whole = {.write_request = write_request,
                                                          .read_answer = read_answer};

static bool pair(const struct dialect_translation *client,
                 const struct dialect_translation *provider, bool stream)
{
    struct dialect c = {.translation = client};
    struct dialect p = {.translation = provider};
    return dialect_translates(&c, &p, stream);
}

static void a_pair_needs_each_function_on_its_way(void **state)
{
    (void)state;
    assert_true(pair(&all, &all, true));
    assert_true(pair(&all, &all, false));
    assert_true(pair(&client_whole, &provider_whole, false));
    assert_false(pair(&client_whole, &all, true));
    assert_false(pair(&all, &provider_whole, true));
    assert_false(pair(&provider_whole, &all, false));
    assert_false(pair(&all, &client_whole, false));
    assert_false(pair(NULL, &all, false));
    assert_false(pair(&all, NULL, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_needs_each_function_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
