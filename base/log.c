// SPDX-License-Identifier: Apache-2.0
//
// log.c: lines into two halves of memory, taken by turns.
//
//                 log_line                 log_take              log_written
//     active ──► [half A ▒▒▒▒] ──swap──► [half A, in flight] ──► [half A, empty]
//                [half B     ] ◄── lines go on here meanwhile
//
// A line that does not fit into the active half goes to the other one if that is free (the full
// half is then the first to be taken); if the other is in flight or holds lines, the new line is
// counted as dropped. A line is written whole or not at all: the writer below stops at the end of
// the half and the length is moved only when everything fitted. Each value is cut at
// LOG_VALUE_BYTES_MAX so that a client cannot fill the halves with one header.
#include "base/log.h"
#include "base/assert.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/escape.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Longer values are cut: a log line is for reading, and one request must not push others out.
#define LOG_VALUE_BYTES_MAX 4096

static const char *const level_names[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};
static const char *const level_columns[LOG_LEVEL_COUNT] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

int log_init(struct log *l, enum log_level level, enum log_style style)
{
    *l = (struct log){.level = level, .style = style};
    l->half[0] = malloc(LOG_HALF_BYTES);
    l->half[1] = malloc(LOG_HALF_BYTES);
    if (!l->half[0] || !l->half[1]) {
        log_done(l);
        return ERR_NOMEM;
    }
    return 0;
}

void log_done(struct log *l)
{
    free(l->half[0]);
    free(l->half[1]);
    *l = (struct log){.level = l->level, .style = l->style};
}

// ---- A line under construction -----------------------------------------------------------------

struct line {
    char *at;
    char *end;
    bool full; // something did not fit: the line is not used
};

static void put(struct line *w, struct slice s)
{
    if (w->full || s.len > (size_t)(w->end - w->at)) {
        w->full = true;
        return;
    }
    if (s.len > 0)
        memcpy(w->at, s.ptr, s.len);
    w->at += s.len;
}

static void put_escaped(struct line *w, struct slice s)
{
    bool cut = s.len > LOG_VALUE_BYTES_MAX;
    s = slice_take(s, LOG_VALUE_BYTES_MAX);
    while (s.len > 0 && !w->full) {
        size_t plain = escape_plain(s);
        put(w, slice_take(s, plain));
        s = slice_skip(s, plain);
        if (s.len > 0) {
            char step[ESCAPE_STEP_MAX];
            size_t len = escape_step(&s, step);
            put(w, slice_of(step, len));
        }
    }
    if (cut)
        put(w, SLICE("…"));
}

static void put_number(struct line *w, int64_t number)
{
    char digits[20];
    uint64_t magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;
    if (number < 0)
        put(w, SLICE("-"));
    size_t len = fmt_u64(digits, magnitude);
    put(w, slice_of(digits, len));
}

static void put_time(struct line *w, struct wall now)
{
    char text[CIVIL_TEXT_BYTES];
    put(w, civil_text(now, 3, text));
}

static void put_message(struct line *w, uint64_t dropped, struct slice message)
{
    if (dropped > 0) {
        char digits[20];
        put(w, SLICE("("));
        put(w, slice_of(digits, fmt_u64(digits, dropped)));
        put(w, SLICE(" lines dropped) "));
    }
    put_escaped(w, message);
}

static void put_value(struct line *w, const struct log_field *f)
{
    if (f->is_number) {
        put_number(w, f->number);
        return;
    }
    put(w, SLICE("\""));
    put_escaped(w, f->text);
    put(w, SLICE("\""));
}

static void put_json(struct line *w, const struct log *l, struct wall now, enum log_level level,
                     struct slice message, const struct log_field *fields, unsigned n)
{
    put(w, SLICE("{\"level\":\""));
    put(w, slice_str(level_names[level]));
    put(w, SLICE("\",\"time\":\""));
    put_time(w, now);
    put(w, SLICE("\",\"message\":\""));
    put_message(w, l->dropped, message);
    put(w, SLICE("\""));
    for (unsigned i = 0; i < n; i++) {
        put(w, SLICE(",\""));
        put_escaped(w, slice_str(fields[i].name));
        put(w, SLICE("\":"));
        put_value(w, &fields[i]);
    }
    put(w, SLICE("}\n"));
}

static void put_pretty(struct line *w, const struct log *l, struct wall now, enum log_level level,
                       struct slice message, const struct log_field *fields, unsigned n)
{
    put_time(w, now);
    put(w, SLICE(" "));
    put(w, slice_str(level_columns[level]));
    put(w, SLICE(" "));
    put_message(w, l->dropped, message);
    for (unsigned i = 0; i < n; i++) {
        put(w, SLICE(" "));
        put_escaped(w, slice_str(fields[i].name));
        put(w, SLICE("="));
        put_value(w, &fields[i]);
    }
    put(w, SLICE("\n"));
}

// ---- Halves ----------------------------------------------------------------------------------

static bool write_line(struct log *l, struct wall now, enum log_level level, struct slice message,
                       const struct log_field *fields, unsigned n)
{
    char *half = l->half[l->active];
    struct line w = {.at = half + l->len[l->active], .end = half + LOG_HALF_BYTES};
    if (l->style == LOG_JSON)
        put_json(&w, l, now, level, message, fields, n);
    else
        put_pretty(&w, l, now, level, message, fields, n);
    if (w.full)
        return false;
    l->len[l->active] = (size_t)(w.at - half);
    l->dropped = 0;
    return true;
}

void log_line(struct log *l, struct wall now, enum log_level level, struct slice message,
              const struct log_field *fields, unsigned n)
{
    ASSERT(level < LOG_LEVEL_COUNT);
    ASSERT(fields || n == 0);
    if (level < l->level)
        return;
    if (write_line(l, now, level, message, fields, n))
        return;
    unsigned other = !l->active;
    if (!l->in_flight && l->len[other] == 0 && l->len[l->active] > 0) {
        l->active = other;
        if (write_line(l, now, level, message, fields, n))
            return;
    }
    l->dropped++;
    l->dropped_total++;
}

struct slice log_take(struct log *l)
{
    if (l->in_flight)
        return SLICE_EMPTY;
    unsigned other = !l->active;
    if (l->len[other] == 0) { // else the other half is older and goes first
        if (l->len[l->active] == 0)
            return SLICE_EMPTY;
        other = l->active;
        l->active = !other;
    }
    l->in_flight = true;
    ASSERT(l->len[other] > 0 && l->len[other] <= LOG_HALF_BYTES);
    return slice_of(l->half[other], l->len[other]);
}

void log_written(struct log *l)
{
    ASSERT(l->in_flight);
    l->in_flight = false;
    l->len[!l->active] = 0;
}

void log_flush(struct log *l, int fd)
{
    // Two halves, so at most two takings.
    for (int i = 0; i < 2; i++) {
        struct slice s = log_take(l);
        if (s.len == 0)
            return;
        while (s.len > 0) {
            ssize_t n = write(fd, s.ptr, s.len);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                break; // nowhere to say so
            s = slice_skip(s, (size_t)n);
        }
        log_written(l);
    }
}

int log_level_parse(struct slice name)
{
    for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (slice_eq(name, slice_str(level_names[i])))
            return i;
    }
    return -1;
}
