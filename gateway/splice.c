// SPDX-License-Identifier: Apache-2.0
//
// splice.c: extra_fields and cached counts as splices. Called by both relays.

#include "gateway/splice.h"
#include "base/assert.h"
#include "base/err.h"
#include "codec/json_write.h"
#include "gateway/raw.h"
#include "gateway/translate.h"

// Length of `"extra_fields":`, behind which a member's value begins.
#define MEMBER_NAME_BYTES 15

// ---- extra_fields ----------------------------------------------------------------------------

struct slice splice_prefix(struct exchange *x)
{
    struct arena *a = &x->stream->arena;
    const struct target *t = &x->target[x->target_index];
    struct slice type = operation_name(x->route->operation, x->stream_wanted);
    struct slice provider = json_literal(a, t->provider->name);
    struct slice model = json_literal(a, t->model);
    struct slice deployment = SLICE_EMPTY;
    bool aliased = !slice_eq(t->model, x->model_sent);

    if (aliased)
        deployment = json_literal(a, x->model_sent);
    if (!provider.ptr || !model.ptr || (aliased && !deployment.ptr))
        return SLICE_EMPTY;
    struct slice dropped = x->translated ? x->translated->dropped : SLICE_EMPTY;
    if (x->shed.len > 0)
        dropped = arena_printf(a, "[%.*s]", SLICE_ARG(x->shed));
    if (x->shed.len > 0 && !dropped.ptr)
        return dropped;
    return arena_printf(a,
                        "\"extra_fields\":{\"request_type\":\"%.*s\",\"provider\":%.*s,"
                        "\"model_requested\":%.*s%s%.*s%s%.*s,\"latency\":",
                        SLICE_ARG(type), SLICE_ARG(provider), SLICE_ARG(model),
                        aliased ? ",\"model_deployment\":" : "", SLICE_ARG(deployment),
                        dropped.len > 0 ? ",\"dropped_params\":" : "", SLICE_ARG(dropped));
}

struct slice splice_member(struct exchange *x, int64_t latency_ms, struct slice response)
{
    struct arena *a = &x->stream->arena;
    struct slice prefix = splice_prefix(x);
    struct slice raw =
        raw_members(a, x->raw_request, x->raw & RAW_RESPONSE ? response : SLICE_EMPTY, false);

    if (!prefix.ptr || !raw.ptr)
        return SLICE_EMPTY;
    return arena_printf(a, "%.*s%lld%.*s}", SLICE_ARG(prefix), (long long)latency_ms,
                        SLICE_ARG(raw));
}

// ---- Cached counts ---------------------------------------------------------------------------

// `,"to":N` when the object has the number `from` and no `to`.
static struct slice renamed_copy(struct arena *arena, struct slice object, struct slice from,
                                 struct slice to)
{
    struct json_member m = json_object_get(object, from);
    if (m.type != JSON_NUMBER || json_object_get(object, to).type != JSON_NONE)
        return SLICE("");
    return arena_printf(arena, ",\"%.*s\":%.*s", SLICE_ARG(to), SLICE_ARG(m.value));
}

static int edit_details(struct arena *arena, struct json_edit *edit, struct slice usage,
                        struct slice name)
{
    struct json_member details = json_object_get(usage, name);
    if (details.type != JSON_OBJECT)
        return 0;
    struct slice read =
        renamed_copy(arena, details.value, SLICE("cached_tokens"), SLICE("cached_read_tokens"));
    struct slice write = renamed_copy(arena, details.value, SLICE("cache_write_tokens"),
                                      SLICE("cached_write_tokens"));
    if (!read.ptr || !write.ptr)
        return ERR_NOMEM;
    if (read.len + write.len == 0)
        return 0;
    struct slice text = arena_printf(arena, "%.*s%.*s%.*s}", (int)details.value.len - 1,
                                     details.value.ptr, SLICE_ARG(read), SLICE_ARG(write));
    if (!text.ptr)
        return ERR_NOMEM;
    json_edit_replace(edit, &details, text);
    return 0;
}

static int edit_usage(struct arena *arena, struct json_edit *edit, const struct json_member *usage)
{
    if (usage->type != JSON_OBJECT)
        return 0;
    int rc = edit_details(arena, edit, usage->value, SLICE("prompt_tokens_details"));
    if (rc == 0)
        rc = edit_details(arena, edit, usage->value, SLICE("input_tokens_details"));
    return rc;
}

int splice_object(struct arena *arena, struct slice text, struct slice member, struct iovec *out,
                  unsigned *ret_count, size_t *ret_bytes)
{
    enum { EXTRA, USAGE, RESPONSE, WANTED };
    static const struct slice names[WANTED] = {
        [EXTRA] = SLICE("extra_fields"),
        [USAGE] = SLICE("usage"),
        [RESPONSE] = SLICE("response"),
    };
    struct json_scanner scan;
    struct json_edit edit;

    ASSERT(member.len > MEMBER_NAME_BYTES);
    int rc = json_scan(&scan, text, names, WANTED, 0);
    if (rc)
        return rc;
    json_edit_begin(&edit, &scan);
    rc = edit_usage(arena, &edit, &scan.member[USAGE]);
    if (rc == 0 && scan.member[RESPONSE].type == JSON_OBJECT) {
        struct json_member usage = json_object_get(scan.member[RESPONSE].value, SLICE("usage"));
        rc = edit_usage(arena, &edit, &usage);
    }
    if (rc)
        return rc;
    if (scan.member[EXTRA].type != JSON_NONE)
        json_edit_replace(&edit, &scan.member[EXTRA], slice_skip(member, MEMBER_NAME_BYTES));
    else
        json_edit_append(&edit, member);
    *ret_count = json_edit_pieces(&edit, out, ret_bytes);
    return 0;
}

// ---- Bodies too large to gather --------------------------------------------------------------

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void hold_init(struct hold *h)
{
    h->len = 0;
    h->begun = false;
    h->object = false;
}

// The first byte that is not white space decides whether there is an object at all.
static void note_begin(struct hold *h, struct slice s)
{
    for (size_t i = 0; i < s.len && !h->begun; i++) {
        if (is_space(s.ptr[i]))
            continue;
        h->begun = true;
        h->object = s.ptr[i] == '{';
    }
}

// How many bytes at the end are a brace and white space behind it; 0: none, or too many.
static size_t brace_tail(const struct slice *spans, unsigned count)
{
    size_t n = 0;
    for (unsigned i = count; i-- > 0;) {
        for (size_t k = spans[i].len; k-- > 0;) {
            char c = spans[i].ptr[k];
            if (++n > HOLD_BYTES_MAX)
                return 0;
            if (c == '}')
                return n;
            if (!is_space(c))
                return 0;
        }
    }
    return 0;
}

static bool is_blank(const struct slice *spans, unsigned count, size_t *ret_bytes)
{
    bool blank = true;
    *ret_bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        for (size_t k = 0; k < spans[i].len && blank; k++)
            blank = is_space(spans[i].ptr[k]);
        *ret_bytes += spans[i].len;
    }
    return blank;
}

static void keep(struct hold *h, struct slice s)
{
    ASSERT(h->len + s.len <= HOLD_BYTES_MAX);
    if (s.len > 0)
        memcpy(h->held + h->len, s.ptr, s.len);
    h->len += s.len;
}

unsigned hold_feed(struct hold *h, const struct slice *spans, unsigned count, struct slice *out)
{
    unsigned n = 0;
    size_t bytes;
    bool blank = is_blank(spans, count, &bytes);

    for (unsigned i = 0; i < count && !h->begun; i++)
        note_begin(h, spans[i]);
    if (blank && h->len > 0 && h->len + bytes <= HOLD_BYTES_MAX) {
        for (unsigned i = 0; i < count; i++)
            keep(h, spans[i]); // what is held may still be the end
        return 0;
    }
    // More follows: what was held was not the end.
    if (h->len > 0) {
        memcpy(h->going, h->held, h->len);
        out[n++] = slice_of(h->going, h->len);
        h->len = 0;
    }
    size_t pass = bytes - (h->object ? brace_tail(spans, count) : 0);
    for (unsigned i = 0; i < count; i++) {
        struct slice goes = slice_take(spans[i], pass);
        if (goes.len > 0)
            out[n++] = goes;
        if (goes.len < spans[i].len)
            keep(h, slice_skip(spans[i], goes.len));
        pass -= goes.len;
    }
    return n;
}

unsigned hold_end(struct hold *h, struct slice member, struct slice *out)
{
    unsigned n = 0;
    if (h->len > 0 && h->object && member.len > 0) {
        out[n++] = SLICE(",");
        out[n++] = member;
    }
    if (h->len > 0)
        out[n++] = slice_of(h->held, h->len);
    return n;
}
