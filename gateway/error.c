// SPDX-License-Identifier: Apache-2.0
//
// error.c: from a failure to the bytes a client reads.
//
// Two readers and two writers. failure_of takes one of our own errors, failure_of_answer what a
// provider answered; both fill the same `struct failure`, and only the writers below know what it
// looks like on the wire:
//
//   error_body    plain HTTP, before the first byte: the envelope; on drop-ins the provider's own
//                 JSON
//   error_event   inside a stream: `data: <envelope>`, below /anthropic with `event: error` before
//                 it, or for responses `event: error` and the flat
//                 {"type":"error","code","message","param","sequence_number"} of that API
//
// Providers word errors in many ways; the members looked for, in this order:
//
//   {"error":{"message","type","code","param"}}   openai, groq, fireworks, openrouter, perplexity
//   {"error":"text","code":"…"}                   xai, ollama
//   {"message","type","code","param"}             cerebras, mistral, vllm
//   {"detail":"text" or […]}                      whatever stands on FastAPI
//   [{"error":{…}}]                               gateways of Google
//
// Texts come from outside and pass through buf_add_json, so every body is valid JSON whatever they
// hold. Building allocates; failing is not the data path's common case.
#include "gateway/error.h"

#include "base/assert.h"
#include "base/err.h"
#include "codec/json_scan.h"
#include "gateway/headers.h"
#include "net/limits.h"
#include "ring/fiber.h"

// Bounds what a provider's essay makes us hold and send.
#define ENVELOPE_BYTES_MAX 65536
#define MESSAGE_BYTES_MAX  8192
// A text/plain answer up to this long is taken for the message itself.
#define PLAIN_BYTES_MAX 1024
// Shorter secrets are placeholders ("dummy"); cutting them out would mangle plain words.
#define SECRET_BYTES_MIN 8
#define FIELDS_OWN       (2 + ERROR_FIELDS_EXTRA + GATEWAY_CORS_FIELDS)
// What headers_down adds to a provider's fields: provider, model, request id, what was dropped.
#define FIELDS_DOWN 4

// ---- Sentences and types by status -----------------------------------------------------------

struct status_row {
    unsigned status;
    struct slice type;    // of our own errors
    struct slice message; // when a provider gives none
};

#define ROW(code, kind, text)                                                                      \
    {                                                                                              \
        .status = (code), .type = {(kind), sizeof(kind) - 1}, .message = {                         \
            (text),                                                                                \
            sizeof(text) - 1                                                                       \
        }                                                                                          \
    }
static const struct status_row status_rows[] = {
    ROW(400, "invalid_request_error", "bad request"),
    ROW(401, "authentication_error", "unauthorized"),
    ROW(403, "permission_error", "forbidden"),
    ROW(404, "not_found_error", "endpoint not found"),
    ROW(405, "invalid_request_error", "method not allowed"),
    ROW(408, "invalid_request_error", "request timeout"),
    ROW(413, "invalid_request_error", "request body too large"),
    ROW(429, "rate_limit_error", "rate limit exceeded"),
    ROW(499, "request_cancelled", "request cancelled"),
    ROW(500, "server_error", "internal server error"),
    ROW(502, "server_error", "bad gateway"),
    ROW(503, "overloaded_error", "service unavailable"),
    ROW(504, "timeout_error", "gateway timeout"),
};
#undef ROW

static const struct status_row *row_of(unsigned status)
{
    for (size_t i = 0; i < ARRAY_LEN(status_rows); i++) {
        if (status_rows[i].status == status)
            return &status_rows[i];
    }
    return NULL;
}

static struct slice type_of(unsigned status)
{
    const struct status_row *row = row_of(status);
    if (row != NULL)
        return row->type;
    return status < 500 ? SLICE("invalid_request_error") : SLICE("server_error");
}

// ---- Readers ---------------------------------------------------------------------------------

void failure_of(struct failure *ret, int err, struct slice message, struct slice param)
{
    ASSERT(err < 0);
    unsigned status = (unsigned)err_http_status(err);
    *ret = (struct failure){
        .err = err,
        .status = status,
        .from_gateway = status >= 500,
        .type = type_of(status),
        .message = message.len > 0 ? message : slice_str(err_text(err)),
        .param = param,
        .retry_after_ms = -1,
    };
}

int failure_refuse(struct failure *ret, unsigned status, struct slice type, struct slice text,
                   struct slice param)
{
    failure_of(ret, ERR_LIMIT, text.len > 0 ? text : type, param);
    ret->status = status;
    ret->from_gateway = true;
    ret->type = type;
    return ERR_LIMIT;
}

// A string's content, or a number, list or object as it is written; empty for the rest.
static struct slice text_of(struct arena *arena, const struct json_member *m)
{
    struct slice text = SLICE_EMPTY;
    if (m->type == JSON_STRING) {
        char *out = arena_bytes(arena, m->value.len);
        if (out == NULL || json_unescape(m->value, out, &text) < 0)
            return SLICE_EMPTY;
    } else if (m->type == JSON_NUMBER || m->type == JSON_ARRAY || m->type == JSON_OBJECT) {
        text = m->value;
    }
    return slice_take(text, MESSAGE_BYTES_MAX);
}

static struct slice member_text(struct arena *arena, struct slice object, struct slice name)
{
    struct json_member m = json_object_get(object, name);
    return text_of(arena, &m);
}

static struct slice trim_space(struct slice s)
{
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL)
        s = slice_skip(s, 1);
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL)
        s.len--;
    return s;
}

// `body` is well-formed JSON.
static void read_json(struct failure *ret, struct arena *arena, struct slice body)
{
    struct slice object = trim_space(body);
    enum json_type type = JSON_OBJECT;
    size_t position = 0;
    if (object.ptr[0] == '[' && !json_array_next(object, &position, &type, &object))
        return;
    if (type != JSON_OBJECT || object.ptr[0] != '{')
        return;
    struct json_member error = json_object_get(object, SLICE("error"));
    struct slice inner = error.type == JSON_OBJECT ? error.value : object;
    if (error.type == JSON_STRING)
        ret->message = text_of(arena, &error);
    if (ret->message.len == 0)
        ret->message = member_text(arena, inner, SLICE("message"));
    if (ret->message.len == 0)
        ret->message = member_text(arena, inner, SLICE("detail"));
    ret->type = member_text(arena, inner, SLICE("type"));
    ret->code = member_text(arena, inner, SLICE("code"));
    ret->param = member_text(arena, inner, SLICE("param"));
}

// retry-after-ms as OpenAI sends it, or -1. Retry-After itself is read by attempt.c, which knows
// the time a date is counted from.
static int64_t retry_after_ms(const struct http_head *head)
{
    uint64_t value;
    const struct http_field *ms = http_head_find(head, SLICE("retry-after-ms"));
    if (ms != NULL && slice_to_u64(ms->value, &value) == 0 && value < INT32_MAX)
        return (int64_t)value;
    return -1;
}

static struct slice generic_message(struct arena *arena, unsigned status)
{
    const struct status_row *row = row_of(status);
    if (row != NULL)
        return row->message;
    struct slice s = arena_printf(arena, "provider answered with status %u", status);
    return s.ptr != NULL ? s : SLICE("provider error");
}

void failure_of_answer(struct failure *ret, struct arena *arena, unsigned status, struct slice body,
                       const struct http_head *head)
{
    ASSERT(status >= 300);
    *ret = (struct failure){.status = status, .head = head, .retry_after_ms = -1};
    bool plain = false;
    if (head != NULL) {
        const struct http_field *type = http_head_get(head, HTTP_N_CONTENT_TYPE);
        if (type != NULL)
            ret->content_type = type->value;
        plain = slice_istarts(ret->content_type, SLICE("text/plain"));
        ret->retry_after_ms = retry_after_ms(head);
    }
    struct json_scanner scan;
    if (json_scan(&scan, body, NULL, 0, JSON_SCAN_ANY_VALUE) == 0) {
        ret->raw = body;
        read_json(ret, arena, body);
    } else if (plain && body.len <= PLAIN_BYTES_MAX) {
        ret->message = trim_space(body);
    }
    if (ret->message.len == 0)
        ret->message = generic_message(arena, status);
}

// ---- Secrets ---------------------------------------------------------------------------------

// The first of the keys this exchange may have sent that stands in `text`, and where; -1: none.
static ptrdiff_t find_secret(const struct exchange *x, struct slice text, struct slice *ret_secret)
{
    const struct slice bearer = SLICE("Bearer ");
    struct slice token =
        slice_starts(x->credential, bearer) ? slice_skip(x->credential, bearer.len) : SLICE_EMPTY;
    ptrdiff_t found = token.len >= SECRET_BYTES_MIN ? slice_find(text, token) : -1;
    if (found >= 0) {
        *ret_secret = token;
        return found;
    }
    for (unsigned t = 0; t < x->target_count; t++) {
        const struct config_provider *p = x->target[t].provider;
        for (unsigned k = 0; k < p->key_count; k++) {
            struct slice secret = p->keys[k].value;
            if (secret.len < SECRET_BYTES_MIN)
                continue;
            ptrdiff_t at = slice_find(text, secret);
            if (at >= 0) {
                *ret_secret = secret;
                return at;
            }
        }
    }
    return -1;
}

// Adds `text` as a JSON string with every key cut out.
static void add_text(struct buf *b, const struct exchange *x, struct slice text)
{
    struct slice secret;
    ptrdiff_t at = find_secret(x, text, &secret);
    if (at < 0) {
        buf_add_json(b, text);
        return;
    }
    struct buf clean;
    buf_init(&clean, ENVELOPE_BYTES_MAX);
    for (; at >= 0; at = find_secret(x, text, &secret)) {
        buf_add(&clean, slice_take(text, (size_t)at));
        buf_add(&clean, SLICE("[redacted]"));
        text = slice_skip(text, (size_t)at + secret.len);
    }
    buf_add(&clean, text);
    buf_add_json(b, clean.err ? SLICE("[redacted]") : buf_slice(&clean));
    buf_done(&clean);
}

// ---- Writers ---------------------------------------------------------------------------------

static void add_member(struct buf *b, const struct exchange *x, const char *name,
                       struct slice value, const char **comma)
{
    if (value.len == 0)
        return;
    buf_printf(b, "%s\"%s\":", *comma, name);
    add_text(b, x, value);
    *comma = ",";
}

static void add_extra_fields(struct buf *b, const struct exchange *x)
{
    const char *comma = "";
    struct slice model = x->model_requested;
    buf_add(b, SLICE("\"extra_fields\":{"));
    if (x->target_count > 0) {
        add_member(b, x, "provider", x->target[0].provider->name, &comma);
        model = x->target[0].model;
    }
    add_member(b, x, "model_requested", model, &comma);
    if (x->route != NULL && x->route->mount != MOUNT_NONE)
        add_member(b, x, "request_type", operation_name(x->route->operation, x->stream_wanted),
                   &comma);
    buf_add_char(b, '}');
}

static void add_envelope(struct buf *b, const struct exchange *x, const struct failure *f)
{
    const char *comma = "";
    buf_printf(b, "{\"is_bifrost_error\":%s,\"status_code\":%u,\"error\":{",
               f->from_gateway ? "true" : "false", f->status);
    add_member(b, x, "type", f->type, &comma);
    add_member(b, x, "code", f->code, &comma);
    add_member(b, x, "message", f->message, &comma);
    add_member(b, x, "param", f->param, &comma);
    buf_add(b, SLICE("},"));
    add_extra_fields(b, x);
    buf_add_char(b, '}');
}

// ---- Anthropic's ------------------------------------------------------------------------------

// The types of that API (platform.claude.com/docs/en/api/errors), each with its status; what has no
// row is an invalid_request_error below 500, else an api_error. Two statuses of one type: the first
// is the type's own.
static const struct {
    unsigned status;
    struct slice type;
} anthropic_types[] = {
    {400, SLICE("invalid_request_error")}, {401, SLICE("authentication_error")},
    {402, SLICE("billing_error")},         {403, SLICE("permission_error")},
    {404, SLICE("not_found_error")},       {413, SLICE("request_too_large")},
    {429, SLICE("rate_limit_error")},      {500, SLICE("api_error")},
    {504, SLICE("timeout_error")},         {529, SLICE("overloaded_error")},
    {503, SLICE("overloaded_error")},
};

void error_complete(struct failure *f)
{
    for (size_t i = 0; f->status < 400 && i < ARRAY_LEN(anthropic_types); i++)
        if (slice_eq(f->type, anthropic_types[i].type))
            f->status = anthropic_types[i].status;
    if (f->status < 400 && (provider_is_rate_limit(f->message) || provider_is_rate_limit(f->type) ||
                            provider_is_rate_limit(f->code)))
        f->status = 429;
    else if (f->status < 400 && slice_starts(f->type, SLICE("invalid_request")))
        f->status = 400;
    else if (f->status < 400)
        f->status = 500;
    if (f->message.len == 0)
        f->message = row_of(f->status) ? row_of(f->status)->message : SLICE("provider error");
}

static struct slice anthropic_type(const struct failure *f)
{
    // A provider's own word stays when the API knows it.
    for (size_t i = 0; f->err == 0 && i < ARRAY_LEN(anthropic_types); i++)
        if (slice_eq(f->type, anthropic_types[i].type))
            return f->type;
    for (size_t i = 0; i < ARRAY_LEN(anthropic_types); i++)
        if (f->status == anthropic_types[i].status)
            return anthropic_types[i].type;
    return f->status >= 400 && f->status < 500 ? SLICE("invalid_request_error")
                                               : SLICE("api_error");
}

static void add_anthropic(struct buf *b, const struct exchange *x, const struct failure *f)
{
    const char *comma = ",";
    buf_add(b, SLICE("{\"type\":\"error\",\"error\":{\"type\":"));
    buf_add_json(b, anthropic_type(f));
    buf_add(b, SLICE(",\"message\":"));
    add_text(b, x, f->message);
    buf_add_char(b, '}');
    add_member(b, x, "request_id", x->request_id, &comma);
    buf_add_char(b, '}');
}

static enum envelope envelope_of(const struct exchange *x)
{
    if (x->route != NULL)
        return route_mount(x->route)->envelope;
    return mount_traits[mount_of_path(x->stream->request.path)].envelope;
}

// ---- Whichever --------------------------------------------------------------------------------

static void add_or_null(struct buf *b, const struct exchange *x, const char *name,
                        struct slice value)
{
    buf_printf(b, ",\"%s\":", name);
    if (value.len > 0)
        add_text(b, x, value);
    else
        buf_add(b, SLICE("null"));
}

static void add_responses_event(struct buf *b, const struct exchange *x, const struct failure *f)
{
    buf_add(b, SLICE("event: error\ndata: {\"type\":\"error\""));
    add_or_null(b, x, "code", f->code.len > 0 ? f->code : f->type);
    add_or_null(b, x, "message", f->message);
    add_or_null(b, x, "param", f->param);
    // The next number of the stream: events are counted from 0.
    buf_printf(b, ",\"sequence_number\":%llu}\n\n", (unsigned long long)x->chunks);
}

static struct slice keep(struct exchange *x, struct buf *b, struct slice without_memory)
{
    struct slice copy = SLICE_EMPTY;
    if (b->err == 0)
        copy = arena_copy(&x->stream->arena, buf_slice(b));
    buf_done(b);
    return copy.ptr != NULL ? copy : without_memory;
}

#define MINIMAL                                                                                    \
    "{\"is_bifrost_error\":true,\"status_code\":503,\"error\":{\"message\":\"out of memory\"},"    \
    "\"extra_fields\":{}}"
#define MINIMAL_ANTHROPIC                                                                          \
    "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"out of memory\"}}"

// The provider's own words may go out as they are.
static bool passes_raw(const struct exchange *x, const struct failure *f)
{
    struct slice secret;
    return x->route != NULL && x->route->mount != MOUNT_NONE &&
           !route_mount(x->route)->extra_fields && f->err == 0 && f->raw.len > 0 && !f->foreign &&
           find_secret(x, f->raw, &secret) < 0;
}

struct slice error_body(struct exchange *x, const struct failure *f)
{
    if (passes_raw(x, f))
        return f->raw;
    struct buf b;
    buf_init(&b, ENVELOPE_BYTES_MAX);
    if (envelope_of(x) == ENVELOPE_ANTHROPIC) {
        add_anthropic(&b, x, f);
        return keep(x, &b, SLICE(MINIMAL_ANTHROPIC));
    }
    add_envelope(&b, x, f);
    return keep(x, &b, SLICE(MINIMAL));
}

struct slice error_event(struct exchange *x, const struct failure *f)
{
    struct buf b;
    buf_init(&b, ENVELOPE_BYTES_MAX);
    if (x->route != NULL && x->route->operation == OP_RESPONSES) {
        add_responses_event(&b, x, f);
        return keep(x, &b,
                    SLICE("event: error\ndata: {\"type\":\"error\",\"code\":null,"
                          "\"message\":\"out of memory\",\"param\":null}\n\n"));
    }
    if (envelope_of(x) == ENVELOPE_ANTHROPIC) {
        buf_add(&b, SLICE("event: error\ndata: "));
        add_anthropic(&b, x, f);
        buf_add(&b, SLICE("\n\n"));
        return keep(x, &b, SLICE("event: error\ndata: " MINIMAL_ANTHROPIC "\n\n"));
    }
    buf_add(&b, SLICE("data: "));
    add_envelope(&b, x, f);
    buf_add(&b, SLICE("\n\n"));
    return keep(x, &b, SLICE("data: " MINIMAL "\n\n"));
}

// ---- Answering -------------------------------------------------------------------------------

static void answer_await(struct exchange *x, struct fiber *self, unsigned status,
                         const struct http_field *fields, unsigned count, struct slice body)
{
    x->status = status;
    x->answer_bytes = body.len;
    exchange_settle(x);
    // What bounded the request must not bound the news of its end; net bounds the send.
    fiber_set_deadline(self, MONO_NEVER);
    struct http_answer answer = {
        .status = status,
        .fields = fields,
        .count = count,
        .content_length = (int64_t)body.len,
    };
    // A failure here is the client's leaving, which http_end sees as well.
    (void)http_answer_await(x->stream, self, &answer, &body, 1, true);
}

static struct http_field content_type(struct slice value)
{
    return (struct http_field){
        .id = HTTP_N_CONTENT_TYPE, .name = SLICE("content-type"), .value = value};
}

// What headers_down gives, without the content type, which is decided here, and without who served
// when that is not who failed: the failure told is the primary's.
static unsigned down_fields(const struct exchange *x, const struct failure *f,
                            struct http_field *out, unsigned max)
{
    unsigned n = 0, count = headers_down(x, f->head, out, max);
    for (unsigned i = 0; i < count; i++) {
        bool served = slice_eq(out[i].name, SLICE("x-bf-provider")) ||
                      slice_eq(out[i].name, SLICE("x-bf-model"));
        if (out[i].id != HTTP_N_CONTENT_TYPE && !(served && x->target_index > 0))
            out[n++] = out[i];
    }
    return n;
}

static struct http_field retry_after(void)
{
    _Static_assert(LIMIT_RETRY_AFTER_S == 1, "the text says so");
    return (struct http_field){
        .id = HTTP_N_RETRY_AFTER, .name = SLICE("retry-after"), .value = SLICE("1")};
}

void error_answer_with_await(struct exchange *x, struct fiber *self, const struct failure *f,
                             const struct http_field *fields, unsigned count)
{
    ASSERT(!x->stream->answered && f->status >= 300);
    ASSERT(count <= ERROR_FIELDS_EXTRA);
    if (x->state != EXCHANGE_FAILED)
        exchange_set_state(x, EXCHANGE_FAILED);
    struct slice type = SLICE("application/json");
    if (passes_raw(x, f) && f->content_type.len > 0)
        type = f->content_type;
    struct http_field own[FIELDS_OWN];
    struct http_field *out = own;
    unsigned n = 0, down = FIELDS_DOWN + (f->head ? f->head->count : 0);
    struct http_field *room =
        arena_alloc(&x->stream->arena, (down + FIELDS_OWN) * sizeof(struct http_field));
    if (room) {
        out = room;
        n = down_fields(x, f, out, down);
    }
    out[n++] = content_type(type);
    for (unsigned i = 0; i < count; i++)
        out[n++] = fields[i];
    if (f->status == 503 && !f->head) // ours, and soon over
        out[n++] = retry_after();
    n += gateway_cors_fields(x, &out[n]);
    answer_await(x, self, f->status, out, n, error_body(x, f));
}

void error_answer_await(struct exchange *x, struct fiber *self, const struct failure *f)
{
    error_answer_with_await(x, self, f, NULL, 0);
}

void error_reply_await(struct exchange *x, struct fiber *self, int err, struct slice message,
                       struct slice param)
{
    struct failure f;
    failure_of(&f, err, message, param);
    error_answer_await(x, self, &f);
}

void typed_answer_await(struct exchange *x, struct fiber *self, unsigned status, struct slice type,
                        struct slice body)
{
    ASSERT(!x->stream->answered && status >= 200);
    if (x->state != EXCHANGE_COMMITTED)
        exchange_set_state(x, EXCHANGE_COMMITTED);
    struct http_field fields[1 + GATEWAY_CORS_FIELDS] = {content_type(type)};
    unsigned count = 1 + gateway_cors_fields(x, &fields[1]);
    answer_await(x, self, status, fields, count, body);
}

int part_answer_await(struct exchange *x, struct fiber *self, struct slice type, struct slice part,
                      bool last)
{
    struct http_stream *s = x->stream;
    struct http_field fields[1 + GATEWAY_CORS_FIELDS] = {content_type(type)};
    struct http_answer answer = {.status = 200, .fields = fields, .content_length = -1};
    x->answer_bytes += part.len;
    if (!s->answered) {
        exchange_set_state(x, EXCHANGE_COMMITTED);
        x->status = answer.status;
        answer.count = 1 + gateway_cors_fields(x, &fields[1]);
    }
    if (last)
        exchange_settle(x);
    return s->answered ? http_write_await(s, self, &part, 1, last)
                       : http_answer_await(s, self, &answer, &part, 1, last);
}

void json_answer_await(struct exchange *x, struct fiber *self, unsigned status, struct slice body)
{
    typed_answer_await(x, self, status, SLICE("application/json"), body);
}
