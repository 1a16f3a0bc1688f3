// SPDX-License-Identifier: Apache-2.0
//
// head_check.h: any bytes as the head of an HTTP/1 message, for the two fuzz targets of heads.
//
// The first byte says where the input is cut; whatever the cut, the head ends at the same place or
// with the same error. What the parser accepts obeys its own promises.
#ifndef RINGGATE_TESTS_HEAD_CHECK_H
#define RINGGATE_TESTS_HEAD_CHECK_H

#include "net/http.h"

typedef int (*head_parse_fn)(struct slice head, struct arena *arena, struct http_head *ret);

void head_check(head_parse_fn parse, const uint8_t *data, size_t size);

#endif
