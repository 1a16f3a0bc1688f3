// SPDX-License-Identifier: Apache-2.0
//
// metrics_store.c: the store's own figures, a row each. They are the process's, not a core's, so
// they have no label but where a state has a name.
#include "gateway/metrics_series.h"

#include "base/container.h"
#include "store/store.h"
#include <stddef.h>
#include <string.h>

static const char *const states[STORE_STATE_COUNT] = {
    [STORE_STANDBY] = "standby", [STORE_READY] = "ready", [STORE_FAILED] = "failed"};
static const char *const levels[STORE_LEVEL_COUNT] = {
    [STORE_ALL] = "all", [STORE_NO_CONTENT] = "no_content", [STORE_NO_ROWS] = "no_rows"};

// One of `count` names is 1, the others are 0.
static void write_names(struct buf *out, const char *name, const char *label, const char *help,
                        const char *const *names, unsigned count, unsigned now)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
    for (unsigned i = 0; i < count; i++)
        buf_printf(out, "%s{%s=\"%s\"} %d\n", name, label, names[i], i == now);
}

struct flag_row {
    const char *name, *help;
    size_t offset;
};
static const struct flag_row flags[] = {
    {"ringgate_store_writing", "Whether the last batch was written and the last sync done.",
     offsetof(struct store_health, writing)},
    {"ringgate_store_encrypted", "Whether rows of config are sealed.",
     offsetof(struct store_health, sealed)},
};

struct number_row {
    const char *name, *type, *help;
    size_t offset;
};
static const struct number_row numbers[] = {
    {"ringgate_store_records_total", "counter", "Records written to the database of logs.",
     offsetof(struct store_health, records)},
    {"ringgate_store_content_dropped_total", "counter",
     "Records whose content was given up, for want of disk or of room in a ring.",
     offsetof(struct store_health, content_dropped)},
    {"ringgate_store_rows_dropped_total", "counter",
     "Records whose row was given up; their usage was kept.",
     offsetof(struct store_health, rows_dropped)},
    {"ringgate_store_damaged_total", "counter", "Records and digests that could not be read.",
     offsetof(struct store_health, damaged)},
    {"ringgate_store_refused_total", "counter",
     "Requests refused because there was no room for their usage.",
     offsetof(struct store_health, refused)},
    {"ringgate_store_errors_total", "counter", "Calls that the databases failed.",
     offsetof(struct store_health, errors)},
    {"ringgate_store_syncs_total", "counter", "Syncs of the log of the database.",
     offsetof(struct store_health, syncs)},
    {"ringgate_store_queued_bytes", "gauge", "In all rings, not yet in the database.",
     offsetof(struct store_health, queued_bytes)},
    {"ringgate_store_ring_bytes", "gauge", "Size of the rings of this process.",
     offsetof(struct store_health, ring_bytes)},
    {"ringgate_store_logs_bytes", "gauge", "Of the database of logs on disk.",
     offsetof(struct store_health, logs_bytes)},
};

void metrics__write_store(struct buf *out, const struct store *store)
{
    struct store_health health;
    if (!store)
        return;
    store_health(store, &health);
    write_names(out, "ringgate_store_state", "state",
                "Who has the databases: this process, or not.", states, STORE_STATE_COUNT,
                health.state);
    write_names(out, "ringgate_store_level", "level", "What a full disk leaves to be kept.", levels,
                STORE_LEVEL_COUNT, health.level);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag_row *f = &flags[i];
        bool set;
        memcpy(&set, (const char *)&health + f->offset, sizeof(set));
        buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", f->name, f->help, f->name,
                   f->name, set);
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const struct number_row *n = &numbers[i];
        uint64_t value;
        memcpy(&value, (const char *)&health + n->offset, sizeof(value));
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", n->name, n->help, n->name, n->type,
                   n->name, (unsigned long long)value);
    }
}
