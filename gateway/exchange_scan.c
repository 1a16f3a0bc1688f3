// SPDX-License-Identifier: Apache-2.0
//
// exchange_scan.c: a text of any size walked without holding the loop. exchange_read.c walks the
// client's body, request.c walks it again for what a vendor's edits need.

#include "base/err.h"
#include "gateway/exchange.h"

int exchange_scan_await(struct exchange *x, struct fiber *self, struct json_scanner *scan)
{
    for (;;) {
        int rc = json_scan_step(scan, JSON_SCAN_TURN_BYTES);
        if (rc != ERR_MORE)
            return rc;
        // One tick of the wheel: the loop turns before the walk goes on.
        struct mono soon = {.ns = ring_now(x->core->net.ring).ns + 1};
        rc = fiber_sleep_await(self, soon);
        if (rc)
            return rc;
    }
}
