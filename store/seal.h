// SPDX-License-Identifier: Apache-2.0
//
// seal.h: what is kept unreadable for whoever has the disk and not the key.
//
// The key is derived from a passphrase (`encryption_key`) by Argon2id (RFC 9106) with a salt of the
// database's own. Values are sealed by AES-256-GCM with a nonce drawn for each, and bound to the
// place they lie in, so that a sealed value put elsewhere does not open.
//
// What the database keeps (KEYS_STATE 00 02); numbers are big-endian:
//
//   offset 0   1   01
//          1  16   salt
//         17   4   Argon2id's passes
//         21   4   its memory, KiB
//         25  28   a sealed empty value: only the right key opens it
//
// A sealed value:
//
//   offset 0  12   nonce
//         12   …   ciphertext, as long as the text
//          …  16   tag
//
// Pure but for the nonces, which come from the kernel.
#ifndef RINGGATE_STORE_SEAL_H
#define RINGGATE_STORE_SEAL_H

#include "base/buf.h"
#include "base/slice.h"

#define SEAL_KEY_BYTES   32
#define SEAL_EXTRA_BYTES 28
#define SEAL_STATE_BYTES 53
// A passphrase: as long as store.h lets it be.
#define SEAL_PASSPHRASE_BYTES_MAX 4096

struct seal {
    unsigned char key[SEAL_KEY_BYTES];
};

// A new database: draws a salt, derives the key (tens of milliseconds and 19 MiB) and says what is
// to be kept. 0, ERR_NOMEM, ERR_SYSTEM (no randomness), ERR_LIMIT (passphrase empty or too long).
int seal_make(struct slice passphrase, struct seal *ret, unsigned char state[SEAL_STATE_BYTES]);
// An existing one. ERR_CREDENTIAL: this is not its passphrase. ERR_UNSUPPORTED: the state is of a
// later program, or damaged. *ret is untouched then.
int seal_open_state(struct slice passphrase, struct slice state, struct seal *ret);
void seal_wipe(struct seal *seal);

// Adds the sealed value to `out`. 0, ERR_NOMEM, ERR_LIMIT (the ceiling of `out`), ERR_SYSTEM.
int seal_value(const struct seal *seal, struct slice place, struct slice text, struct buf *out);
// Adds the text to `out`. ERR_CREDENTIAL: it was not sealed with this key for this place, or has
// been changed since.
int seal_open(const struct seal *seal, struct slice place, struct slice value, struct buf *out);

#endif
