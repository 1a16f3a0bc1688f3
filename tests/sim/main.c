// SPDX-License-Identifier: Apache-2.0
//
// main.c: runs seeds and says what came of them.
//
//     sim [--seed N] [--seeds N] [--trace] [--faults allocation|operation [--step N]]
//
// Seeds N, N + 1, … are lived through one after the other. The first that fails ends the process,
// with the line that shows it again. --faults takes each seed again and again and lets the first,
// second, … allocation (or operation) fail, until a run is over before its fault is met.
#include "tests/sim/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct flags {
    uint64_t seed, seeds, step, at;
    bool trace, quiet;
    const char *faults; // NULL: none
};

static struct world_faults now; // what runs, for the last words
static char program[256];

static void say_last(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

static void last_words(void)
{
    char line[512];
    const char *faults = now.allocation  ? " --faults allocation --at "
                         : now.operation ? " --faults operation --at "
                                         : "";
    uint64_t at = now.allocation ? now.allocation : now.operation;
    snprintf(line, sizeof(line), "sim: seed %llu failed; again: %s --seed %llu --trace%s",
             (unsigned long long)sim.seed, program, (unsigned long long)sim.seed, faults);
    say_last(line);
    if (at > 0)
        snprintf(line, sizeof(line), "%llu\n", (unsigned long long)at);
    say_last(at > 0 ? line : "\n");
}

static void on_abort(int signal)
{
    (void)signal;
    last_words();
    fflush(stdout);
    _exit(1);
}

void __asan_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void add(struct world_result *sum, const struct world_result *r)
{
    sum->count.right += r->count.right;
    sum->count.refused += r->count.refused;
    sum->count.marked += r->count.marked;
    sum->count.cut += r->count.cut;
    sum->count.unanswered += r->count.unanswered;
    sum->count.abandoned += r->count.abandoned;
    sum->requests += r->requests;
    sum->attempts += r->attempts;
    sum->turns += r->turns;
    sum->took_ns += r->took_ns;
}

static uint64_t run_faults(const struct flags *f, uint64_t seed, struct world_result *sum)
{
    bool allocation = strcmp(f->faults, "allocation") == 0, hit = true;
    uint64_t n = f->at ? f->at : 1, runs = 0;
    for (; hit; n += f->step, runs++) {
        struct world_result r;
        now = (struct world_faults){.allocation = allocation ? n : 0,
                                    .operation = allocation ? 0 : n};
        world_run(seed, f->trace, &now, &r, &hit);
        add(sum, &r);
        if (f->at)
            return 1;
    }
    return runs;
}

static bool read_flags(struct flags *f, int argc, char **argv)
{
    *f = (struct flags){.seeds = 1, .step = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0)
            f->trace = true;
        else if (value && strcmp(argv[i], "--seed") == 0)
            f->seed = strtoull(argv[++i], NULL, 10);
        else if (value && strcmp(argv[i], "--seeds") == 0)
            f->seeds = strtoull(argv[++i], NULL, 10);
        else if (value && strcmp(argv[i], "--step") == 0)
            f->step = strtoull(argv[++i], NULL, 10);
        else if (value && strcmp(argv[i], "--at") == 0)
            f->at = strtoull(argv[++i], NULL, 10);
        else if (value && strcmp(argv[i], "--faults") == 0)
            f->faults = argv[++i];
        else
            return false;
    }
    return f->seeds > 0 && f->step > 0 &&
           (!f->faults || strcmp(f->faults, "allocation") == 0 ||
            strcmp(f->faults, "operation") == 0);
}

int main(int argc, char **argv)
{
    struct flags f;
    struct world_result sum = {0}, r;
    uint64_t runs = 0;
    bool hit;
    if (!read_flags(&f, argc, argv)) {
        fprintf(stderr, "usage: sim [--seed N] [--seeds N] [--trace] "
                        "[--faults allocation|operation [--step N] [--at N]]\n");
        return 2;
    }
    snprintf(program, sizeof(program), "%s", argv[0]);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    signal(SIGABRT, on_abort);
    if (__asan_set_death_callback)
        __asan_set_death_callback(last_words);
    for (uint64_t i = 0; i < f.seeds; i++) {
        now = (struct world_faults){0};
        if (f.faults) {
            runs += run_faults(&f, f.seed + i, &sum);
            continue;
        }
        world_run(f.seed + i, f.trace, &now, &r, &hit);
        add(&sum, &r);
        runs++;
    }
    printf("%llu runs, %u requests, %u attempts, %llu turns, %.0f s of virtual time\n"
           "answers: %u right, %u refused, %u marked, %u cut, %u none, %u not waited for\n",
           (unsigned long long)runs, sum.requests, sum.attempts, (unsigned long long)sum.turns,
           (double)sum.took_ns / 1e9, sum.count.right, sum.count.refused, sum.count.marked,
           sum.count.cut, sum.count.unanswered, sum.count.abandoned);
    return 0;
}
