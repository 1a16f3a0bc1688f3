// SPDX-License-Identifier: Apache-2.0
//
// dialect.c: what can be said of two dialects together. The gateway asks when it plans a request.

#include "codec/dialect.h"

bool dialect_translates(const struct dialect *client, const struct dialect *provider, bool stream)
{
    const struct dialect_translation *c = client->translation;
    const struct dialect_translation *p = provider->translation;

    if (!c || !p || !c->read_request || !p->write_request)
        return false;
    if (stream)
        return c->write_event && p->read_event;
    return c->write_answer && p->read_answer;
}
