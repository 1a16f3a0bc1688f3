// SPDX-License-Identifier: Apache-2.0
//
// credential.h: what stands in for a key's value: tokens that must be fetched, and the caller's
// own.
//
// Most keys are their value. Two kinds are not. A key of azure may be a service principal of Entra
// ID, whose secret buys a token for about an hour; and a caller of Anthropic's may bring the OAuth
// token of his own subscription, which goes up as it came, whatever keys there are.
//
// Tokens are kept per core, found by the principal, across reloads of the configuration. One fiber
// fetches, those that come meanwhile wait for its result:
//
//   ┌───────┐ first asks ┌──────────┐ 200, a token ┌───────┐ a minute before its end, or
//   │ EMPTY │ ─────────► │ FETCHING │ ───────────► │ VALID │ credential_forget
//   └───────┘            └──────────┘              └───────┘ ──────────► FETCHING again
//       ▲                     │ refused, unreachable
//       └─────────────────────┘ who waited gets the same error; a token not yet over is used on
//
// The fetcher whose client leaves hands the task to one of those who wait. Secrets and tokens are
// never logged; an error names the authority's code and nothing else of what it said.
//
// Own core only.
#ifndef RINGGATE_GATEWAY_CREDENTIAL_H
#define RINGGATE_GATEWAY_CREDENTIAL_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"

// Principals of one core. Stops reloads with ever new ones from filling memory: the one unused for
// the longest time makes room. ERR_LIMIT when all of them are being fetched at once.
#define CREDENTIALS_MAX 64
// Bounds what tells principals apart, and a token.
#define CREDENTIAL_IDENTITY_BYTES_MAX 4096
#define CREDENTIAL_BYTES_MAX          (16 * 1024)

struct credential {
    struct buf identity; // empty: a free place
    struct buf token;    // "Bearer …"; empty: none
    struct mono over;
    uint64_t used; // when, in the table's own count
    bool fetching;
    unsigned waiting;
    struct list waiters;
};

struct credentials {
    struct credential each[CREDENTIALS_MAX];
    uint64_t uses;
};

struct config_entra;
struct exchange;
struct failure;
struct fiber;
struct gateway_core;
struct config_provider;
struct config_key;

void credentials_init(struct credentials *c);
void credentials_done(struct credentials *c); // nobody waits

// Sets x->credential for an attempt on `key` (may be NULL) of `provider`: empty when the key's own
// value does. 0; or an interruption, or an error with *ret filled. The result lies in the stream's
// arena or in the request's head.
int credential_take_await(struct exchange *x, struct fiber *self,
                          const struct config_provider *provider, const struct config_key *key,
                          struct failure *ret);
// The provider refused the token: fetch a new one next time.
void credential_forget(struct gateway_core *core, const struct config_key *key);

// Does the caller bring his own OAuth token, and does this provider take it? Then no key is chosen.
bool credential_is_callers(const struct exchange *x, const struct config_provider *provider);

#endif
