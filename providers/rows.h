// SPDX-License-Identifier: Apache-2.0
//
// rows.h: where the vendors' rows lie, for provider.c and its test.
#ifndef RINGGATE_PROVIDERS_ROWS_H
#define RINGGATE_PROVIDERS_ROWS_H

#include "providers/provider.h"

extern const struct provider_row provider__rows[];
extern const unsigned provider__row_count;

#endif
