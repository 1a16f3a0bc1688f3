// SPDX-License-Identifier: Apache-2.0
//
// guard.h: who may use what manages the gateway.
//
// There is no login for management. Until there is, what shows or changes more than a caller's own
// is served on a loopback listener only, or where server.allow_open_management says that something
// else keeps strangers away.
#ifndef RINGGATE_ADMIN_GUARD_H
#define RINGGATE_ADMIN_GUARD_H

#include <stdbool.h>

struct exchange;
struct fiber;

bool admin_open(const struct exchange *x);
// 403, and what would open it.
void guard_refuse_await(struct exchange *x, struct fiber *self);

#endif
