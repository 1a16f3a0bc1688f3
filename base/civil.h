// SPDX-License-Identifier: Apache-2.0
//
// civil.h: days of the calendar and times as RFC 3339 writes them, in UTC.
//
// By arithmetic alone: libc's own take the lock of the time zone, which the data path must not, and
// know leap seconds and zones that nobody here asks about. The calendar is the Gregorian one, also
// for the days before there was one.
//
// Pure; any thread.
#ifndef RINGGATE_BASE_CIVIL_H
#define RINGGATE_BASE_CIVIL_H

#include "base/clock.h"
#include "base/slice.h"

#define CIVIL_DAY_S INT64_C(86400)
// "2023-11-14T22:13:20.123456Z", with room.
#define CIVIL_TEXT_BYTES 40

struct civil {
    int64_t year;
    unsigned month, day; // from 1
};

// Days since 1970-01-01 and back.
int64_t civil_days(int64_t year, unsigned month, unsigned day);
struct civil civil_of_days(int64_t days);

// With `digits` of 0 to 9 behind the point (cut, not rounded). The text lies in `out`.
struct slice civil_text(struct wall at, unsigned digits, char out[CIVIL_TEXT_BYTES]);
// A whole date and time, with a fraction or not, in UTC ("Z") or at an offset ("+01:00"). What lies
// before 1970 or beyond the clock is refused. 0 or ERR_BAD_TYPE.
int civil_parse(struct slice text, struct wall *ret);

// A date of HTTP (RFC 9110 5.6.7), "Sun, 06 Nov 1994 08:49:37 GMT": CIVIL_HTTP_BYTES of them in
// `out`, for times of 1970 to 9999.
#define CIVIL_HTTP_BYTES 29
struct slice civil_http(struct wall at, char out[CIVIL_HTTP_BYTES]);
// The same read; the obsolete forms are not. What lies before 1970 is refused, what lies beyond the
// clock is its end. 0 or ERR_BAD_TYPE.
int civil_parse_http(struct slice text, struct wall *ret);

#endif
