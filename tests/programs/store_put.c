// SPDX-License-Identifier: Apache-2.0
//
// store_put.c: rows for the store of a gateway that is not running.
//
//     store_put <app-dir>/store RINGS KIND ID VALUE [KIND ID VALUE …]
//
// KIND is a number of enum store_kind. BIFROST_ENCRYPTION_KEY seals them, as in the gateway. Prints
// why it failed.
#include "base/err.h"
#include "ring/fiber.h"
#include "ring/ring.h"
#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>

#define SECONDS_MAX 30

struct work {
    struct store *store;
    struct store_change change[STORE_CHANGES_MAX];
    unsigned count;
    int err;
    bool ended;
};

static void put_fiber(struct fiber *self, void *arg)
{
    struct work *w = arg;
    w->err = store_change_await(w->store, self, w->change, w->count);
    w->ended = true;
}

static int put(struct work *w, struct ring *ring)
{
    const struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    struct fiber_sched *sched = NULL;
    struct fiber *fiber;
    struct mono end = mono_add_ms(clock_mono(), SECONDS_MAX * 1000);
    int rc = fiber_sched_new(ring, &options, &sched);
    if (rc == 0)
        rc = fiber_spawn(sched, put_fiber, w, &fiber);
    while (rc == 0 && !w->ended && clock_mono().ns < end.ns)
        ring_turn(ring, mono_add_ms(clock_mono(), 10));
    if (rc == 0)
        rc = w->ended ? w->err : ERR_DEADLINE;
    store_leave(w->store);
    fiber_sched_free(sched);
    return rc;
}

int main(int argc, char **argv)
{
    static struct work w;
    char reason[STORE_REASON_BYTES] = "";
    const char *why = reason;
    struct ring *ring = NULL;
    if (argc < 6 || argc % 3 != 0 || argc / 3 > STORE_CHANGES_MAX) {
        fprintf(stderr, "usage: store_put DIR RINGS KIND ID VALUE …\n");
        return EXIT_FAILURE;
    }
    for (int i = 3; i < argc; i += 3)
        w.change[w.count++] = (struct store_change){
            .kind = (enum store_kind)strtol(argv[i], NULL, 10),
            .id = slice_str(argv[i + 1]),
            .value = slice_str(argv[i + 2]),
        };
    const struct store_options options = {
        .dir = argv[1],
        .rings = argv[2],
        .cores = 1,
        .ring_bytes = 1 << 16,
        .encryption_key = slice_str(getenv("BIFROST_ENCRYPTION_KEY")),
    };
    const struct ring_options ring_options = RING_OPTIONS_DEFAULT;
    int rc = store_open(&options, &w.store, reason);
    if (rc == 0)
        rc = ring_new(&ring_options, &ring, &why);
    if (rc == 0)
        rc = put(&w, ring);
    ring_free(ring);
    store_close(w.store);
    if (rc < 0)
        fprintf(stderr, "store_put: %s\n", why[0] ? why : err_text(rc));
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
