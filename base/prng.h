// SPDX-License-Identifier: Apache-2.0
//
// prng.h: fast numbers for choosing keys and jitter; never for secrets.
//
// xoshiro256**; each core has its own, seeded from the kernel at start or from a test's seed.
#ifndef RINGGATE_BASE_PRNG_H
#define RINGGATE_BASE_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_seed(struct prng *p, uint64_t seed);
int prng_seed_kernel(struct prng *p); // getrandom(2); 0 or ERR_SYSTEM
uint64_t prng_next(struct prng *p);
uint64_t prng_below(struct prng *p, uint64_t bound); // [0, bound), bound > 0, unbiased
double prng_unit(struct prng *p);                    // [0, 1)

// Fills `size` bytes from getrandom(2); for identifiers. 0 or ERR_SYSTEM. Any thread.
int random_bytes(void *out, size_t size);

#endif
