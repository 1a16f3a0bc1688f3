// SPDX-License-Identifier: Apache-2.0
//
// exchange_read.c: the request's body, and whether it is one.
//
// Everything that decides where a request goes is checked here and named when it is wrong; all
// other members are the provider's business and are not looked at.

#include "base/assert.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "gateway/error.h"
#include "gateway/exchange.h"
#include "gateway/plan.h"
#include "gateway/unpack.h"

static int refuse(struct failure *ret, int err, struct slice text, struct slice param)
{
    failure_of(ret, err, text.ptr ? text : SLICE_EMPTY, param);
    return err;
}

// ---- The text --------------------------------------------------------------------------------

static bool begins_object(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!memchr(" \t\r\n", text.ptr[i], 4))
            return text.ptr[i] == '{';
    return false;
}

// What a scan that failed is to be called.
static int refuse_text(struct exchange *x, int err, struct failure *ret)
{
    struct arena *a = &x->stream->arena;
    const struct json_scanner *scan = x->scan;
    struct slice text = SLICE("Invalid JSON");

    if (err == ERR_DUPLICATE) {
        ASSERT(scan->error_name >= 0 && scan->error_name < DIALECT_MEMBER_COUNT);
        struct slice name = x->dialect->members[scan->error_name];
        return refuse(
            ret, err,
            arena_printf(a, "invalid request: `%.*s` occurs more than once", SLICE_ARG(name)),
            name);
    }
    if (route_mount(x->route)->extra_fields) {
        if (x->body.len == 0)
            text = SLICE("invalid request format: the body is empty");
        else if (err == ERR_BAD_JSON && !begins_object(x->body))
            text = SLICE("invalid request format: the body must be a JSON object");
        else
            text = arena_printf(a, "invalid request format: %s at byte %zu", err_text(err),
                                scan->error_at);
    }
    return refuse(ret, err, text, SLICE_EMPTY);
}

// ---- The members -----------------------------------------------------------------------------

// "`stream` must be a boolean"
static int refuse_member(struct exchange *x, struct failure *ret, int err, enum dialect_member m,
                         const char *rule)
{
    struct slice name = x->dialect->members[m];
    struct slice text =
        arena_printf(&x->stream->arena, "invalid request: `%.*s` %s", SLICE_ARG(name), rule);
    return refuse(ret, err, text, name);
}

// The deployment that the path names is the model, whatever the body says.
static int take_route_part(struct exchange *x, struct failure *ret)
{
    x->model_requested = route_decode(&x->stream->arena, x->route_part);
    if (!x->model_requested.ptr)
        return refuse(ret, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
    if (slice_trim(x->model_requested).len == 0)
        return refuse_member(x, ret, ERR_MISSING, DIALECT_MODEL, "must not be empty");
    return 0;
}

static int check_model(struct exchange *x, struct failure *ret)
{
    const struct json_member *m = &x->scan->member[DIALECT_MODEL];

    if (x->route_part.len > 0)
        return take_route_part(x, ret);
    if (m->type == JSON_NONE)
        return refuse_member(x, ret, ERR_MISSING, DIALECT_MODEL, "is required");
    if (m->type != JSON_STRING)
        return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_MODEL, "must be a string");
    // A copy: the name is needed in answers, the body is given back before them.
    char *out = arena_bytes(&x->stream->arena, m->value.len);
    if (!out)
        return refuse(ret, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
    int rc = json_unescape(m->value, out, &x->model_requested);
    ASSERT(rc == 0);
    x->model_requested = arena_copy(&x->stream->arena, x->model_requested);
    if (!x->model_requested.ptr)
        return refuse(ret, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
    if (slice_trim(x->model_requested).len == 0)
        return refuse_member(x, ret, ERR_MISSING, DIALECT_MODEL, "must not be empty");
    return 0;
}

static bool is_empty_array(struct slice value)
{
    for (size_t i = 1; i < value.len; i++)
        if (!memchr(" \t\r\n", value.ptr[i], 4))
            return value.ptr[i] == ']';
    return true;
}

static int check_input(struct exchange *x, struct failure *ret)
{
    static const struct {
        bool string, array;
        const char *rule;
    } inputs[OPERATION_COUNT] = {
        [OP_CHAT] = {false, true, "must be an array"},
        [OP_TEXT] = {true, true, "must be a string or an array"},
        [OP_EMBEDDING] = {true, true, "must be a string or an array"},
        [OP_RESPONSES] = {true, true, "must be a string or an array"},
        [OP_MESSAGES] = {false, true, "must be an array"},
        [OP_COMPLETE] = {true, false, "must be a string"},
        [OP_COUNT_TOKENS] = {false, true, "must be an array"},
        [OP_INPUT_TOKENS] = {true, true, "must be a string or an array"},
    };
    const struct json_member *m = &x->scan->member[DIALECT_INPUT];
    enum operation op = x->route->operation;

    if (m->type == JSON_NONE)
        return refuse_member(x, ret, ERR_MISSING, DIALECT_INPUT, "is required");
    if (!(inputs[op].array && m->type == JSON_ARRAY) &&
        !(inputs[op].string && m->type == JSON_STRING))
        return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_INPUT, inputs[op].rule);
    if (m->type == JSON_ARRAY && is_empty_array(m->value))
        return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_INPUT, "must not be empty");
    return 0;
}

static int check_stream(struct exchange *x, struct failure *ret)
{
    const struct json_member *stream = &x->scan->member[DIALECT_STREAM];
    const struct json_member *options = &x->scan->member[DIALECT_STREAM_OPTIONS];

    if (stream->type != JSON_NONE && stream->type != JSON_NULL && stream->type != JSON_TRUE &&
        stream->type != JSON_FALSE)
        return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_STREAM, "must be a boolean");
    x->stream_wanted = stream->type == JSON_TRUE && x->dialect->streams;
    if (options->type == JSON_NONE || options->type == JSON_NULL)
        return 0;
    if (options->type != JSON_OBJECT)
        return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_STREAM_OPTIONS, "must be an object");
    struct json_member usage = json_object_get(options->value, SLICE("include_usage"));
    x->usage_wanted = usage.type == JSON_TRUE;
    return 0;
}

static bool is_filled_string(enum json_type type, struct slice value)
{
    return type == JSON_STRING && value.len > 2;
}

static bool is_fallback(enum json_type type, struct slice element)
{
    if (type != JSON_OBJECT)
        return is_filled_string(type, element);
    struct json_member provider = json_object_get(element, SLICE("provider"));
    struct json_member model = json_object_get(element, SLICE("model"));
    return is_filled_string(provider.type, provider.value) &&
           is_filled_string(model.type, model.value);
}

static int check_fallbacks(struct exchange *x, struct failure *ret)
{
    const struct json_member *m = &x->scan->member[DIALECT_FALLBACKS];
    enum json_type type;
    struct slice element;
    size_t at = 0;
    unsigned count = 0;

    if (m->type == JSON_NONE || m->type == JSON_NULL)
        return 0;
    if (m->type != JSON_ARRAY)
        return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_FALLBACKS, "must be an array");
    while (json_array_next(m->value, &at, &type, &element)) {
        if (!is_fallback(type, element))
            return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_FALLBACKS,
                                 "must hold strings \"provider/model\"");
        if (++count > FALLBACKS_MAX)
            return refuse_member(x, ret, ERR_BAD_TYPE, DIALECT_FALLBACKS,
                                 "holds more entries than allowed");
    }
    return 0;
}

// ---- All of it -------------------------------------------------------------------------------

int exchange_read_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    static int (*const checks[])(struct exchange *, struct failure *) = {
        check_model, check_input, check_stream, check_fallbacks};
    struct codings codings;

    x->dialect = plan_dialect(x->route->operation);
    ASSERT(x->dialect);
    int rc = unpack_codings(x, &codings, ret);
    if (rc)
        return rc;
    rc = http_read_body_await(x->stream, self, x->config->body_bytes_max, &x->body);
    if (rc == 0 && codings.count > 0) {
        rc = unpack_await(x, self, &codings, ret);
        if (rc)
            return rc;
    }
    if (rc == 0 && !x->scan)
        x->scan = arena_alloc(&x->stream->early, sizeof(*x->scan));
    if (rc == 0 && !x->scan)
        rc = ERR_NOMEM;
    if (rc == 0) {
        json_scan_begin(x->scan, x->body, x->dialect->members, DIALECT_MEMBER_COUNT, 0);
        rc = exchange_scan_await(x, self, x->scan);
        if (rc == ERR_BAD_JSON || rc == ERR_BAD_UTF8 || rc == ERR_BAD_DEPTH || rc == ERR_DUPLICATE)
            return refuse_text(x, rc, ret);
    }
    if (rc)
        return refuse(ret, rc, SLICE_EMPTY, SLICE_EMPTY);
    for (size_t i = 0; i < ARRAY_LEN(checks) && rc == 0; i++)
        rc = checks[i](x, ret);
    return rc;
}
