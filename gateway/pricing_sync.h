// SPDX-License-Identifier: Apache-2.0
//
// pricing_sync.h: prices from framework.pricing.pricing_url, and the copy of them on disk.
//
//   ┌─────────┐ begin, timer, ask, new url ┌──────────┐ 200, a datasheet ┌────────┐ stored,
//   published │ WAITING │ ─────────────────────────► │ FETCHING │ ───────────────► │ WORKER │
//   ──────────► WAITING └─────────┘                            └──────────┘ └────────┘  next:
//   interval
//        ▲       a warning, next: back-off       │ anything else              │ makes no sense
//        └───────────────────────────────────────┴────────────────────────────┘
//
// What is fetched replaces the catalogue whole, as a new snapshot does: a request that runs keeps
// the prices it began with. Its text is kept as <app-dir>/pricing.json, written beside it and
// renamed, and is what the next start begins with; without it the program's own datasheet is. A
// failure takes nothing away. Without a URL nothing is ever fetched.
//
// Who asks for a fetch waits for its end, whatever it is: that every core has the new prices, or
// why not. The fetch is the next one that begins, so that what is fetched is no older than the
// question; all who ask while one runs share the one after it:
//
//   ┌──────┐ a fetch begins ┌─────────┐ a datasheet  ┌─────────────┐ every core has it
//   │ next │ ─────────────► │ waiting │ ───────────► │ unpublished │ ─────────────────► 0
//   └──────┘                └─────────┘              └─────────────┘
//        └── the process ends ──┴── anything else: the reason ──┘
//
// Everything is core 0's but pricing_sync_await and the figures.
#ifndef RINGGATE_GATEWAY_PRICING_SYNC_H
#define RINGGATE_GATEWAY_PRICING_SYNC_H

#include "base/buf.h"
#include "base/list.h"
#include "base/stats.h"
#include "ring/ring.h"

// A name of <app-dir>/pricing.json; a longer one is not stored.
#define PRICING_PATH_BYTES 4096
// Why a fetch failed, in words.
#define PRICING_REASON_BYTES 128

struct catalog;
struct fiber;
struct gateway;
struct gateway_core;

struct pricing_sync {
    struct gateway *gateway;
    void (*publish)(struct gateway *g); // makes a snapshot with g->catalog
    struct ring_timer timer;
    struct fiber *fiber; // fetches; NULL: none
    bool again;          // asked for while it does
    bool stopped;
    unsigned failures; // in a row
    unsigned interval_s;
    struct mono last; // try
    struct buf url;   // that is fetched; empty: none
    char path[PRICING_PATH_BYTES];
    struct list next, waiting, unpublished; // of struct asker (pricing_sync.c)
    // Any core.
    struct counter succeeded, failed;
    _Atomic unsigned models; // in the newest catalogue
};

// The catalogue to start with: the stored copy, else the built-in one. 0, or why not even that.
int pricing_sync_init(struct pricing_sync *s, const char *folder, struct catalog **ret);
void pricing_sync_done(struct pricing_sync *s);
// The cores serve: the first fetch begins, if there is a URL.
void pricing_sync_begin(struct pricing_sync *s, struct gateway_core *core,
                        void (*publish)(struct gateway *g));
// A reload has ended: the URL or the interval may be others now.
void pricing_sync_look(struct pricing_sync *s, struct gateway_core *core);
// The process ends: no further fetch; the one that runs is called off. Again is fine.
void pricing_sync_stop(struct pricing_sync *s, struct gateway_core *core);
// A reload that was to bring every core the newest catalogue has ended: 0, or why it did not.
void pricing_sync_published(struct pricing_sync *s, struct gateway_core *core, int err);
// From any core. Fetches now, and counts the interval from here; 0 when every core has the new
// prices, else an error with a reason (empty: there are no words beyond the error's). A client that
// leaves meanwhile does not end the wait: a fetch takes FETCH_MS at most.
int pricing_sync_await(struct pricing_sync *s, struct gateway_core *from, struct fiber *self,
                       char ret_reason[PRICING_REASON_BYTES]);

#endif
