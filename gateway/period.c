// SPDX-License-Identifier: Apache-2.0
//
// period.c: windows of limits, rolling and by the calendar.
#include "gateway/period.h"

#include "base/civil.h"
#include "base/err.h"
#include <stddef.h>

#define DAY_S      UINT64_C(86400)
#define MONTH_DAYS 30
#define YEAR_DAYS  365

static const struct unit {
    char letter;
    bool calendar;   // the calendar has a beginning for it
    uint64_t length; // of one, rolling
    unsigned months; // in one; 0: a number of days or less
} units[] = {
    {'s', false, 1, 0},
    {'m', false, 60, 0},
    {'h', false, 3600, 0},
    {'d', true, DAY_S, 0},
    {'w', true, 7 * DAY_S, 0},
    {'M', true, MONTH_DAYS *DAY_S, 1},
    {'Q', true, 3 * MONTH_DAYS *DAY_S, 3},
    {'Y', true, YEAR_DAYS *DAY_S, 12},
};

static const struct unit *unit_of(char letter)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].letter == letter)
            return &units[i];
    }
    return NULL;
}

int period_parse(struct slice text, struct period *ret)
{
    if (text.len < 2)
        return ERR_BAD_TYPE;
    uint32_t count = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        char c = text.ptr[i];
        if (c < '0' || c > '9')
            return ERR_BAD_TYPE;
        count = count * 10 + (uint32_t)(c - '0');
        if (count > PERIOD_COUNT_MAX)
            return ERR_BAD_TYPE;
    }
    char letter = text.ptr[text.len - 1];
    if (count == 0 || unit_of(letter) == NULL)
        return ERR_BAD_TYPE;
    *ret = (struct period){.count = count, .unit = letter};
    return 0;
}

uint64_t period_seconds(const struct period *p)
{
    return p->count * unit_of(p->unit)->length;
}

bool period_knows_calendar(const struct period *p)
{
    return unit_of(p->unit)->calendar;
}

// Months since January 1970, and the day that such a month begins.
static uint64_t month_of(uint64_t now)
{
    struct civil c = civil_of_days((int64_t)(now / DAY_S));
    return (uint64_t)(c.year - 1970) * 12 + c.month - 1;
}

static uint64_t month_begin_day(uint64_t month)
{
    return (uint64_t)civil_days(1970 + (int64_t)(month / 12), (unsigned)(month % 12) + 1, 1);
}

static uint64_t calendar_window(const struct period *p, const struct unit *unit, uint64_t now)
{
    if (unit->months > 0) {
        uint64_t step = (uint64_t)unit->months * p->count;
        return month_begin_day(month_of(now) / step * step) * DAY_S;
    }
    // 1970-01-01 was a Thursday: the first Monday is the fifth.
    uint64_t first = unit->letter == 'w' ? 4 * DAY_S : 0;
    uint64_t step = unit->length * p->count;
    return now < first ? 0 : first + (now - first) / step * step;
}

uint64_t period_window(const struct period *p, uint64_t begin, uint64_t now)
{
    const struct unit *unit = unit_of(p->unit);
    if (p->calendar && unit->calendar) {
        uint64_t window = calendar_window(p, unit, now);
        return window > begin ? window : begin; // a clock that was set back begins nothing
    }
    bool over = begin == 0 || (now > begin && now - begin >= period_seconds(p));
    return over ? now : begin;
}
