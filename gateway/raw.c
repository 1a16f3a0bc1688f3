// SPDX-License-Identifier: Apache-2.0
//
// raw.c: who is shown what, and its text. attempt.c decides and keeps, both relays write.

#include "gateway/raw.h"
#include "base/assert.h"
#include "base/err.h"
#include "codec/json_write.h"
#include "gateway/request.h"

static bool is_wanted(const struct exchange *x, enum http_name field, bool configured)
{
    const struct http_field *f = http_head_get(&x->stream->request, field);

    if (!f || x->config->no_raw_override)
        return configured;
    if (slice_ieq(f->value, SLICE("true")))
        return true;
    return configured && !slice_ieq(f->value, SLICE("false"));
}

// Of an attempt before.
static void forget(struct exchange *x)
{
    if (x->raw_request.ptr)
        arena_drop_large(&x->stream->arena, (void *)(uintptr_t)x->raw_request.ptr);
    x->raw_request = SLICE_EMPTY;
}

void raw_decide(struct exchange *x)
{
    const struct config_provider *p = x->target[x->target_index].provider;

    forget(x);
    x->raw = 0;
    if (!route_mount(x->route)->extra_fields)
        return;
    if (is_wanted(x, HTTP_N_X_BF_SEND_BACK_RAW_REQUEST, p->raw & RAW_REQUEST))
        x->raw |= RAW_REQUEST;
    if (is_wanted(x, HTTP_N_X_BF_SEND_BACK_RAW_RESPONSE, p->raw & RAW_RESPONSE))
        x->raw |= RAW_RESPONSE;
}

// JSON has no line ends but between its tokens.
static void flatten(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
}

int raw_keep_request(struct exchange *x, const struct request *r)
{
    forget(x);
    if (!(x->raw & RAW_REQUEST) || r->body_bytes > RAW_BYTES_MAX)
        return 0;
    char *text = arena_large(&x->stream->arena, r->body_bytes + 1);
    if (!text)
        return ERR_NOMEM;
    size_t len = 0;
    for (unsigned i = 1; i < r->iov_count; i++) { // behind the head
        if (r->iov[i].iov_len > 0)
            memcpy(text + len, r->iov[i].iov_base, r->iov[i].iov_len);
        len += r->iov[i].iov_len;
    }
    ASSERT(len == r->body_bytes);
    flatten(text, len);
    x->raw_request = slice_of(text, len);
    return 0;
}

static bool is_object(struct slice text)
{
    text = slice_trim(text);
    return text.len > 1 && text.ptr[0] == '{' && text.ptr[text.len - 1] == '}';
}

static struct slice response_text(struct arena *arena, struct slice response, bool one_line)
{
    if (!is_object(response))
        return json_literal(arena, response);
    if (one_line &&
        (memchr(response.ptr, '\n', response.len) || memchr(response.ptr, '\r', response.len))) {
        response = arena_copy(arena, response);
        if (response.ptr)
            flatten((char *)(uintptr_t)response.ptr, response.len);
    }
    return response;
}

struct slice raw_members(struct arena *arena, struct slice request, struct slice response,
                         bool one_line)
{
    if (response.len > RAW_BYTES_MAX)
        response = SLICE_EMPTY;
    if (request.len == 0 && response.len == 0)
        return SLICE("");
    if (response.len > 0)
        response = response_text(arena, response, one_line);
    if (!response.ptr && response.len > 0)
        return response;
    return arena_printf(arena, "%s%.*s%s%.*s", request.len > 0 ? ",\"raw_request\":" : "",
                        SLICE_ARG(request), response.len > 0 ? ",\"raw_response\":" : "",
                        SLICE_ARG(response));
}
