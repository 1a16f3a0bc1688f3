// SPDX-License-Identifier: Apache-2.0
//
// h2_fuzz.h: what holds of an HTTP/2 session's output, whichever side it is on.
#ifndef RINGGATE_TESTS_FUZZ_H2_FUZZ_H
#define RINGGATE_TESTS_FUZZ_H2_FUZZ_H

#include "base/assert.h"
#include "h2/h2.h"

#define H2_FUZZ_ROOM 8192

static inline void h2_fuzz_output(struct h2_session *h, struct mono now)
{
    char bytes[H2_FUZZ_ROOM];
    struct iovec iov[16];
    struct h2_output out = {.bytes = bytes, .bytes_max = sizeof(bytes), .iov = iov, .iov_max = 16};
    (void)h2_session_output(h, now, &out);
    size_t total = 0;
    for (unsigned i = 0; i < out.count; i++)
        total += iov[i].iov_len;
    ASSERT(out.used <= sizeof(bytes) && out.count <= 16 && total == out.total);
}

static inline void h2_fuzz_on_lend(struct h2_session *h, struct h2_stream *s)
{
    ASSERT(s->session == h && h->out);
}

#endif
