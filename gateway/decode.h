// SPDX-License-Identifier: Apache-2.0
//
// decode.h: an answer that came compressed although identity was asked for.
//
// Some providers, and proxies in front of them, compress whatever they are told. Events and members
// cannot be seen in such bytes, so the relay pulls them through a decoder: a body whose source is
// the provider's. What coding.h knows is decoded, the answer's content-encoding and length go; any
// other coding, and several at once, pass as they are, with their header (relay_is_coded).
//
//     upstream body ──take──► [held part] ──inflate──► [out, DECODE_OUT_BYTES] ──► relay
//
// One step of br may compute a whole window, milliseconds of it, for a few bytes in. Its steps are
// a worker's (ring/work.h): the pull that has something to decode says ERR_MORE, whoever waits has
// the work done (decoder_has_work), and the next pull gives what came of it.
//
// Memory is the exchange's (zlib's state, one output buffer) or the decoder's own (br, zstd: at
// most a window), given back by decoder_free. A small answer that inflates to gigabytes is bounded
// like any other: by the client that takes it, one buffer a pull.
#ifndef RINGGATE_GATEWAY_DECODE_H
#define RINGGATE_GATEWAY_DECODE_H

#include "base/arena.h"
#include "net/upstream.h"

// What one pull gives at most; also what bounds the time inflating takes of a turn.
#define DECODE_OUT_BYTES (32 * 1024)

struct decoder;

// Looks at the answer's head. *ret is NULL when nothing is to be decoded. Otherwise pull from
// decoder_body instead of u->body; `self` is the fiber that will. 0 or ERR_NOMEM.
int decoder_new(struct arena *arena, struct fiber *self, struct upstream *u, struct decoder **ret);
// Errors of its pulls beside the source's: ERR_UPSTREAM_PROTOCOL (not what it says it is),
// ERR_UPSTREAM_TRUNCATED (the source was complete, what it held was not).
struct body *decoder_body(struct decoder *d);
// After ERR_MORE: there is a part to decode and not to be waited for. NULL has none.
bool decoder_has_work(const struct decoder *d);
// Does it; a job for work_await. The decoder is its alone meanwhile.
void decoder_work(void *decoder);
// Before upstream_end. NULL is fine.
void decoder_free(struct decoder *d);

#endif
