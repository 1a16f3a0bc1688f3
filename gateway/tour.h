// SPDX-License-Identifier: Apache-2.0
//
// tour.h: one mail that visits every core in turn and comes home.
//
// What must be done on each core's own thread (add up its figures, swap its snapshot, begin to
// drain) travels as a single object: no counting of answers, no lock, no allocation per core.
//
//     start ──► core 0: visit ──► core 1: visit ──► … ──► home: done
//                  │  ▲
//                  └──┘ false: not finished, again in a later turn
//
// The owner embeds the tour and gives it away until `done`. Rings must run until then.
#ifndef RINGGATE_GATEWAY_TOUR_H
#define RINGGATE_GATEWAY_TOUR_H

#include "gateway/gateway.h"

struct tour;

// On the visited core's thread; false asks for another visit, so that long work stays below 1 ms.
typedef bool (*tour_visit_fn)(struct tour *t, struct gateway_core *core);
// On the home core's thread; the tour is the owner's again.
typedef void (*tour_done_fn)(struct tour *t);

struct tour {
    struct ring_mail mail;
    struct gateway *gateway;
    struct gateway_core *home;
    unsigned next; // index of the core to visit
    tour_visit_fn visit;
    tour_done_fn done;
};

// From the home core's thread.
void tour_start(struct tour *t, struct gateway_core *home, tour_visit_fn visit, tour_done_fn done);

#endif
