// SPDX-License-Identifier: Apache-2.0
//
// quota.h: what a virtual key has left, told to whoever holds it.
//
// GET /api/governance/virtual-keys/quota: the key itself is the credential, no administrator's.
#ifndef RINGGATE_ADMIN_QUOTA_H
#define RINGGATE_ADMIN_QUOTA_H

struct exchange;
struct fiber;

void quota_await(struct exchange *x, struct fiber *self);

#endif
