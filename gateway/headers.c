// SPDX-License-Identifier: Apache-2.0
//
// headers.c: lists of names and the walks over them. Called by request.c (up) and relay.c (down).
//
// The lists are short and heads are too: a linear search that begins with the length is cheaper
// than a table.

#include "gateway/headers.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "gateway/beta.h"
#include "gateway/error.h"
#include "gateway/translate.h"

#define FORWARD_PREFIX SLICE("x-bf-eh-")
#define GATEWAY_PREFIX SLICE("x-bf-")

// Fields the gateway writes behind a client's: however many those are, these find room.
#define OWN_FIELDS_MAX 6
// What a client that says nothing speaks.
#define ANTHROPIC_VERSION SLICE("2023-06-01")

// What a client may never send to a provider, by whatever road: credentials meant for the gateway,
// cookies, and the fields by which this hop is framed.
static const struct slice never_up[] = {
    SLICE("accept-encoding"),
    SLICE("api-key"),
    SLICE("connection"),
    SLICE("content-encoding"),
    SLICE("content-length"),
    SLICE("content-type"),
    SLICE("cookie"),
    SLICE("expect"),
    SLICE("host"),
    SLICE("keep-alive"),
    SLICE("proxy-authenticate"),
    SLICE("proxy-authorization"),
    SLICE("proxy-connection"),
    SLICE("te"),
    SLICE("trailer"),
    SLICE("transfer-encoding"),
    SLICE("upgrade"),
    SLICE("x-api-key"),
    SLICE("x-goog-api-key"),
    SLICE("x-request-id"),
};

// What a provider's answer keeps to itself: this hop's framing, its cookies and challenges, what it
// says about its own front door, and fields the gateway writes.
static const struct slice never_down[] = {
    SLICE("alt-svc"),
    SLICE("connection"),
    SLICE("content-length"),
    SLICE("content-security-policy"),
    SLICE("date"),
    SLICE("keep-alive"),
    SLICE("nel"),
    SLICE("proxy-authenticate"),
    SLICE("proxy-authorization"),
    SLICE("proxy-connection"),
    SLICE("report-to"),
    SLICE("reporting-endpoints"),
    SLICE("server"),
    SLICE("set-cookie"),
    SLICE("strict-transport-security"),
    SLICE("te"),
    SLICE("trailer"),
    SLICE("transfer-encoding"),
    SLICE("upgrade"),
    SLICE("via"),
    SLICE("www-authenticate"),
};

static bool field_in(struct slice name, const struct http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (slice_ieq(name, fields[i].name))
            return true;
    return false;
}

// ---- Up --------------------------------------------------------------------------------------

// Under which name a client's field goes up; empty: not at all.
static struct slice name_up(const struct config *c, const struct http_field *f)
{
    struct slice name = f->name;
    bool listed;

    if (f->id != HTTP_N_OTHER && f->id != HTTP_N_ACCEPT && f->id != HTTP_N_USER_AGENT)
        return SLICE_EMPTY; // every other known name is on the list or the gateway's
    if (slice_istarts(name, FORWARD_PREFIX)) {
        name = slice_skip(name, FORWARD_PREFIX.len);
        listed =
            c->header_allow_count == 0 || slice_iin(name, c->header_allow, c->header_allow_count);
    } else {
        listed = slice_iin(name, c->header_allow, c->header_allow_count);
    }
    if (!listed || name.len == 0 || slice_istarts(name, GATEWAY_PREFIX) ||
        slice_iin(name, never_up, ARRAY_LEN(never_up)) ||
        slice_iin(name, c->header_deny, c->header_deny_count))
        return SLICE_EMPTY;
    return name;
}

// Does a client of the Anthropic API speak to a provider of it? What was translated is the
// gateway's to describe.
static bool is_claude(const struct exchange *x)
{
    return (PROVIDER_CLAUDE_OPERATIONS >> x->upstream_op & 1) && x->dialect == x->upstream_dialect;
}

// The fields of that API, which need no prefix then.
static struct slice anthropic_name_up(const struct config *c, const struct http_field *f)
{
    static const struct slice names[] = {
        SLICE("anthropic-beta"),
        SLICE("anthropic-dangerous-direct-browser-access"),
        SLICE("anthropic-version"),
    };
    bool passes = f->id == HTTP_N_OTHER && slice_iin(f->name, names, ARRAY_LEN(names)) &&
                  !slice_iin(f->name, c->header_deny, c->header_deny_count);
    return passes ? f->name : SLICE_EMPTY;
}

static void put_field(struct http_field *out, unsigned *count, unsigned max, struct slice name,
                      struct slice value)
{
    if (*count < max)
        out[(*count)++] = (struct http_field){.name = name, .value = value};
}

// Is `name` listed in the message's own Connection field (RFC 9110 7.6.1)?
static bool named_by_connection(const struct http_head *head, struct slice name)
{
    const struct http_field *connection = http_head_get(head, HTTP_N_CONNECTION);
    if (!connection)
        return false;
    struct slice rest = connection->value;
    while (rest.len > 0) {
        ptrdiff_t comma = slice_find_char(rest, ',');
        struct slice item = comma < 0 ? rest : slice_take(rest, (size_t)comma);
        if (slice_ieq(slice_trim(item), name))
            return true;
        rest = comma < 0 ? SLICE_EMPTY : slice_skip(rest, (size_t)comma + 1);
    }
    return false;
}

// The gateway's own fields that nobody named before.
static void put_own(struct http_field *out, unsigned *count, unsigned max, struct slice name,
                    struct slice value)
{
    if (value.len > 0 && !field_in(name, out, *count))
        put_field(out, count, max, name, value);
}

// A client's field; of its beta names only those that this provider may be told.
static void put_clients(const struct exchange *x, const struct target *target,
                        struct http_field *out, unsigned *count, unsigned max, struct slice name,
                        struct slice value)
{
    if (target->provider->row->anthropic && slice_ieq(name, SLICE("anthropic-beta"))) {
        value = beta_filter(&x->stream->early, target->provider, value);
        if (value.len == 0)
            return;
    }
    put_field(out, count, max, name, value);
}

// The version of Anthropic's API, where one must be told: the client's, the alias's or ours.
static void put_version(const struct exchange *x, const struct target *target,
                        struct http_field *out, unsigned *count, unsigned max)
{
    const struct provider_row *row = target->provider->row;
    enum operation op = x->upstream_op;
    const struct config_alias *alias = x->key ? config_key_alias(x->key, target->model) : NULL;

    if (!row->anthropic || (row->by_family && (PROVIDER_CLAUDE_OPERATIONS >> op & 1) == 0))
        return;
    put_own(out, count, max, SLICE("anthropic-version"),
            alias && alias->anthropic_version.len > 0 ? alias->anthropic_version
                                                      : ANTHROPIC_VERSION);
}

// What opens the provider's door: the key's value in the field its row says, or what stands in for
// it.
static void put_credential(const struct exchange *x, const struct target *target,
                           struct http_field *out, unsigned *count, unsigned max)
{
    enum operation op = x->upstream_op;
    const struct provider_row *row = target->provider->row;

    if (x->credential.len > 0)
        put_own(out, count, max, SLICE("authorization"), x->credential);
    else if (x->key)
        put_own(out, count, max, provider_auth_field(row, op), x->key->auth_value);
}

unsigned headers_up(const struct exchange *x, const struct target *target, struct http_field *out,
                    unsigned max)
{
    const struct http_head *request = &x->stream->request;
    unsigned count = 0;

    // What the operator says comes first and nobody behind it repeats it.
    for (unsigned i = 0; i < target->provider->extra_header_count; i++)
        put_field(out, &count, max, target->provider->extra_headers[i].name,
                  target->provider->extra_headers[i].value);
    put_credential(x, target, out, &count, max);

    unsigned operators = count;
    unsigned clients_max = max > OWN_FIELDS_MAX ? max - OWN_FIELDS_MAX : 0;
    bool claude = is_claude(x);
    for (unsigned i = 0; i < request->count; i++) {
        struct slice name = name_up(x->config, &request->fields[i]);
        if (claude && name.len == 0)
            name = anthropic_name_up(x->config, &request->fields[i]);
        if (name.len > 0 && !field_in(name, out, operators) &&
            !named_by_connection(request, request->fields[i].name))
            put_clients(x, target, out, &count, clients_max, name, request->fields[i].value);
    }

    put_version(x, target, out, &count, max);
    if (x->translated && x->translation->betas.len > 0)
        put_own(out, &count, max, SLICE("anthropic-beta"),
                beta_filter(&x->stream->early, target->provider, x->translation->betas));
    const struct http_field *accept = http_head_get(request, HTTP_N_ACCEPT);
    bool json = request->method == HTTP_POST;
    put_own(out, &count, max, SLICE("content-type"),
            json ? SLICE("application/json") : SLICE_EMPTY);
    put_own(out, &count, max, SLICE("accept"),
            x->stream_wanted                          ? SLICE("text/event-stream")
            : accept && json && accept->value.len > 0 ? accept->value
                                                      : SLICE("application/json"));
    put_own(out, &count, max, SLICE("accept-encoding"), SLICE("identity"));
    put_own(out, &count, max, SLICE("user-agent"), SLICE("ringgate"));
    ASSERT(count <= max);
    return count;
}

// ---- Down ------------------------------------------------------------------------------------

static bool may_come_down(const struct http_head *head, const struct http_field *f)
{
    return !slice_istarts(f->name, GATEWAY_PREFIX) &&
           !slice_istarts(f->name, SLICE("access-control-")) &&
           !slice_iin(f->name, never_down, ARRAY_LEN(never_down)) &&
           !named_by_connection(head, f->name);
}

unsigned headers_down(const struct exchange *x, const struct http_head *head,
                      struct http_field *out, unsigned max)
{
    unsigned count = 0;

    if (head && x->target_count > 0) {
        put_field(out, &count, max, SLICE("x-bf-provider"),
                  x->target[x->target_index].provider->name);
        // A model is the client's text; one that is no field value stays out.
        bool plain = true;
        for (size_t i = 0; i < x->model_sent.len && plain; i++)
            plain = x->model_sent.ptr[i] > ' ' && x->model_sent.ptr[i] < 127;
        if (plain && x->model_sent.len > 0)
            put_field(out, &count, max, SLICE("x-bf-model"), x->model_sent);
    }
    if (x->request_id.len > 0)
        put_field(out, &count, max, SLICE("x-bf-request-id"), x->request_id);
    struct slice dropped = x->shed_list.len > 0 ? x->shed_list
                           : x->translated      ? x->translated->dropped_list
                                                : SLICE_EMPTY;
    if (head && dropped.len > 0 && !route_mount(x->route)->extra_fields)
        put_field(out, &count, max, SLICE("x-bf-dropped-params"), dropped);
    for (unsigned i = 0; head && i < head->count; i++)
        if (may_come_down(head, &head->fields[i]) && count < max)
            out[count++] = head->fields[i];
    return count;
}

// ---- Required --------------------------------------------------------------------------------

struct slice headers_missing(const struct config *config, const struct http_head *request)
{
    for (unsigned i = 0; i < config->required_header_count; i++)
        if (!http_head_find(request, config->required_headers[i]))
            return config->required_headers[i];
    return SLICE_EMPTY;
}

void headers_refuse_await(struct exchange *x, struct fiber *self, struct slice missing)
{
    struct slice text =
        arena_printf(&x->stream->arena, "missing required headers: %.*s", SLICE_ARG(missing));

    failure_of(&x->failure, ERR_MISSING, text.ptr ? text : SLICE_EMPTY, missing);
    x->failure.type = SLICE("missing_required_headers");
    error_answer_await(x, self, &x->failure);
}
