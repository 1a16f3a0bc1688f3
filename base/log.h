// SPDX-License-Identifier: Apache-2.0
//
// log.h: lines for people and collectors, written without a system call on the data path.
//
// A core formats a line into its own `struct log` (memory only). At the end of a loop turn the
// owner takes the filled half and writes it by the ring; while that write is in flight lines go
// to the other half. When both are full, lines are counted as dropped and the count is the next
// line's first words. Start-up and worker threads use a log without a ring and call log_flush.
//
//     log_line ──► [half A ▒▒▒░░] ⇄ [half B ── write in flight ──►]
//
// Two styles: one JSON object a line {"level","time","message",fields…}, or pretty text. Field
// values are escaped in both, so a request cannot forge a line. Secrets are the caller's duty: no
// caller has a reason to pass one.
#ifndef RINGGATE_BASE_LOG_H
#define RINGGATE_BASE_LOG_H

#include "base/clock.h"
#include "base/slice.h"

#define LOG_HALF_BYTES 65536

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };
enum log_style { LOG_JSON, LOG_PRETTY };

// One name and value; made by the LOG_ macros below.
struct log_field {
    const char *name;
    struct slice text;
    int64_t number;
    bool is_number;
};

#define LOG_S(field, value) ((struct log_field){.name = (field), .text = (value)})
#define LOG_N(field, value)                                                                        \
    ((struct log_field){.name = (field), .number = (int64_t)(value), .is_number = true})

struct log {
    enum log_level level; // lines below it are not formatted
    enum log_style style;
    char *half[2];
    size_t len[2];
    unsigned active;        // the half that takes lines
    bool in_flight;         // the other half is being written
    uint64_t dropped;       // since the last line that got through
    uint64_t dropped_total; // since the start
};

int log_init(struct log *l, enum log_level level, enum log_style style); // 0 or ERR_NOMEM
void log_done(struct log *l);

// `fields` may be NULL when n is 0.
void log_line(struct log *l, struct wall now, enum log_level level, struct slice message,
              const struct log_field *fields, unsigned n);
#define LOG(l, now, lvl, message, ...)                                                             \
    do {                                                                                           \
        if ((lvl) >= (l)->level) {                                                                 \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_line((l), (now), (lvl), SLICE(message), log_fields_,                               \
                     (unsigned)(sizeof(log_fields_) / sizeof(struct log_field)));                  \
        }                                                                                          \
    } while (0)

// The lines waiting, when no write is in flight: swaps the halves and marks the write begun.
// Empty when there is nothing to do. The bytes stay until log_written.
struct slice log_take(struct log *l);
void log_written(struct log *l);
// For threads without a ring: takes and writes to `fd` at once.
void log_flush(struct log *l, int fd);
// "debug" … "error"; -1 when unknown.
int log_level_parse(struct slice name);

#endif
