// SPDX-License-Identifier: Apache-2.0
//
// script.c: from a request to what it gets.
//
// The request is searched, not parsed: the mock trusts its callers and must be cheap.
#include "bench/mock/mock.h"

struct word {
    struct slice name;
    size_t offset;
};

#define WORD(field)                                                                                \
    {                                                                                              \
        .name = {#field "=", sizeof(#field)}, .offset = offsetof(struct mock_script, field)        \
    }

static const struct word WORDS[] = {
    WORD(status),  WORD(size),       WORD(events), WORD(event_bytes),
    WORD(pace_us), WORD(latency_ms), WORD(prose),
};

static const struct {
    struct slice name;
    enum mock_fault fault;
} FAULTS[] = {
    {{"hangup", 6}, MOCK_FAULT_HANGUP},
    {{"cut", 3}, MOCK_FAULT_CUT},
    {{"stall", 5}, MOCK_FAULT_STALL},
};

// The first that the path holds.
static const struct {
    struct slice part;
    enum mock_kind kind;
    bool streams;
} PATHS[] = {
    {{"/messages/count_tokens", 22}, MOCK_COUNT_TOKENS, false},
    {{"/messages", 9}, MOCK_MESSAGES, true},
    {{"/responses", 10}, MOCK_RESPONSES, true},
    {{"/embeddings", 11}, MOCK_EMBEDDINGS, false},
    {{"/models", 7}, MOCK_MODELS, false},
};

static void read_word(struct slice word, struct mock_script *s)
{
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        uint64_t value;
        if (!slice_starts(word, WORDS[i].name))
            continue;
        if (slice_to_u64(slice_skip(word, WORDS[i].name.len), &value) == 0 && value <= UINT32_MAX)
            *(unsigned *)((char *)s + WORDS[i].offset) = (unsigned)value;
        return;
    }
    if (!slice_starts(word, SLICE("fault=")))
        return;
    for (size_t i = 0; i < ARRAY_LEN(FAULTS); i++)
        if (slice_eq(slice_skip(word, 6), FAULTS[i].name))
            s->fault = FAULTS[i].fault;
}

// The words behind "mock:" up to the closing quote.
static void read_model(struct slice body, struct mock_script *s)
{
    ptrdiff_t at = slice_find(body, SLICE("mock:"));
    if (at < 0)
        return;
    struct slice rest = slice_skip(body, (size_t)at + 5);
    ptrdiff_t end = slice_find_char(rest, '"');
    rest = slice_take(rest, end < 0 ? 0 : (size_t)end);
    while (rest.len > 0) {
        ptrdiff_t comma = slice_find_char(rest, ',');
        read_word(slice_take(rest, comma < 0 ? rest.len : (size_t)comma), s);
        rest = slice_skip(rest, comma < 0 ? rest.len : (size_t)comma + 1);
    }
}

void mock_script_read(struct slice path, struct slice body, struct mock_script *ret)
{
    *ret = (struct mock_script){.status = 200, .size = 1400, .events = 20, .event_bytes = 150};
    // What matters stands near the start or the end of a long body, never in its middle.
    struct slice near = slice_take(body, 512);
    struct slice far = slice_skip(body, body.len > 512 ? body.len - 512 : 0);
    read_model(near, ret);
    if (far.ptr >= near.ptr + near.len)
        read_model(far, ret);
    for (int i = 0; i < 2; i++) {
        struct slice part = i == 0 ? near : far;
        ret->stream |= slice_find(part, SLICE("\"stream\":true")) >= 0 ||
                       slice_find(part, SLICE("\"stream\": true")) >= 0;
        ret->usage |= slice_find(part, SLICE("\"include_usage\":true")) >= 0 ||
                      slice_find(part, SLICE("\"include_usage\": true")) >= 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        if (slice_find(path, PATHS[i].part) < 0)
            continue;
        ret->kind = PATHS[i].kind;
        ret->stream &= PATHS[i].streams;
        break;
    }
}
