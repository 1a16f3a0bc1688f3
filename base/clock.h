// SPDX-License-Identifier: Apache-2.0
//
// clock.h: two clocks, two types.
//
// `struct mono` measures intervals and deadlines and never jumps; `struct wall` is what a person
// or a log row calls the time. They do not convert into each other. Functions receive the time as
// an argument; only the loop (once a turn) and start-up read a clock.
#ifndef RINGGATE_BASE_CLOCK_H
#define RINGGATE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

struct mono {
    int64_t ns; // since some fixed point; 0 is "not set"
};

struct wall {
    int64_t ns; // since 1970-01-01 UTC
};

#define MONO_NEVER ((struct mono){.ns = INT64_MAX})

struct mono clock_mono(void);
struct wall clock_wall(void);

static inline struct mono mono_add_ms(struct mono t, int64_t ms)
{
    return (struct mono){.ns = t.ns + ms * NS_PER_MS};
}

static inline int64_t mono_diff_ns(struct mono later, struct mono earlier)
{
    return later.ns - earlier.ns;
}

static inline bool mono_before(struct mono a, struct mono b)
{
    return a.ns < b.ns;
}

static inline struct mono mono_min(struct mono a, struct mono b)
{
    return a.ns < b.ns ? a : b;
}

#endif
