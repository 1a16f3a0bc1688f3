// SPDX-License-Identifier: Apache-2.0
//
// answer.c: the bytes of what a request gets.
//
// Answers have the shape and the field order of the vendors' own, padded to the size asked for. A
// kind is a row: what stands before and behind the padding. Nothing is formatted for an event; one
// is put together for a send and copied as often as the send holds it. Prose costs the mock a
// microsecond an answer, which the client beside it pays, not the proxy that is measured.
//
//     stream:  start │ head padding tail │ head padding tail │ … │ finish │ usage? │ end
//              chunk │ chunk             │ chunk             │   │ chunk  │ chunk  │ chunk
#include "base/assert.h"
#include "bench/mock/mock.h"

static const char PADDING[] = "The quick brown fox jumps over the lazy dog. ";

struct stream_text {
    struct slice start;
    struct slice head, tail;
    struct slice finish; // says why the text ended
    struct slice usage;  // only when the request asked for it
    struct slice end;
};

struct kind_row {
    struct slice head, tail; // of a whole answer, the padding between them
    const struct stream_text *stream;
    const char *error; // printf's format: the status
};

#define CHUNK                                                                                      \
    "data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1,"          \
    "\"model\":\"mock\",\"choices\":["
#define CHAT_USAGE                                                                                 \
    "\"usage\":{\"prompt_tokens\":250,\"completion_tokens\":300,\"total_tokens\":550}}"

static const struct stream_text CHAT_STREAM = {
    .start = SLICE(CHUNK "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"),
    .head = SLICE(CHUNK "{\"index\":0,\"delta\":{\"content\":\""),
    .tail = SLICE("\"}}]}\n\n"),
    .finish = SLICE(CHUNK "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"),
    .usage = SLICE(CHUNK "]," CHAT_USAGE "\n\n"),
    .end = SLICE("data: [DONE]\n\n"),
};

static const struct stream_text MESSAGES_STREAM = {
    .start = SLICE("event: message_start\n"
                   "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_mock\",\"type\":"
                   "\"message\",\"role\":\"assistant\",\"model\":\"mock\",\"content\":[],"
                   "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":250,"
                   "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
                   "\"output_tokens\":1}}}\n\n"
                   "event: content_block_start\n"
                   "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
                   "{\"type\":\"text\",\"text\":\"\"}}\n\n"
                   "event: ping\n"
                   "data: {\"type\":\"ping\"}\n\n"),
    .head = SLICE("event: content_block_delta\n"
                  "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                  "{\"type\":\"text_delta\",\"text\":\""),
    .tail = SLICE("\"}}\n\n"),
    .finish = SLICE("event: content_block_stop\n"
                    "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                    "event: message_delta\n"
                    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
                    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":300}}\n\n"),
    .end = SLICE("event: message_stop\n"
                 "data: {\"type\":\"message_stop\"}\n\n"),
};

// Sequence numbers stand still and the texts of the last events are short: nobody here reads them.
#define NAMED(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"," rest
#define EVENT(type, rest) NAMED(type, rest) SEQUENCE
#define SEQUENCE          ",\"sequence_number\":4}\n\n"
#define RESPONSE                                                                                   \
    "\"response\":{\"id\":\"resp_mock\",\"object\":\"response\",\"created_at\":1700000000,"        \
    "\"model\":\"mock\",\"status\":"
#define RESPONSE_BEGUN RESPONSE "\"in_progress\",\"output\":[],\"usage\":null}"

#define ITEM_BEGUN "{\"type\":\"message\",\"id\":\"msg_mock\",\"role\":\"assistant\",\"status\":"
#define RESPONSE_PART                                                                              \
    "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"Fox.\"}"
#define RESPONSE_DONE ITEM_BEGUN "\"completed\",\"content\":[" RESPONSE_PART "]}"
#define RESPONSE_AT   "\"item_id\":\"msg_mock\",\"output_index\":0,\"content_index\":0,"
#define RESPONSE_USAGE                                                                             \
    "\"usage\":{\"input_tokens\":250,\"input_tokens_details\":{\"cached_tokens\":0},"              \
    "\"output_tokens\":300,\"output_tokens_details\":{\"reasoning_tokens\":0},"                    \
    "\"total_tokens\":550}}"

#define RESPONSE_START                                                                             \
    EVENT("response.created", RESPONSE_BEGUN)                                                      \
    EVENT("response.in_progress", RESPONSE_BEGUN)                                                  \
    EVENT("response.output_item.added",                                                            \
          "\"output_index\":0,\"item\":" ITEM_BEGUN "\"in_progress\",\"content\":[]}")             \
    EVENT("response.content_part.added",                                                           \
          RESPONSE_AT "\"part\":{\"type\":\"output_text\",\"annotations\":[],\"text\":\"\"}")
#define RESPONSE_FINISH                                                                            \
    EVENT("response.output_text.done", RESPONSE_AT "\"text\":\"Fox.\"")                            \
    EVENT("response.content_part.done", RESPONSE_AT "\"part\":" RESPONSE_PART)                     \
    EVENT("response.output_item.done", "\"output_index\":0,\"item\":" RESPONSE_DONE)
#define RESPONSE_END                                                                               \
    EVENT("response.completed",                                                                    \
          RESPONSE "\"completed\",\"output\":[" RESPONSE_DONE "]," RESPONSE_USAGE)

static const struct stream_text RESPONSES_STREAM = {
    .start = SLICE(RESPONSE_START),
    .head = SLICE(NAMED("response.output_text.delta", RESPONSE_AT "\"delta\":\"")),
    .tail = SLICE("\"" SEQUENCE),
    .finish = SLICE(RESPONSE_FINISH),
    .end = SLICE(RESPONSE_END),
};

#define OPENAI_ERROR                                                                               \
    "{\"error\":{\"message\":\"the mock was told to say %u\",\"type\":\"mock_error\","             \
    "\"param\":null,\"code\":null}}"
#define ANTHROPIC_ERROR                                                                            \
    "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","                                       \
    "\"message\":\"the mock was told to say %u\"}}"

static const struct kind_row KINDS[MOCK_KIND_COUNT] = {
    [MOCK_CHAT] = {.head = SLICE("{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\","
                                 "\"created\":1700000000,\"model\":\"mock\",\"choices\":["
                                 "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""),
                   .tail = SLICE("\"},\"logprobs\":null,\"finish_reason\":\"stop\"}]," CHAT_USAGE),
                   .stream = &CHAT_STREAM,
                   .error = OPENAI_ERROR},
    [MOCK_MESSAGES] = {.head = SLICE("{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":"
                                     "\"assistant\",\"model\":\"mock\",\"content\":["
                                     "{\"type\":\"text\",\"text\":\""),
                       .tail = SLICE("\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
                                     "\"usage\":{\"input_tokens\":250,"
                                     "\"cache_creation_input_tokens\":0,"
                                     "\"cache_read_input_tokens\":0,\"output_tokens\":300}}"),
                       .stream = &MESSAGES_STREAM,
                       .error = ANTHROPIC_ERROR},
    [MOCK_COUNT_TOKENS] = {.head = SLICE("{\"input_tokens\":250}"), .error = ANTHROPIC_ERROR},
    [MOCK_RESPONSES] = {.head = SLICE("{\"id\":\"resp_mock\",\"object\":\"response\","
                                      "\"created_at\":1700000000,\"status\":\"completed\","
                                      "\"model\":\"mock\",\"output\":[" ITEM_BEGUN
                                      "\"completed\",\"content\":[{\"type\":\"output_text\","
                                      "\"annotations\":[],\"logprobs\":[],\"text\":\""),
                        .tail = SLICE("\"}]}]," RESPONSE_USAGE),
                        .stream = &RESPONSES_STREAM,
                        .error = OPENAI_ERROR},
    [MOCK_EMBEDDINGS] = {.error = OPENAI_ERROR}, // rendered below
    // What both vendors' lists hold: either's client finds its members.
    [MOCK_MODELS] = {.head = SLICE("{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":"
                                   "\"model\",\"created\":1700000000,\"owned_by\":\"ringgate\","
                                   "\"type\":\"model\",\"display_name\":\"Mock\","
                                   "\"created_at\":\"2023-11-14T22:13:20Z\"}],"
                                   "\"first_id\":\"mock\",\"has_more\":false,"
                                   "\"last_id\":\"mock\"}"),
                     .error = OPENAI_ERROR},
};

static const struct slice PROSE[] = {
    SLICE("the "),     SLICE("of "),       SLICE("file "),    SLICE("path "),    SLICE("command "),
    SLICE("change "),  SLICE("function "), SLICE("returns "), SLICE("because "), SLICE("which "),
    SLICE("before "),  SLICE("after "),    SLICE("test "),    SLICE("passes "),  SLICE("module "),
    SLICE("is "),      SLICE("not "),      SLICE("value "),   SLICE("error "),   SLICE("request "),
    SLICE("answer, "), SLICE("branch, "),  SLICE("name. "),   SLICE("list. "),   SLICE("write "),
    SLICE("search "),  SLICE("every "),    SLICE("other "),   SLICE("result "),  SLICE("place "),
    SLICE("to "),      SLICE("in "),
};

// Words in an order that no other seed has.
static void pad_prose(struct buf *out, uint64_t seed, size_t bytes)
{
    struct prng prng;
    uint64_t bits = 0;
    prng_seed(&prng, seed);
    for (unsigned i = 0; bytes > 0; i++, bits >>= 5) {
        if (i % 12 == 0) // of 64 bits, five a word
            bits = prng_next(&prng);
        struct slice word = slice_take(PROSE[bits % ARRAY_LEN(PROSE)], bytes);
        buf_add(out, word);
        bytes -= word.len;
    }
}

static void pad(struct buf *out, size_t bytes)
{
    while (bytes > 0) {
        size_t n = bytes < sizeof(PADDING) - 1 ? bytes : sizeof(PADDING) - 1;
        buf_add(out, slice_of(PADDING, n));
        bytes -= n;
    }
}

// Of `size` bytes that head and tail leave; at least one.
static size_t padding_bytes(struct slice head, struct slice tail, size_t size)
{
    size_t frame = head.len + tail.len;
    return size > frame ? size - frame : 1;
}

// Head, padding and tail.
static void fill_whole(const struct mock_script *s, const struct kind_row *kind, struct buf *out)
{
    size_t bytes = padding_bytes(kind->head, kind->tail, s->size);
    buf_add(out, kind->head);
    if (s->prose != 0)
        pad_prose(out, s->seed, bytes);
    else
        pad(out, bytes);
    buf_add(out, kind->tail);
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

static void add_chunk(struct buf *out, struct slice data)
{
    char line[20];
    size_t n = fmt_hex(line, data.len);
    if (data.len == 0)
        return; // it would end the body
    buf_add(out, slice_of(line, n));
    buf_add(out, SLICE("\r\n"));
    buf_add(out, data);
    buf_add(out, SLICE("\r\n"));
}

void mock_answer(const struct mock_script *s, struct buf *out)
{
    const struct kind_row *kind = &KINDS[s->kind];
    if (s->stream && s->status == 200) {
        buf_add(out, SLICE("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n"));
        add_chunk(out, kind->stream->start);
        return;
    }
    struct buf body;
    buf_init(&body, MOCK_REQUEST_BYTES_MAX);
    if (s->status != 200)
        buf_printf(&body, kind->error, s->status);
    else if (s->kind == MOCK_EMBEDDINGS)
        embeddings_body(&body);
    else if (kind->tail.len == 0)
        buf_add(&body, kind->head);
    else
        fill_whole(s, kind, &body);
    buf_printf(out,
               "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               s->status, s->status == 200 ? "OK" : "Error", body.len);
    buf_add(out, buf_slice(&body));
    buf_done(&body);
}

void mock_events(const struct mock_script *s, unsigned from, unsigned to, struct buf *out)
{
    const struct stream_text *text = KINDS[s->kind].stream;
    ASSERT(text && from <= to && to <= s->events + 1);
    struct buf event;
    buf_init(&event, 1u << 20);
    buf_add(&event, text->head);
    pad(&event, padding_bytes(text->head, text->tail, s->event_bytes));
    buf_add(&event, text->tail);
    for (unsigned i = from; i < to && i < s->events; i++)
        add_chunk(out, buf_slice(&event));
    buf_done(&event);
    if (to <= s->events)
        return;
    add_chunk(out, text->finish);
    if (s->usage)
        add_chunk(out, text->usage);
    add_chunk(out, text->end);
    buf_add(out, SLICE("0\r\n\r\n"));
}
