// SPDX-License-Identifier: Apache-2.0
//
// tls_ticket.h: the keys that a listener's session tickets are sealed with.
//
// A ticket is a session in the client's hands, sealed by us. Every core holds the same keys, so a
// client may resume on any of them; each core has a copy of its own, set on its own thread, so that
// a handshake takes no lock and reads nothing that another core writes. Whoever owns the cores
// makes a new key every TLS_TICKET_ROTATE_MS and hands it to each: the key before it still opens
// tickets, older ones do not, so whoever steals a key can read at most two periods' sessions that
// did not mix in a fresh key exchange (TLS 1.2; TLS 1.3 always does).
//
//     ticket:  key name 16 ‖ nonce 12 ‖ AES-128-GCM(session) ‖ tag 16
#ifndef RINGGATE_NET_TLS_TICKET_H
#define RINGGATE_NET_TLS_TICKET_H

#include <stdint.h>

// How long a key seals, and how long a ticket may be used.
#define TLS_TICKET_ROTATE_S (60 * 60)

#define TLS_TICKET_NAME_BYTES 16
#define TLS_TICKET_KEY_BYTES  16

struct tls_ticket_key {
    uint8_t name[TLS_TICKET_NAME_BYTES]; // tells keys apart; no secret
    uint8_t secret[TLS_TICKET_KEY_BYTES];
};

struct tls_tickets;

int tls_ticket_key_make(struct tls_ticket_key *ret); // random; 0 or ERR_SYSTEM. Any thread

// One core's copy. NULL without memory.
struct tls_tickets *tls_tickets_new(const struct tls_ticket_key *key);
void tls_tickets_free(struct tls_tickets *t); // NULL is fine
// `key` seals from now on; the one before it opens still. The same key again changes nothing.
void tls_tickets_rotate(struct tls_tickets *t, const struct tls_ticket_key *key);

#endif
