// SPDX-License-Identifier: Apache-2.0
//
// unpack.h: a request body that came compressed becomes the body it stands for.
//
//   content-encoding: gzip, br      in the order they were applied; taken off from the last
//
//     body as read ──br──► block ──gzip──► block: x->body      blocks of the early arena, each
//          given back ▲         ▲ given back                   given back when the next is whole
//
// Afterwards nothing tells the request from one that came plain: the field never goes up, lengths
// are counted anew. The limit of a body holds for each block, so a small body that inflates without
// end is stopped when it has inflated to that many bytes, and what all bodies hold together is
// counted as for plain ones.
#ifndef RINGGATE_GATEWAY_UNPACK_H
#define RINGGATE_GATEWAY_UNPACK_H

#include "gateway/coding.h"
#include "gateway/exchange.h"

// Codings one upon another: each costs the inflating of a whole body. Nobody needs a second.
#define CODINGS_MAX 3

struct codings {
    const struct coding_row *row[CODINGS_MAX]; // as applied
    unsigned count;
};

// What the head says, before the body is read. 0; or ERR_UNSUPPORTED with *failure filled: 415.
int unpack_codings(struct exchange *x, struct codings *ret_codings, struct failure *failure);

// Takes the codings off x->body. An empty body stays one. 0; or ERR_BAD_PACKED,
// ERR_BODY_TOO_LARGE, ERR_OVERLOAD, ERR_NOMEM with *failure filled; or an interruption.
int unpack_await(struct exchange *x, struct fiber *self, const struct codings *codings,
                 struct failure *failure);

#endif
