// SPDX-License-Identifier: Apache-2.0
//
// proxy_talk_fuzz.c: any bytes as a proxy's answers. The first byte chooses the kind of proxy, and
// whether the rest arrives at once or byte by byte: both must end alike.
#include "net/proxy.h"

#include "base/assert.h"
#include "base/err.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int talk(const struct proxy *p, const uint8_t *data, size_t size, size_t step)
{
    struct proxy_talk *t = malloc(sizeof(*t));
    int rc = ERR_MORE;
    ASSERT(t != NULL);
    proxy_talk_begin(t, p, SLICE("provider.example"), 443);
    for (size_t at = 0; at < size && rc == ERR_MORE;) {
        ASSERT(t->in_len < sizeof(t->in)); // there is always room for more
        size_t n = size - at < step ? size - at : step;
        if (n > sizeof(t->in) - t->in_len)
            n = sizeof(t->in) - t->in_len;
        proxy_talk_sent(t);
        memcpy(t->in + t->in_len, data + at, n);
        at += n;
        rc = proxy_talk_take(t, n);
        ASSERT(rc == 0 || rc == ERR_MORE || rc == ERR_PROXY_AUTH || rc == ERR_PROXY_REFUSED ||
               rc == ERR_PROXY_UNREACHABLE || rc == ERR_PROXY_PROTOCOL);
        ASSERT((rc == 0) == (t->state == PROXY_TALK_OPEN));
        // Open with the last byte or not at all: what follows is the provider's.
        ASSERT(rc != 0 || (t->in_len == 0 && t->out_len == 0));
    }
    proxy_talk_done(t);
    free(t);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_options o = {.host = SLICE("proxy"), .port = 1};
    struct proxy *p = NULL;
    if (size == 0)
        return 0;
    o.type = data[0] & 1 ? PROXY_SOCKS5 : PROXY_HTTP;
    if (data[0] & 2) {
        o.username = SLICE("user");
        o.password = SLICE("password");
    }
    ASSERT(proxy_new(&o, &p) == 0);
    int by_one = talk(p, data + 1, size - 1, 1);
    if (o.type == PROXY_HTTP && by_one != 0 && size <= PROXY_ANSWER_BYTES_MAX) {
        int at_once = talk(p, data + 1, size - 1, SIZE_MAX);
        ASSERT(at_once == by_one || at_once == ERR_PROXY_PROTOCOL);
    }
    (void)talk(p, data + 1, size - 1, 7);
    proxy_put(p);
    return 0;
}
