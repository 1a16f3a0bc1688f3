// SPDX-License-Identifier: Apache-2.0
//
// headers.h: which header fields go to a provider and which come back.
//
// Up goes what the gateway writes itself, what the configuration adds for the provider, and what a
// client is allowed to add: `x-bf-eh-<name>` (within header_filter_config) and names on its
// allowlist. Credentials and cookies of the client never go up, whatever the configuration says.
// Down comes what the provider sent except hop-by-hop fields, cookies, and what describes the
// provider's own front door. docs/headers.md is the table for readers.
//
//   client ──x-bf-eh-*, allowlist──► [ own | configured | client's ] ──► provider
//   client ◄── x-bf-provider, … + provider's fields, filtered ──────────── provider
//
// Pure; fields are written to the caller's array, texts lie in the heads or the arena.
#ifndef RINGGATE_GATEWAY_HEADERS_H
#define RINGGATE_GATEWAY_HEADERS_H

#include "gateway/exchange.h"

// Fields of one head that we write; what a peer sends beyond it stays behind.
#define HEADERS_MAX 96

// The fields of a request to `target` but Host and Content-Length. Returns how many of `max`.
unsigned headers_up(const struct exchange *x, const struct target *target, struct http_field *out,
                    unsigned max);

// The fields of an answer: who served, then the provider's own fields that may pass. `head` may be
// NULL: nobody's. Content-Length, Transfer-Encoding, Connection and Date are net's to write.
unsigned headers_down(const struct exchange *x, const struct http_head *head,
                      struct http_field *out, unsigned max);

// The first of config->required_headers that the request lacks, or empty.
struct slice headers_missing(const struct config *config, const struct http_head *request);
// 400 naming it.
void headers_refuse_await(struct exchange *x, struct fiber *self, struct slice missing);

#endif
