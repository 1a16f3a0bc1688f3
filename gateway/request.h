// SPDX-License-Identifier: Apache-2.0
//
// request.h: the bytes of one attempt.
//
// A head, written once into the exchange's memory, and the client's body cut into pieces around the
// few edits (docs/relay.md); all of it one iovec array for one sendmsg. Untouched bytes of the body
// are never copied: the pieces point into the text the client sent.
//
//     iov[0]  POST /v1/chat/completions HTTP/1.1 …
//     iov[1]  {"model":
//     iov[2]  "gpt-4o"                     (prefix dropped, alias resolved)
//     iov[3]  ,"messages":[…115 kB…]}      (fallbacks cut out)
//
// What an attempt needs depends on the key (alias, origin), so each attempt builds anew; the second
// scan, which only vendors with an edit list need, is made once per provider and kept.
#ifndef RINGGATE_GATEWAY_REQUEST_H
#define RINGGATE_GATEWAY_REQUEST_H

#include "codec/json_edit.h"
#include "gateway/exchange.h"

struct request {
    struct origin *origin; // borrowed from the snapshot
    struct iovec iov[1 + JSON_PIECES_MAX];
    unsigned iov_count;
    size_t body_bytes;
};

// Finds the members that the provider's own edits concern, when it has any; walks in steps and
// yields between them. 0; ERR_DUPLICATE (x->edit_scan->error_name says which of its names);
// ERR_NOMEM; an interruption.
int request_scan_await(struct exchange *x, struct fiber *self, const struct target *target);

// The names a scan must find for the edits of a provider: those of the dialect that is edited and
// the row's own. 0: a translated text that needs no edit. `names` has room for JSON_WANTS_MAX.
unsigned request_wanted_names(const struct exchange *x, const struct config_provider *provider,
                              struct slice *names);

// For x->key and x->model_sent. Borrows from the exchange's memory and the snapshot; lives as long
// as the exchange's body. 0 or ERR_NOMEM.
int request_build(struct exchange *x, const struct target *target, struct request *ret);

// A request without a body (GET) to `path` at `origin`, for lists of models.
int request_build_get(struct exchange *x, const struct target *target, struct origin *origin,
                      struct slice path, struct request *ret);

// Where an operation of this provider lives, by this key: the origin, and the path in two parts.
struct origin *request_origin(const struct config_provider *provider, const struct config_key *key,
                              enum operation op, struct slice *ret_base, struct slice *ret_path);

// `path` with {model} and {api_version} filled in, for rows that have such; the same slice for all
// others. In the early arena; ptr NULL without memory.
struct slice request_expand(struct exchange *x, const struct target *target, struct slice path);

#endif
