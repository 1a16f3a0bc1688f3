// SPDX-License-Identifier: Apache-2.0
//
// estimate.h: how much a request will use, before it has.
//
// In: its bytes, three to a token (what is reserved should rather be too much). Out: the limit that
// the request sets itself; without one the 95th percentile of what the model has answered lately.
//
// A model's answers are counted in buckets half an octave wide, in a table of fixed size shared by
// the cores; when a row has ESTIMATE_ROW_MAX they are halved, so that the past fades. Models are
// found by a hash of their name and provider; two that meet in a row are estimated together.
#ifndef RINGGATE_GATEWAY_ESTIMATE_H
#define RINGGATE_GATEWAY_ESTIMATE_H

#include "base/slice.h"
#include <stdatomic.h>
#include <stdint.h>

#define ESTIMATE_BYTES_A_TOKEN 3
// Of a model that has not answered yet.
#define ESTIMATE_OUTPUT_DEFAULT 1024
// Rows; what clients that invent names of models could make is bounded.
#define ESTIMATE_ROWS 4096
// Answers until the past fades.
#define ESTIMATE_ROW_MAX 1024
#define ESTIMATE_BUCKETS 44 // up to 4 million tokens

struct estimates {
    uint64_t seed[3]; // two words of it for each name
    struct {
        _Atomic uint16_t bucket[ESTIMATE_BUCKETS];
        _Atomic uint16_t count;
    } row[ESTIMATE_ROWS];
};

struct estimates *estimates_new(void); // NULL without memory or randomness
void estimates_free(struct estimates *e);

// Any core. An answer of this model had so many tokens.
void estimate_learn(struct estimates *e, struct slice provider, struct slice model,
                    uint64_t output_tokens);
uint64_t estimate_output(const struct estimates *e, struct slice provider, struct slice model);

static inline uint64_t estimate_input(size_t bytes)
{
    return bytes / ESTIMATE_BYTES_A_TOKEN + 1;
}

#endif
