// SPDX-License-Identifier: Apache-2.0
//
// proxy_form.c: a request as an HTTP proxy wants it that relays instead of tunnelling.
//
// RFC 9112 3.2.2: the target is the whole URI. The pieces of the request stay where they are; the
// list of them is made anew around what is put in:
//
//     POST ▲/v1/chat HTTP/1.1\r\n▲host: …
//          │                      └ Proxy-Authorization: Basic …\r\n
//          └ http://vllm.example:8000
//
// The proxy takes its header off before it sends the request on (RFC 9110 11.7.2).
#include "base/err.h"
#include "net/upstream_internal.h"

// Method, scheme, authority, target and version, header's name, value, line end, the rest.
#define PIECES_MORE 7

static void add(struct upstream_call *call, struct iovec *iov, struct slice s)
{
    iov[call->iov_count++] = (struct iovec){(void *)(uintptr_t)s.ptr, s.len};
}

int proxy_form(const struct upstream_call *call, struct upstream_call *ret)
{
    struct slice first = slice_of(call->iov[0].iov_base, call->iov[0].iov_len);
    const struct origin *o = call->origin;
    ptrdiff_t space = slice_find_char(first, ' '), end = slice_find(first, SLICE("\r\n"));
    if (space < 0 || end < space)
        return ERR_UNSUPPORTED;
    struct iovec *iov = arena_alloc(call->arena, (call->iov_count + PIECES_MORE) * sizeof(*iov));
    if (!iov)
        return ERR_NOMEM;
    *ret = *call;
    ret->iov = iov;
    ret->iov_count = 0;
    size_t target = (size_t)space + 1, rest = (size_t)end + 2;
    add(ret, iov, slice_take(first, target));
    add(ret, iov, SLICE("http://"));
    add(ret, iov, o->authority);
    add(ret, iov, slice_of(first.ptr + target, rest - target));
    if (o->proxy->authorization.len > 0) {
        add(ret, iov, SLICE("Proxy-Authorization: "));
        add(ret, iov, o->proxy->authorization);
        add(ret, iov, SLICE("\r\n"));
    }
    add(ret, iov, slice_skip(first, rest));
    for (unsigned i = 1; i < call->iov_count; i++)
        iov[ret->iov_count++] = call->iov[i];
    return 0;
}
