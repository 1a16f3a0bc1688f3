// SPDX-License-Identifier: Apache-2.0
//
// config_report_test.c: the nearest name to a misspelt one.
#include "gateway/config_build.h"

#include "base/container.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *name_at(const void *list, unsigned index)
{
    return ((const char *const *)list)[index];
}

static void the_nearest_name_is_found(void **state)
{
    (void)state;
    static const char *const names[] = {"keys",        "network_config", "value", "models",
                                        "max_retries", "weight",         "tls",   NULL};
    static const struct {
        const char *misspelt, *found;
    } rows[] = {
        {"kyes", "keys"},  // two letters swapped
        {"tsl", "tls"},    // in a short name
        {"key", "keys"},   // one missing
        {"keyss", "keys"}, // one too many
        {"kels", "keys"},  // one wrong
        {"KEYS", "keys"},  // letter case
        {"val", "value"},  // the front
        {"networkconfig", "network_config"},
        {"netwerk_cofnig", "network_config"},
        {"max_retry", "max_retries"}, // three edits
        {"vallu", "value"},
        {"va", NULL},
        {"xyz", NULL},
        {"", NULL},
        {"k", NULL},
        {"something_else_entirely", NULL},
        {"a_name_longer_than_any_that_is_ever_compared_with_another", NULL},
    };
    struct config__names list = {.at = name_at, .list = names};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *found = config__suggest(slice_str(rows[i].misspelt), list);
        if ((found == NULL) != (rows[i].found == NULL) ||
            (found != NULL && strcmp(found, rows[i].found) != 0))
            fail_msg("%s: %s", rows[i].misspelt, found ? found : "nothing");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_name_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
