// SPDX-License-Identifier: Apache-2.0
//
// limit.c: the rates of limit.h.
//
// `due` is when the next frame would come if the client kept to its rate exactly. A client that is
// ahead of it by no more than its burst is within bounds.
#include "h2/limit.h"

#include "base/assert.h"

struct row {
    int64_t interval; // ns between two
    int64_t ahead;    // ns a client may be ahead
};

static const struct row rows[H2_RATE_COUNT] = {
#define X(name, label, burst, per_second)                                                          \
    [H2_RATE_##name] = {NS_PER_S / (per_second), NS_PER_S / (per_second) * (burst)},
    H2_RATE_MAP(X)
#undef X
};

static const char *const labels[H2_LIMIT_COUNT] = {
#define X(name, label, burst, per_second) [H2_RATE_##name] = (label),
    H2_RATE_MAP(X)
#undef X
#define X(name, label) [H2_LIMIT_##name] = (label),
        H2_SIZE_MAP(X)
#undef X
};

const char *h2_limit_label(unsigned limit)
{
    ASSERT(limit < H2_LIMIT_COUNT && labels[limit]);
    return labels[limit];
}

bool h2_rate_take(struct h2_rate *r, enum h2_rate_name name, struct mono now)
{
    ASSERT((unsigned)name < H2_RATE_COUNT);
    const struct row *row = &rows[name];
    if (r->due < now.ns)
        r->due = now.ns;
    r->due += row->interval;
    return r->due - now.ns <= row->ahead;
}

void h2_rate_earn(struct h2_rate *r, enum h2_rate_name name, unsigned n)
{
    ASSERT((unsigned)name < H2_RATE_COUNT);
    r->due -= rows[name].interval * (int64_t)n; // take never starts from before now
}
