// SPDX-License-Identifier: Apache-2.0
//
// admin.h: the management face: /health, /metrics, /api/version.
//
// Route rows like the gateway's own; they use only the gateway's verbs.
#ifndef RINGGATE_ADMIN_ADMIN_H
#define RINGGATE_ADMIN_ADMIN_H

#include "gateway/route.h"

extern const struct route admin_routes[];
extern const unsigned admin_route_count;

#endif
