// SPDX-License-Identifier: Apache-2.0
//
// seal.c: Argon2id and AES-256-GCM as seal.h lays them out.
//
// Two passes over 19 MiB are what OWASP asks at least of a password's hash; more would be felt at
// each start. The numbers are kept with the salt, so a later program may ask for more.
#include "store/seal.h"

#include "base/err.h"
#include "base/prng.h"
#include "store/keys.h"
#include <argon2.h>
#include <openssl/aead.h>
#include <openssl/mem.h>

#define VERSION    1
#define SALT_AT    1
#define SALT_BYTES 16
#define PASSES_AT  17
#define MEMORY_AT  21
#define CHECK_AT   25
#define PASSES     2
#define MEMORY_KIB (19 * 1024)
// A damaged state must not ask for all memory.
#define PASSES_MAX     64
#define MEMORY_KIB_MAX (1024 * 1024)
#define NONCE_BYTES    12
#define TAG_BYTES      16

static const struct slice check_place = SLICE("ringgate seal check");

static int derive(struct slice passphrase, const unsigned char *state, struct seal *ret)
{
    uint32_t passes = keys_u32(state + PASSES_AT), memory = keys_u32(state + MEMORY_AT);
    if (passphrase.len == 0 || passphrase.len > SEAL_PASSPHRASE_BYTES_MAX)
        return ERR_LIMIT;
    if (passes == 0 || passes > PASSES_MAX || memory < 8 || memory > MEMORY_KIB_MAX)
        return ERR_UNSUPPORTED;
    int rc = argon2id_hash_raw(passes, memory, 1, passphrase.ptr, passphrase.len, state + SALT_AT,
                               SALT_BYTES, ret->key, sizeof(ret->key));
    if (rc == ARGON2_MEMORY_ALLOCATION_ERROR)
        return ERR_NOMEM;
    return rc == ARGON2_OK ? 0 : ERR_SYSTEM;
}

void seal_wipe(struct seal *seal)
{
    OPENSSL_cleanse(seal, sizeof(*seal));
}

// ---- Values ----------------------------------------------------------------------------------

static int context_init(const struct seal *seal, EVP_AEAD_CTX *context)
{
    EVP_AEAD_CTX_zero(context);
    return EVP_AEAD_CTX_init(context, EVP_aead_aes_256_gcm(), seal->key, sizeof(seal->key),
                             TAG_BYTES, NULL)
               ? 0
               : ERR_NOMEM;
}

// Room for `len` more bytes at the end of `out`, which holds them already. NULL: out->err.
static unsigned char *make_room(struct buf *out, size_t len)
{
    static const char zeros[64];
    size_t at = out->len;
    for (size_t left = len; left > 0; left -= left < sizeof(zeros) ? left : sizeof(zeros))
        buf_add(out, slice_of(zeros, left < sizeof(zeros) ? left : sizeof(zeros)));
    if (!out->err)
        return (unsigned char *)out->ptr + at;
    out->len = at;
    return NULL;
}

int seal_value(const struct seal *seal, struct slice place, struct slice text, struct buf *out)
{
    EVP_AEAD_CTX context;
    size_t before = out->len, written = 0;

    unsigned char *at = make_room(out, text.len + SEAL_EXTRA_BYTES);
    if (!at)
        return out->err;
    int err = random_bytes(at, NONCE_BYTES);
    if (!err)
        err = context_init(seal, &context);
    if (!err) {
        if (!EVP_AEAD_CTX_seal(&context, at + NONCE_BYTES, &written, text.len + TAG_BYTES, at,
                               NONCE_BYTES, (const unsigned char *)text.ptr, text.len,
                               (const unsigned char *)place.ptr, place.len))
            err = ERR_NOMEM;
        EVP_AEAD_CTX_cleanup(&context);
    }
    if (err)
        out->len = before;
    return err;
}

int seal_open(const struct seal *seal, struct slice place, struct slice value, struct buf *out)
{
    EVP_AEAD_CTX context;
    size_t before = out->len, written = 0;

    if (value.len < SEAL_EXTRA_BYTES)
        return ERR_CREDENTIAL;
    size_t len = value.len - SEAL_EXTRA_BYTES;
    unsigned char *at = make_room(out, len + 1); // a text of nothing has a place too
    if (!at)
        return out->err;
    int err = context_init(seal, &context);
    if (!err) {
        if (!EVP_AEAD_CTX_open(&context, at, &written, len, (const unsigned char *)value.ptr,
                               NONCE_BYTES, (const unsigned char *)value.ptr + NONCE_BYTES,
                               value.len - NONCE_BYTES, (const unsigned char *)place.ptr,
                               place.len))
            err = ERR_CREDENTIAL;
        EVP_AEAD_CTX_cleanup(&context);
    }
    out->len = err ? before : before + len;
    return err;
}

// ---- The database's own ----------------------------------------------------------------------

int seal_make(struct slice passphrase, struct seal *ret, unsigned char state[SEAL_STATE_BYTES])
{
    struct seal seal;
    struct buf check;

    state[0] = VERSION;
    if (random_bytes(state + SALT_AT, SALT_BYTES) < 0)
        return ERR_SYSTEM;
    keys_put_u32(state + PASSES_AT, PASSES);
    keys_put_u32(state + MEMORY_AT, MEMORY_KIB);
    int err = derive(passphrase, state, &seal);
    if (err)
        return err;
    buf_init(&check, SEAL_EXTRA_BYTES);
    err = seal_value(&seal, check_place, SLICE_EMPTY, &check);
    if (!err) {
        memcpy(state + CHECK_AT, check.ptr, SEAL_EXTRA_BYTES);
        *ret = seal;
    }
    buf_done(&check);
    seal_wipe(&seal);
    return err;
}

int seal_open_state(struct slice passphrase, struct slice state, struct seal *ret)
{
    struct seal seal;
    struct buf text;

    if (state.len != SEAL_STATE_BYTES || state.ptr[0] != VERSION)
        return ERR_UNSUPPORTED;
    int err = derive(passphrase, (const unsigned char *)state.ptr, &seal);
    if (err)
        return err;
    buf_init(&text, SEAL_EXTRA_BYTES);
    err = seal_open(&seal, check_place, slice_skip(state, CHECK_AT), &text);
    if (!err)
        *ret = seal;
    buf_done(&text);
    seal_wipe(&seal);
    return err;
}
