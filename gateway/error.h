// SPDX-License-Identifier: Apache-2.0
//
// error.h: what a client is told when a request fails.
//
// Bifrost's envelope nearly everywhere: on /v1, /api and unknown paths, and on /openai too, whose
// clients read error.message, .type, .code and .param and ignore the rest. Below /anthropic it is
// Anthropic's. A provider's own JSON error body passes untouched on a drop-in route when it speaks
// the client's dialect. Status rules (bifrost §3.2): the provider's status is kept; without one
// 400 for a caller's mistake and 500 for ours on /v1, 500 on drop-ins; `err_http_status` for the
// gateway's own errors. Members without a value are left out; `code` is always a string.
//
// The key in use never appears: a provider that echoes it has it cut out of the message, and its
// body is not passed on.
//
// {"is_bifrost_error":true,"status_code":503,"error":{"type":"…","code":"…","message":"…",
//  "param":"…"},"extra_fields":{"provider":"openai","model_requested":"…","request_type":"…"}}
//
// {"type":"error","error":{"type":"…","message":"…"},"request_id":"…"}
#ifndef RINGGATE_GATEWAY_ERROR_H
#define RINGGATE_GATEWAY_ERROR_H

#include "gateway/exchange.h"

// Fills *ret for an error of ours: status, type and message from the error list; `message` empty
// takes the list's sentence. `param` names the member at fault, or is empty.
void failure_of(struct failure *ret, int err, struct slice message, struct slice param);
// From a provider's error answer: status, and whatever {error:{message,type,code,param}} (or a bare
// message) its body holds; generic sentences where it holds none.
void failure_of_answer(struct failure *ret, struct arena *arena, unsigned status, struct slice body,
                       const struct http_head *head);

// For an error that a provider told inside a stream or an answer of another shape: a status when
// there is none yet, by its type or its words, and a sentence when it said nothing.
void error_complete(struct failure *f);

// The body of the error in the route's envelope; in the arena. Never empty: without memory a static
// minimal body.
struct slice error_body(struct exchange *x, const struct failure *f);
// The same as one SSE event for a stream that has begun (`event: error` first for responses and
// messages).
struct slice error_event(struct exchange *x, const struct failure *f);
// A refusal of our own that is no error of the code: its type and status are the API's. `text` may
// be empty (no memory): then the type says it. Always ERR_LIMIT.
int failure_refuse(struct failure *ret, unsigned status, struct slice type, struct slice text,
                   struct slice param);
// Answers and settles. The stream has not been answered yet. The second adds fields of the caller's
// (at most ERROR_FIELDS_EXTRA) to the head.
#define ERROR_FIELDS_EXTRA 2
void error_answer_await(struct exchange *x, struct fiber *self, const struct failure *f);
void error_answer_with_await(struct exchange *x, struct fiber *self, const struct failure *f,
                             const struct http_field *fields, unsigned count);
// failure_of and error_answer_await.
void error_reply_await(struct exchange *x, struct fiber *self, int err, struct slice message,
                       struct slice param);
// A JSON answer of ours (200 and the like), settled and complete; or one of another type.
void json_answer_await(struct exchange *x, struct fiber *self, unsigned status, struct slice body);
void typed_answer_await(struct exchange *x, struct fiber *self, unsigned status,
                        struct slice content_type, struct slice body);
// A 200 whose length is not known, part by part; settled with the last. 0, ERR_CLIENT_GONE, an
// interruption: then no other part follows.
int part_answer_await(struct exchange *x, struct fiber *self, struct slice content_type,
                      struct slice part, bool last);

#endif
