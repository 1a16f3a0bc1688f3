// SPDX-License-Identifier: Apache-2.0
//
// store_bench.c: what a record costs the core that puts it, and the process that drains it.
//
//     store_bench DIR [records [cores [content bytes]]]
//
// Each core is a thread that puts records as fast as its ring takes them, of about 600 bytes of row
// and with the moves of a governed request, and is held up when its ring is full, as a gateway is
// not. DIR is where the databases go; it should lie on a real disk. Rings lie under /dev/shm.
//
// Prints: nanoseconds of the core for a put (its thread's CPU, waits left out), records a second
// from the first put until all are in the database, and the CPU of all other threads for a record.
#include "base/assert.h"
#include "store/store.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define CORES_MAX_ 16
// Puts timed together: a look at the clock costs as much as a put.
#define RUN 64

struct putter {
    struct store *store;
    unsigned core;
    uint64_t records;
    size_t content_bytes;
    int64_t put_ns;
    uint64_t refused;
    uint64_t dropped;
};

static int64_t cpu_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static const char row[] =
    "{\"id\":\"9f2c6f3e-1f0b-4a8a-9c55-0b6f0a1b2c3d\",\"parent_request_id\":null,"
    "\"timestamp\":\"2023-11-14T22:13:20.123456Z\",\"object\":\"chat.completion\","
    "\"provider\":\"openai\",\"model\":\"gpt-4o-2024-11-20\",\"alias\":\"default\","
    "\"number_of_retries\":0,\"fallback_index\":0,\"selected_key_id\":\"key-production-1\","
    "\"selected_key_name\":\"production\",\"virtual_key_id\":\"vk-engineering\","
    "\"virtual_key_name\":\"engineering\",\"routing_engines_used\":[\"governance\"],"
    "\"latency\":812.4,\"stream\":true,\"status\":\"success\",\"stop_reason\":\"stop\","
    "\"team_id\":\"team-7\",\"customer_id\":\"customer-3\"}";

static struct store_record record_of(const struct putter *p, uint64_t n, const char *content)
{
    uint64_t window = 1700000000 / 3600 * 3600;
    struct store_record r = {
        .time = {.ns = (INT64_C(1700000000000000) + (int64_t)n * 16) * NS_PER_US},
        .word = {SLICE("openai"), SLICE("gpt-4o-2024-11-20"), SLICE("key-production-1"),
                 SLICE("vk-engineering"), SLICE_EMPTY, SLICE("chat.completion")},
        .status = 200,
        .streamed = true,
        .usage_known = true,
        .latency_ms = (uint32_t)(n % 5000),
        .input_tokens = n % 4096,
        .output_tokens = n % 300,
        .cost = (int64_t)(n % 1000) * 1000,
        .moves = 6,
        .row = slice_of(row, sizeof(row) - 1),
        .request = slice_of(content, p->content_bytes),
    };
    static const char *const counters[] = {"vk-engineering/requests", "vk-engineering/tokens",
                                           "vk-engineering/money",    "team-7/money",
                                           "customer-3/money",        "openai/money"};
    for (unsigned i = 0; i < r.moves; i++)
        r.move[i] = (struct store_move){slice_str(counters[i]), window, (int64_t)n % 7};
    return r;
}

static void *putter_main(void *arg)
{
    struct putter *p = arg;
    struct store_ring *ring = store_ring(p->store, p->core);
    static char content[1 << 20];
    struct store_id id;
    for (uint64_t n = 0; n < p->records;) {
        int64_t begin = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
        unsigned i = 0;
        for (; i < RUN && n < p->records; i++) {
            struct store_record r = record_of(p, n * CORES_MAX_ + p->core, content);
            if (store_reserve(ring) < 0)
                break;
            p->dropped += store_put_record(ring, &r, &id) != STORE_KEPT_ALL;
            n++;
        }
        p->put_ns += cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
        struct store_health health;
        store_health(p->store, &health);
        // Half full: what a slower producer would never see.
        while (health.queued_bytes > (UINT64_C(8) << 20)) {
            p->refused++;
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            store_health(p->store, &health);
        }
    }
    return NULL;
}

static void report(const struct putter *p, unsigned cores, int64_t wall_ns, int64_t process_ns)
{
    int64_t put_ns = 0;
    uint64_t records = 0, dropped = 0;
    for (unsigned i = 0; i < cores; i++) {
        put_ns += p[i].put_ns;
        records += p[i].records;
        dropped += p[i].dropped;
    }
    printf("records %llu, cores %u, content %zu bytes, parts dropped %llu\n",
           (unsigned long long)records, cores, p[0].content_bytes, (unsigned long long)dropped);
    printf("put      %7.0f ns of the core's CPU a record\n", (double)put_ns / (double)records);
    printf("drained  %7.0f records/s\n", (double)records * 1e9 / (double)wall_ns);
    printf("others   %7.2f us of CPU a record (drain, engine, compaction)\n",
           (double)(process_ns - put_ns) / 1e3 / (double)records);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: store_bench DIR [records [cores [content bytes]]]\n");
        return EXIT_FAILURE;
    }
    uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 10) : 500000;
    unsigned cores = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    size_t content = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    ASSERT(cores > 0 && cores <= CORES_MAX_ && content <= 1 << 20);
    struct store_options options = {.dir = argv[1],
                                    .rings = "/dev/shm/ringgate-store-bench",
                                    .cores = cores,
                                    .ring_bytes = UINT64_C(32) << 20};
    struct store *s;
    char reason[STORE_REASON_BYTES];
    if (store_open(&options, &s, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        return EXIT_FAILURE;
    }
    struct putter p[CORES_MAX_];
    pthread_t thread[CORES_MAX_];
    int64_t begin = clock_mono().ns, cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < cores; i++) {
        p[i] = (struct putter){s, i, records / cores, content, 0, 0, 0};
        ASSERT(pthread_create(&thread[i], NULL, putter_main, &p[i]) == 0);
    }
    for (unsigned i = 0; i < cores; i++)
        pthread_join(thread[i], NULL);
    struct store_health health;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        store_health(s, &health);
    } while (health.queued_bytes > 0);
    int64_t wall = clock_mono().ns - begin;
    report(p, cores, wall, cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    store_close(s);
    return EXIT_SUCCESS;
}
