// SPDX-License-Identifier: Apache-2.0
//
// period.h: how long a budget or a rate limit counts before it begins anew.
//
// A window is known by the second it began. A rolling one begins when it is first needed and lasts
// its length ("1M" is 30 days, "1Y" 365). A calendar one begins where the calendar has it, in UTC:
// a day at 00:00, a week on Monday, a month on the first, a year on January 1st; hours, minutes and
// seconds know no calendar and roll. "2w" of the calendar are weeks in pairs, counted from the
// first Monday of 1970; months and years likewise from January 1970.
//
// Pure; any thread.
#ifndef RINGGATE_GATEWAY_PERIOD_H
#define RINGGATE_GATEWAY_PERIOD_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

// A window of more units than these is a slip of the keyboard.
#define PERIOD_COUNT_MAX 100000

struct period {
    uint32_t count;
    char unit;     // s m h d w M Q Y
    bool calendar; // of d w M Q Y; ignored for the others
};

// "30s", "1d", "1M". ERR_BAD_TYPE: anything else, zero, or beyond PERIOD_COUNT_MAX.
int period_parse(struct slice text, struct period *ret);
uint64_t period_seconds(const struct period *p); // of a rolling window
// Are there windows of the calendar for this unit?
bool period_knows_calendar(const struct period *p);
// The beginning of the window that holds `now`, where the last one began at `begin`; the same when
// that is not over. Both in seconds since 1970.
uint64_t period_window(const struct period *p, uint64_t begin, uint64_t now);

#endif
