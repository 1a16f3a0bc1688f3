// SPDX-License-Identifier: Apache-2.0
//
// provider.h: scripted providers, on ports of their own. What each does with a request is drawn
// when its head has come: most answer; some refuse, die in the middle, say nothing, or answer
// before they have heard everything.
#ifndef RINGGATE_TESTS_SIM_PROVIDER_H
#define RINGGATE_TESTS_SIM_PROVIDER_H

#include "tests/sim/story.h"
#include "tests/sim/wire.h"

struct provider_conn;

struct provider {
    struct story *story;
    unsigned port;
    unsigned trouble; // chance of anything but a right answer, in 1,000
    bool slow;        // pauses between events may be longer than the gateway's patience
    bool lazy;        // reads little at once
    struct provider_conn *conns;
    unsigned open;
};

void provider_begin(struct provider *p, struct story *story, unsigned port);
void provider_end(struct provider *p); // hangs up what is open

#endif
