// SPDX-License-Identifier: Apache-2.0
//
// pace.h: whether a slow peer is still worth waiting for.
//
// A deadline alone misjudges both ways: a total one ends the honest upload of 100 MB over a thin
// line, and one for silence alone is met by an attacker with a byte every 29 seconds, for months.
// So time is cut into windows, as long as the deadline was, and in each a peer has to move a least
// number of bytes a second. Who moves them may take as long as it needs; who does not is gone after
// a window, at the latest two.
//
//     ├── window ──┤├── window ──┤├── window ──┤
//      ▒▒▒▒▒▒▒▒▒▒    ▒▒▒▒▒▒▒       ▒                 ▒ bytes
//          kept         kept        not kept: 408, or reset
//
// What a peer sends is counted as it comes (pace_note). What it reads is not seen by whoever wrote
// it: the kernel has taken the bytes, or is still taking them. Its own count of what the peer has
// acknowledged says it (pace_reads), asked for twice a window while a send is stuck, else never.
// The first half only notes where the count stood, so a peer that reads nothing at all is gone when
// the whole window is over, as by a plain deadline.
#ifndef RINGGATE_NET_PACE_H
#define RINGGATE_NET_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    uint32_t bytes; // of this window; of sends: the kernel's count when it began, its low bits
    bool noted;     // of sends: the count is known
};

static inline void pace_begin(struct pace *p)
{
    *p = (struct pace){0};
}

static inline void pace_note(struct pace *p, uint64_t bytes)
{
    if (p->noted)
        return; // a send is being judged; what comes meanwhile is no matter
    p->bytes = bytes < UINT32_MAX - p->bytes ? p->bytes + (uint32_t)bytes : UINT32_MAX;
}

// A window of `ms` is over: were there `rate` bytes a second, and one at least? Begins the next.
bool pace_kept(struct pace *p, unsigned rate, unsigned ms);

// Half a window of `ms` (rounded up) is over in which a send on `fd` did not end. True: wait for
// another half.
bool pace_reads(struct pace *p, int fd, unsigned rate, unsigned ms);

static inline unsigned pace_half_ms(unsigned ms)
{
    return (ms + 1) / 2;
}

#endif
