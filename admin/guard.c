// SPDX-License-Identifier: Apache-2.0
//
// guard.c: the answer to whoever may not.
#include "admin/guard.h"

#include "gateway/error.h"
#include "gateway/exchange.h"

bool admin_open(const struct exchange *x)
{
    return x->config->on_loopback || x->config->allow_open_management;
}

void guard_refuse_await(struct exchange *x, struct fiber *self)
{
    json_answer_await(
        x, self, 403,
        SLICE("{\"is_bifrost_error\":false,\"status_code\":403,\"error\":{\"message\":"
              "\"management is served on loopback only, unless "
              "server.allow_open_management is set\"}}"));
}
