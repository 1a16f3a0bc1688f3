// SPDX-License-Identifier: Apache-2.0
//
// pace.c: the arithmetic of pace.h, and the kernel's count. A file of its own because the structure
// that has the count is the kernel header's, which the C library's excludes.
#include "net/pace.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

static bool enough(uint32_t bytes, unsigned rate, unsigned ms)
{
    return bytes > 0 && (uint64_t)bytes * 1000 >= (uint64_t)rate * ms;
}

bool pace_kept(struct pace *p, unsigned rate, unsigned ms)
{
    bool kept = enough(p->bytes, rate, ms);
    pace_begin(p);
    return kept;
}

bool pace_reads(struct pace *p, int fd, unsigned rate, unsigned ms)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false; // no connection any more
    uint32_t before = p->bytes;
    bool first = !p->noted;
    *p = (struct pace){.bytes = (uint32_t)info.tcpi_bytes_acked, .noted = true};
    return first || enough(p->bytes - before, rate, pace_half_ms(ms));
}
