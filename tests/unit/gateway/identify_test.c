// SPDX-License-Identifier: Apache-2.0
//
// identify_test.c: where a virtual key is looked for, and what is one.
#include "gateway/identify.h"

#include "base/container.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FIELDS_MAX 4

struct row {
    struct {
        const char *name, *value;
    } field[FIELDS_MAX];
    const char *key; // "": none
};

static const struct row rows[] = {
    {{{"x-bf-vk", "sk-bf-1"}}, "sk-bf-1"},
    {{{"x-bf-vk", "  sk-bf-1 "}}, "sk-bf-1"},
    {{{"x-bf-vk", "an-old-one"}}, "an-old-one"}, // from before there was a prefix
    {{{"x-bf-vk", ""}}, ""},
    {{{"Authorization", "Bearer sk-bf-2"}}, "sk-bf-2"},
    {{{"authorization", "bearer SK-BF-2"}}, "SK-BF-2"},
    {{{"authorization", "sk-bf-2"}}, ""},
    {{{"authorization", "Basic sk-bf-2"}}, ""},
    {{{"authorization", "Bearer sk-2"}}, ""},
    {{{"authorization", "Bearer sk-ant-oat01-x"}}, ""},
    {{{"x-api-key", "sk-bf-3"}}, "sk-bf-3"},
    {{{"x-api-key", "sk-ant-3"}}, ""},
    {{{"x-goog-api-key", "sk-bf-4"}}, "sk-bf-4"},
    {{{"api-key", "sk-bf-5"}}, "sk-bf-5"},
    {{{"x-goog-api-key", "sk-bf-4"}, {"x-bf-vk", "sk-bf-1"}}, "sk-bf-1"},
    {{{"x-api-key", "sk-bf-3"}, {"authorization", "Bearer sk-bf-2"}}, "sk-bf-2"},
    {{{"x-goog-api-key", "sk-bf-4"}, {"x-api-key", "sk-bf-3"}}, "sk-bf-3"},
    {{{"authorization", "Bearer sk-2"}, {"x-api-key", "sk-bf-3"}}, "sk-bf-3"},
    {{{"accept", "sk-bf-1"}}, ""},
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_field fields[FIELDS_MAX];
        struct http_head head = {.fields = fields};
        for (unsigned f = 0; f < FIELDS_MAX && rows[i].field[f].name; f++)
            fields[head.count++] =
                (struct http_field){.id = http_name_find(slice_str(rows[i].field[f].name)),
                                    .name = slice_str(rows[i].field[f].name),
                                    .value = slice_str(rows[i].field[f].value)};
        if (!slice_eq(identify_value(&head), slice_str(rows[i].key)))
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
