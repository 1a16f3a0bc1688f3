// SPDX-License-Identifier: Apache-2.0
//
// prng.c: xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
//
// Bounded numbers by Lemire's multiply-and-reject ("Fast Random Integer Generation in an Interval",
// 2019): unbiased, and a division only in the rare case that may have to be rejected.
#include "base/prng.h"
#include "base/assert.h"
#include "base/err.h"
#include <errno.h>
#include <sys/random.h>

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void prng_seed(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        p->state[i] = splitmix(&seed); // never all zero: splitmix is a bijection of a counter
}

int prng_seed_kernel(struct prng *p)
{
    uint64_t seed;
    int err = random_bytes(&seed, sizeof(seed));
    if (err)
        return err;
    prng_seed(p, seed);
    return 0;
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t bound)
{
    ASSERT(bound > 0);
    unsigned __int128 m = (unsigned __int128)prng_next(p) * bound;
    if ((uint64_t)m < bound) {
        uint64_t threshold = -bound % bound;
        while ((uint64_t)m < threshold) // each try fails with probability below one half
            m = (unsigned __int128)prng_next(p) * bound;
    }
    return (uint64_t)(m >> 64);
}

double prng_unit(struct prng *p)
{
    return (double)(prng_next(p) >> 11) * 0x1.0p-53;
}

int random_bytes(void *out, size_t size)
{
    char *at = out;
    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_SYSTEM;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}
