// SPDX-License-Identifier: Apache-2.0
//
// logs.h: what was asked, by whom, and what came of it.
//
// GET /api/logs searches, GET /api/logs/{id} tells one row with its content. There is no
// administrator's login yet: both are served only where nobody but this machine connects, or when
// `server.allow_open_management` says that the way here is guarded; else 403.
#ifndef RINGGATE_ADMIN_LOGS_H
#define RINGGATE_ADMIN_LOGS_H

struct exchange;
struct fiber;

void logs_search_await(struct exchange *x, struct fiber *self);
void logs_entry_await(struct exchange *x, struct fiber *self);

#endif
