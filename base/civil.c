// SPDX-License-Identifier: Apache-2.0
//
// civil.c: the calendar counted in years that begin in March, so that the leap day is the last.
#include "base/civil.h"

#include "base/assert.h"
#include "base/err.h"
#include <stddef.h>
#include <string.h>

#define ERA_YEARS 400 // after which the calendar repeats
#define ERA_DAYS  146097
// From 0000-03-01 to 1970-01-01.
#define DAYS_TO_1970 719468

int64_t civil_days(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - (ERA_YEARS - 1)) / ERA_YEARS;
    int64_t y = year - era * ERA_YEARS;
    int64_t of_year = (153 * (int64_t)((month + 9) % 12) + 2) / 5 + (int64_t)day - 1;
    return era * ERA_DAYS + y * 365 + y / 4 - y / 100 + of_year - DAYS_TO_1970;
}

struct civil civil_of_days(int64_t days)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t of_era = days - era * ERA_DAYS;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153; // 0: March
    unsigned month = (unsigned)(m < 10 ? m + 3 : m - 9);
    return (struct civil){.year = y + era * ERA_YEARS + (month <= 2),
                          .month = month,
                          .day = (unsigned)(of_year - (153 * m + 2) / 5) + 1};
}

// ---- Writing ---------------------------------------------------------------------------------

static char *put(char *out, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + digits;
}

struct slice civil_text(struct wall at, unsigned digits, char out[CIVIL_TEXT_BYTES])
{
    ASSERT(digits <= 9);
    int64_t seconds = at.ns / NS_PER_S, rest = at.ns % NS_PER_S;
    if (rest < 0) {
        rest += NS_PER_S;
        seconds--;
    }
    int64_t days = seconds / CIVIL_DAY_S, of_day = seconds % CIVIL_DAY_S;
    if (of_day < 0) {
        of_day += CIVIL_DAY_S;
        days--;
    }
    struct civil c = civil_of_days(days); // a clock of 64 bits: 1677 to 2262
    char *p = put(out, (uint64_t)c.year, 4);
    *p++ = '-';
    p = put(p, c.month, 2);
    *p++ = '-';
    p = put(p, c.day, 2);
    *p++ = 'T';
    p = put(p, (uint64_t)(of_day / 3600), 2);
    *p++ = ':';
    p = put(p, (uint64_t)(of_day / 60 % 60), 2);
    *p++ = ':';
    p = put(p, (uint64_t)(of_day % 60), 2);
    if (digits > 0) {
        *p++ = '.';
        for (unsigned i = digits; i < 9; i++)
            rest /= 10;
        p = put(p, (uint64_t)rest, digits);
    }
    *p++ = 'Z';
    return slice_of(out, (size_t)(p - out));
}

// ---- Reading ---------------------------------------------------------------------------------

// `digits` of them, then `end` (0: nothing).
static bool take(struct slice *s, unsigned digits, char end, unsigned max, unsigned *ret)
{
    unsigned value = 0;
    if (s->len < digits + (end != 0))
        return false;
    for (unsigned i = 0; i < digits; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(s->ptr[i] - '0');
    }
    if ((end && s->ptr[digits] != end) || value > max)
        return false;
    *ret = value;
    *s = slice_skip(*s, digits + (end != 0));
    return true;
}

static unsigned month_days(unsigned year, unsigned month)
{
    return (unsigned)(civil_days(year + month / 12, month % 12 + 1, 1) -
                      civil_days(year, month, 1));
}

// What stands behind the point; digits beyond the ninth are nothing.
static bool take_fraction(struct slice *s, int64_t *ret_ns)
{
    int64_t unit = NS_PER_S;
    *ret_ns = 0;
    if (s->len == 0 || s->ptr[0] != '.')
        return true;
    *s = slice_skip(*s, 1);
    size_t before = s->len;
    for (; s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9'; *s = slice_skip(*s, 1)) {
        unit /= 10;
        *ret_ns += unit * (s->ptr[0] - '0');
    }
    return s->len < before;
}

// All that is left: "Z" or an offset.
static bool take_offset(struct slice s, int64_t *ret_s)
{
    unsigned hours, minutes;
    *ret_s = 0;
    if (s.len == 1 && (s.ptr[0] == 'Z' || s.ptr[0] == 'z'))
        return true;
    if (s.len == 0 || (s.ptr[0] != '+' && s.ptr[0] != '-'))
        return false;
    int64_t sign = s.ptr[0] == '-' ? -1 : 1;
    s = slice_skip(s, 1);
    if (!take(&s, 2, ':', 23, &hours) || !take(&s, 2, 0, 59, &minutes) || s.len > 0)
        return false;
    *ret_s = sign * (int64_t)(hours * 60 + minutes) * 60;
    return true;
}

int civil_parse(struct slice text, struct wall *ret)
{
    unsigned year, month, day, hour, minute, second;
    int64_t fraction, offset;
    struct slice s = text;
    if (!take(&s, 4, '-', 9999, &year) || !take(&s, 2, '-', 12, &month) || s.len < 3 ||
        (s.ptr[2] != 'T' && s.ptr[2] != 't') || !take(&s, 2, s.ptr[2], 31, &day) ||
        !take(&s, 2, ':', 23, &hour) || !take(&s, 2, ':', 59, &minute) ||
        !take(&s, 2, 0, 60, &second) || !take_fraction(&s, &fraction) || !take_offset(s, &offset))
        return ERR_BAD_TYPE;
    if (month == 0 || day == 0 || day > month_days(year, month))
        return ERR_BAD_TYPE;
    int64_t seconds =
        civil_days(year, month, day) * CIVIL_DAY_S + hour * 3600 + minute * 60 + second - offset;
    if (seconds < 0 || seconds >= INT64_MAX / NS_PER_S)
        return ERR_BAD_TYPE;
    ret->ns = seconds * NS_PER_S + fraction;
    return 0;
}

// ---- HTTP ------------------------------------------------------------------------------------

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

// 0: Sunday; the first of 1970 was a Thursday.
static unsigned day_of_week(int64_t days)
{
    return (unsigned)((days % 7 + 7 + 4) % 7);
}

struct slice civil_http(struct wall at, char out[CIVIL_HTTP_BYTES])
{
    static const char form[CIVIL_HTTP_BYTES + 1] = "Www, dd Mmm yyyy hh:mm:ss GMT";
    int64_t seconds = at.ns / NS_PER_S;
    int64_t days = seconds / CIVIL_DAY_S, of_day = seconds % CIVIL_DAY_S;
    ASSERT(at.ns >= 0);
    struct civil c = civil_of_days(days);
    memcpy(out, form, CIVIL_HTTP_BYTES);
    memcpy(out, day_names + (size_t)3 * day_of_week(days), 3);
    put(out + 5, c.day, 2);
    memcpy(out + 8, month_names + (size_t)3 * (c.month - 1), 3);
    put(out + 12, (uint64_t)c.year, 4);
    put(out + 17, (uint64_t)(of_day / 3600), 2);
    put(out + 20, (uint64_t)(of_day / 60 % 60), 2);
    put(out + 23, (uint64_t)(of_day % 60), 2);
    return slice_of(out, CIVIL_HTTP_BYTES);
}

// A name of three letters and what follows it. -1, or its place among them.
static int take_name(struct slice *s, const char *names, struct slice behind)
{
    struct slice name = slice_take(*s, 3);
    struct slice rest = slice_skip(*s, 3);
    if (!slice_starts(rest, behind))
        return -1;
    for (int i = 0; names[3 * i] != '\0'; i++) {
        if (slice_eq(name, slice_of(names + 3 * i, 3))) {
            *s = slice_skip(rest, behind.len);
            return i;
        }
    }
    return -1;
}

int civil_parse_http(struct slice text, struct wall *ret)
{
    unsigned year, day, hour, minute, second;
    struct slice s = text;
    int month, of_week = take_name(&s, day_names, SLICE(", "));
    if (of_week < 0 || !take(&s, 2, ' ', 31, &day))
        return ERR_BAD_TYPE;
    month = take_name(&s, month_names, SLICE(" "));
    if (month < 0 || !take(&s, 4, ' ', 9999, &year) || !take(&s, 2, ':', 23, &hour) ||
        !take(&s, 2, ':', 59, &minute) || !take(&s, 2, ' ', 60, &second) ||
        !slice_eq(s, SLICE("GMT")))
        return ERR_BAD_TYPE;
    if (year < 1970 || day == 0 || day > month_days(year, (unsigned)month + 1))
        return ERR_BAD_TYPE;
    int64_t seconds = civil_days(year, (unsigned)month + 1, day) * CIVIL_DAY_S + hour * 3600 +
                      minute * 60 + second;
    ret->ns = seconds < INT64_MAX / NS_PER_S ? seconds * NS_PER_S : INT64_MAX;
    return 0;
}
