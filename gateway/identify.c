// SPDX-License-Identifier: Apache-2.0
//
// identify.c: virtual keys in request heads. exchange.c and models.c ask before they read.

#include "gateway/identify.h"
#include "base/container.h"
#include "base/err.h"
#include "gateway/error.h"

#define PREFIX SLICE("sk-bf-")
#define BEARER SLICE("bearer ")

struct slice identify_value(const struct http_head *request)
{
    static const struct {
        enum http_name name;
        bool bearer;
        bool any; // values without the prefix too
    } fields[] = {
        {HTTP_N_X_BF_VK, false, true},    {HTTP_N_AUTHORIZATION, true, false},
        {HTTP_N_X_API_KEY, false, false}, {HTTP_N_X_GOOG_API_KEY, false, false},
        {HTTP_N_API_KEY, false, false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
        const struct http_field *f = http_head_get(request, fields[i].name);
        struct slice value = f ? slice_trim(f->value) : SLICE_EMPTY;
        if (fields[i].bearer) {
            if (!slice_istarts(value, BEARER))
                continue;
            value = slice_trim(slice_skip(value, BEARER.len));
        }
        if (value.len > 0 && (fields[i].any || slice_istarts(value, PREFIX)))
            return value;
    }
    return SLICE_EMPTY;
}

int identify(struct exchange *x, struct failure *ret)
{
    const struct governance *g = &x->config->governance;
    struct slice value = identify_value(&x->stream->request);

    if (value.len == 0) {
        if (g->enforced)
            return failure_refuse(
                ret, 401, SLICE("virtual_key_required"),
                SLICE("a virtual key is required: send it as x-bf-vk or as the SDK's API key"),
                SLICE_EMPTY);
        return 0;
    }
    const struct virtual_key *key = governance_find_key(g, value);
    if (!key)
        return failure_refuse(ret, 403, SLICE("virtual_key_not_found"),
                              SLICE("virtual key not found"), SLICE_EMPTY);
    if (!key->active)
        return failure_refuse(ret, 403, SLICE("virtual_key_blocked"),
                              SLICE("virtual key is inactive"), SLICE_EMPTY);
    if (key->expires.ns > 0 && ring_wall(x->core->net.ring).ns >= key->expires.ns)
        return failure_refuse(ret, 403, SLICE("virtual_key_blocked"),
                              SLICE("virtual key has expired"), SLICE_EMPTY);
    x->virtual_key = key;
    return 0;
}
