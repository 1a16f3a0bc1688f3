// SPDX-License-Identifier: Apache-2.0
//
// metrics_series.h: what one set of label values has counted; between metrics.c and metrics_page.c.
//
// A series is found by `key`, the label values as bytes, each behind its length: cheap to build in
// a stack buffer. `labels` is the same written for the page, once, when the series is made. Both
// lie behind the struct in one allocation.
#ifndef RINGGATE_GATEWAY_METRICS_SERIES_H
#define RINGGATE_GATEWAY_METRICS_SERIES_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/stats.h"

struct store;

// Kinds of error status a series tells apart; what comes later counts as status "other".
#define SERIES_STATUS_MAX 16

struct status_count {
    unsigned status; // 0: "other"
    uint64_t count;
};

struct upstream_series {
    struct slice key, labels;
    struct counter requests, successes;
    struct counter input_tokens, output_tokens, cache_read_tokens, cache_write_tokens;
    struct counter cost; // 10⁻¹² dollars
    struct status_count errors[SERIES_STATUS_MAX];
    unsigned error_count;
    struct histogram latency[2]; // by is_success
    struct histogram first_token, token_gap;
};

struct http_series {
    struct slice key, labels;
    struct counter requests;
    struct histogram seconds, request_bytes, response_bytes;
};

void upstream_series_init(struct upstream_series *s);
void http_series_init(struct http_series *s);
void upstream_series_error(struct upstream_series *s, unsigned status, uint64_t count);

// The store's figures; nothing without one. (metrics_store.c)
void metrics__write_store(struct buf *out, const struct store *store);

#endif
