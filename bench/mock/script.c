// SPDX-License-Identifier: Apache-2.0
//
// script.c: from a request to what it gets, and the bytes of that.
//
// The request is searched, not parsed: the mock trusts its callers and must be cheap. Answers have
// the shape and field order of OpenAI's, padded to the size asked for.
#include "base/assert.h"
#include "bench/mock/mock.h"

static const char PADDING[] = "The quick brown fox jumps over the lazy dog. ";

struct word {
    struct slice name;
    size_t offset;
};

#define WORD(field)                                                                                \
    {                                                                                              \
        .name = {#field "=", sizeof(#field)}, .offset = offsetof(struct mock_script, field)        \
    }

static const struct word WORDS[] = {
    WORD(status), WORD(size), WORD(events), WORD(event_bytes), WORD(pace_us), WORD(latency_ms),
};

static const struct {
    struct slice name;
    enum mock_fault fault;
} FAULTS[] = {
    {{"hangup", 6}, MOCK_FAULT_HANGUP},
    {{"cut", 3}, MOCK_FAULT_CUT},
    {{"stall", 5}, MOCK_FAULT_STALL},
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
    if (slice_find(path, SLICE("/embeddings")) >= 0)
        ret->stream = false;
}

static void pad(struct buf *out, size_t bytes)
{
    while (bytes > 0) {
        size_t n = bytes < sizeof(PADDING) - 1 ? bytes : sizeof(PADDING) - 1;
        buf_add(out, slice_of(PADDING, n));
        bytes -= n;
    }
}

static void embeddings_body(struct buf *body)
{
    buf_add(body, SLICE("{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
                        "\"embedding\":["));
    for (int i = 0; i < 256; i++)
        buf_printf(body, "%s0.0%d", i > 0 ? "," : "", 1000 + i);
    buf_add(body, SLICE("]}],\"model\":\"mock\",\"usage\":{\"prompt_tokens\":8,"
                        "\"total_tokens\":8}}"));
}

static void models_body(struct buf *body)
{
    buf_add(body, SLICE("{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\","
                        "\"created\":1700000000,\"owned_by\":\"ringgate\"}]}"));
}

static void responses_body(const struct mock_script *s, struct buf *body)
{
    buf_add(body, SLICE("{\"id\":\"resp_mock\",\"object\":\"response\",\"created_at\":1700000000,"
                        "\"status\":\"completed\",\"model\":\"mock\",\"output\":[{\"type\":"
                        "\"message\",\"id\":\"msg_mock\",\"status\":\"completed\",\"role\":"
                        "\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],"
                        "\"text\":\""));
    pad(body, s->size > body->len + 100 ? s->size - body->len - 100 : 6);
    buf_add(body, SLICE("\"}]}],\"usage\":{\"input_tokens\":250,\"output_tokens\":300,"
                        "\"total_tokens\":550}}"));
}

static void chat_body(const struct mock_script *s, struct buf *body)
{
    buf_add(body, SLICE("{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":"
                        "1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":"
                        "{\"role\":\"assistant\",\"content\":\""));
    pad(body, s->size > body->len + 140 ? s->size - body->len - 140 : 6);
    buf_add(body, SLICE("\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
                        "{\"prompt_tokens\":250,\"completion_tokens\":300,\"total_tokens\":550}}"));
}

static void error_body(const struct mock_script *s, struct buf *body)
{
    buf_printf(body,
               "{\"error\":{\"message\":\"the mock was told to say %u\",\"type\":"
               "\"mock_error\",\"param\":null,\"code\":null}}",
               s->status);
}

static void stream_head(struct buf *out)
{
    buf_add(out, SLICE("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n"));
}

void mock_answer(struct slice path, const struct mock_script *s, struct buf *out)
{
    if (s->stream && s->status == 200) {
        stream_head(out);
        return;
    }
    struct buf body;
    buf_init(&body, MOCK_REQUEST_BYTES_MAX);
    if (s->status != 200)
        error_body(s, &body);
    else if (slice_find(path, SLICE("/models")) >= 0)
        models_body(&body);
    else if (slice_find(path, SLICE("/embeddings")) >= 0)
        embeddings_body(&body);
    else if (slice_find(path, SLICE("/responses")) >= 0)
        responses_body(s, &body);
    else
        chat_body(s, &body);
    buf_printf(out,
               "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               s->status, s->status == 200 ? "OK" : "Error", body.len);
    buf_add(out, buf_slice(&body));
    buf_done(&body);
}

static void add_chunk(struct buf *out, struct slice data)
{
    char line[20];
    size_t n = fmt_hex(line, data.len);
    buf_add(out, slice_of(line, n));
    buf_add(out, SLICE("\r\n"));
    buf_add(out, data);
    buf_add(out, SLICE("\r\n"));
}

static void one_event(const struct mock_script *s, struct buf *event)
{
    static const char HEAD[] =
        "data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\","
        "\"created\":1,\"model\":\"mock\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"content\":\"";
    static const char TAIL[] = "\"}}]}\n\n";
    size_t frame = sizeof(HEAD) + sizeof(TAIL) - 2;
    buf_add(event, slice_of(HEAD, sizeof(HEAD) - 1));
    pad(event, s->event_bytes > frame ? s->event_bytes - frame : 1);
    buf_add(event, slice_of(TAIL, sizeof(TAIL) - 1));
}

void mock_events(const struct mock_script *s, unsigned from, unsigned to, struct buf *out)
{
    ASSERT(from <= to && to <= s->events + 1);
    struct buf event;
    buf_init(&event, 1u << 20);
    one_event(s, &event);
    for (unsigned i = from; i < to && i < s->events; i++)
        add_chunk(out, buf_slice(&event));
    buf_done(&event);
    if (to <= s->events)
        return;
    if (s->usage)
        add_chunk(out, SLICE("data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\","
                             "\"created\":1,\"model\":\"mock\",\"choices\":[],\"usage\":"
                             "{\"prompt_tokens\":250,\"completion_tokens\":300,"
                             "\"total_tokens\":550}}\n\n"));
    add_chunk(out, SLICE("data: [DONE]\n\n"));
    buf_add(out, SLICE("0\r\n\r\n"));
}
