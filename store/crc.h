// SPDX-License-Identifier: Apache-2.0
//
// crc.h: CRC-32C (Castagnoli, RFC 3720 B.4), the check of a frame in a ring and of a digest.
//
// By the processor's own instruction where it has one, three lanes of 8 bytes a step; else by a
// table of nibbles.
// It finds damage, not an attacker.
#ifndef RINGGATE_STORE_CRC_H
#define RINGGATE_STORE_CRC_H

#include <stddef.h>
#include <stdint.h>

// Of the bytes so far (0: none yet) and these. Pure.
uint32_t crc_add(uint32_t crc, const void *data, size_t len);
// The same without the processor's instruction; for tests.
uint32_t crc_add_portable(uint32_t crc, const void *data, size_t len);

#endif
