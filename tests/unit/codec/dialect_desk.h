// SPDX-License-Identifier: Apache-2.0
//
// dialect_desk.h: what the tests of the dialects' rows share: a table of events and what each says,
// answers in which no usage is to be found, and the names of members.
#ifndef RINGGATE_TESTS_DIALECT_DESK_H
#define RINGGATE_TESTS_DIALECT_DESK_H

#include "base/container.h"
#include "codec/dialect.h"
#include "tests/unit/base/cm.h"

struct event_case {
    const struct dialect *dialect;
    const char *type;
    const char *data; // NULL: a comment
    enum dialect_event_kind kind;
    bool is_object;
    uint64_t usage; // what `told` gives; 0: not known
};

static inline void check_events(const struct event_case *cases, size_t count,
                                uint64_t (*told)(const struct dialect_usage *usage))
{
    for (size_t i = 0; i < count; i++) {
        const struct event_case *c = &cases[i];
        struct sse_event event = {
            .type = slice_str(c->type), .data = slice_str(c->data), .has_data = c->data != NULL};
        struct dialect_event got;
        c->dialect->event(&event, &got);
        if (got.kind != c->kind || got.is_object != c->is_object ||
            got.usage.known != (c->usage > 0) || told(&got.usage) != c->usage)
            fail_msg("case %zu: %s: kind %d", i, c->data ? c->data : "(comment)", got.kind);
    }
}

static inline void check_no_usage(const struct dialect *dialect, const char *const *texts,
                                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct dialect_usage u = {.known = true, .input_tokens = 3};
        dialect->answer_usage(slice_str(texts[i]), &u);
        if (u.known || u.input_tokens > 0)
            fail_msg("usage was found in %s", texts[i]);
    }
}

static inline void check_members(const struct dialect *const *rows, size_t count)
{
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < DIALECT_MEMBER_COUNT; i++) {
            assert_true(rows[r]->members[i].len > 0);
            for (size_t k = 0; k < i; k++)
                assert_false(slice_eq(rows[r]->members[i], rows[r]->members[k]));
        }
}

#endif
