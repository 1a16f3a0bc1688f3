// SPDX-License-Identifier: Apache-2.0
//
// metrics.h: Prometheus figures, counted per core, added up at the scrape.
//
// Each core has its own series, found by their label values; observing touches no memory another
// core writes. A scrape mails every core, which adds its figures to the scraper's table and mails
// back; so no lock and no torn reads. Label values come from requests (model): the series per core
// are bounded (METRICS_SERIES_MAX), beyond it the model label becomes "other" and a counter says
// so.
//
// Names and buckets are Bifrost's (bifrost_*, http_*); ringgate's own are ringgate_*.
#ifndef RINGGATE_GATEWAY_METRICS_H
#define RINGGATE_GATEWAY_METRICS_H

#include "base/buf.h"
#include "base/map.h"
#include "base/stats.h"

struct exchange;
struct fiber;
struct gateway;
struct gateway_core;

// A client that invents model names must not invent memory.
#define METRICS_SERIES_MAX 4096

struct metrics {
    struct map upstream;     // label values → struct upstream_series
    struct map http;         // label values → struct http_series
    struct counter overflow; // series refused
};

int metrics_init(struct metrics *m, const uint64_t seed[2]);
void metrics_done(struct metrics *m);

// One attempt at a provider ended. Called by exchange_settle and by each failed target.
void metrics_upstream(struct exchange *x, bool success, unsigned status, double seconds);
// The gap to the previous event of a stream, or the time to the first one.
void metrics_first_event(struct exchange *x, double seconds);
void metrics_event_gap(struct exchange *x, double seconds);
// The request as HTTP; by exchange_settle.
void metrics_http(struct exchange *x, double seconds, uint64_t request_bytes,
                  uint64_t response_bytes);

// Whoever wants the page part by part: takes what is in it, METRICS_PART_BYTES or some more, and
// empties it. Not 0: the scrape ends with that.
#define METRICS_PART_BYTES ((size_t)64 * 1024)
struct metrics_taker {
    int (*take_await)(struct metrics_taker *t, struct fiber *self, struct buf *page);
};

// The whole page (text exposition format 0.0.4), over all cores; with a taker (else NULL) what is
// in `out` at the end is its last part. 0, ERR_NOMEM, an interruption.
int metrics_scrape_await(struct gateway *g, struct gateway_core *core, struct fiber *self,
                         struct metrics_taker *taker, struct buf *out);

#endif
