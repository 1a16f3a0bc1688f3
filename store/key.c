// SPDX-License-Identifier: Apache-2.0
//
// key.c: which key the rows of `config` are sealed with, and whether the one at hand is it.
//
// Opening a database writes files (a manifest, a log of its own), so the key is looked at before,
// in the files as they lie: a start that is refused leaves every byte where it was. The same look,
// without the lock, tells a process that stands by, and `--check-config` beside a gateway that
// runs. It is a look at another's files: when they change under it, it is taken again, and what it
// could not see is told by the check of the open database, which always follows.
//
// Argon2id runs once in that: the state it has been run on is kept beside the key. All of it is on
// threads that may block, never a core's.
#include "base/err.h"
#include "store/keys.h"
#include "store/store_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STATE_BYTES_MAX 1024
// Files of another process's database may change under a look.
#define LOOKS 5

_Static_assert(SEAL_PASSPHRASE_BYTES_MAX == STORE_KEY_BYTES_MAX, "one bound by two names");

static int read_state(struct rocks *db, struct buf *ret)
{
    struct keys_key key = keys_state(KEYS_STATE_SEAL);
    return rocks_get(db, keys_slice(&key), ret);
}

// Of the files in `dir`, read only. ERR_NOT_FOUND: no key has been used.
static int read_state_of(const char *dir, struct buf *ret)
{
    char path[STORE_PATH_BYTES + 16], words[ROCKS_REASON_BYTES];
    const struct rocks_options options = {.dir = path, .must_exist = true, .look = true};
    int err = ERR_SYSTEM;

    snprintf(path, sizeof(path), "%s/config/CURRENT", dir);
    if (access(path, R_OK) < 0)
        return ERR_NOT_FOUND;
    snprintf(path, sizeof(path), "%s/config", dir);
    for (unsigned i = 0; err == ERR_SYSTEM && i < LOOKS; i++) {
        struct rocks *db = NULL;
        buf_reset(ret);
        err = rocks_open(&options, &db, words);
        if (!err)
            err = read_state(db, ret);
        rocks_close(db);
    }
    return err;
}

// `err` is what came of reading `state`. 0 with *ret_sealed false: there is no key, and none was
// given or the one given is the first.
static int judge(const char *dir, int err, struct slice state, struct slice passphrase,
                 struct seal *ret, bool *ret_sealed, char reason[STORE_REASON_BYTES])
{
    *ret_sealed = false;
    if (err == ERR_NOT_FOUND)
        return 0;
    if (!err && passphrase.len == 0) {
        store__explain(
            reason,
            "the rows in %s are encrypted: encryption_key (or BIFROST_ENCRYPTION_KEY) is "
            "needed; nothing was changed",
            dir);
        return ERR_CREDENTIAL;
    }
    if (!err)
        err = seal_open_state(passphrase, state, ret);
    *ret_sealed = !err;
    if (err == ERR_CREDENTIAL)
        store__explain(reason,
                       "encryption_key (or BIFROST_ENCRYPTION_KEY) is not the one that the rows in "
                       "%s are encrypted with; nothing was changed",
                       dir);
    else if (err)
        store__explain(reason, "the encryption key cannot be checked: %s", err_text(err));
    return err;
}

static void remember(struct store *s, struct slice state)
{
    s->sealed = true;
    memcpy(s->state, state.ptr, SEAL_STATE_BYTES);
}

int store__look_at_key(struct store *s, struct slice passphrase, char reason[STORE_REASON_BYTES])
{
    struct buf state;
    bool sealed = false;

    if (s->memory)
        return 0;
    buf_init(&state, STATE_BYTES_MAX);
    int err = read_state_of(s->dir, &state);
    if (!err || err == ERR_NOT_FOUND)
        err = judge(s->dir, err, buf_slice(&state), passphrase, &s->seal, &sealed, reason);
    else if (err != ERR_NOMEM)
        err = sealed = 0; // opening it has the words for what is wrong with it
    if (!err && sealed)
        remember(s, buf_slice(&state));
    buf_done(&state);
    return err;
}

int store__check_key(struct store *s, struct slice passphrase, bool *ret_first,
                     char reason[STORE_REASON_BYTES])
{
    struct buf state;
    bool sealed = false;

    buf_init(&state, STATE_BYTES_MAX);
    int err = read_state(s->config, &state);
    *ret_first = err == ERR_NOT_FOUND && passphrase.len > 0;
    bool looked =
        !err && s->sealed && slice_eq(buf_slice(&state), slice_of(s->state, sizeof(s->state)));
    if (!looked) {
        s->sealed = false;
        err = judge(s->dir, err, buf_slice(&state), passphrase, &s->seal, &sealed, reason);
        if (!err && sealed)
            remember(s, buf_slice(&state));
    }
    buf_done(&state);
    return err;
}

int store__make_key(struct store *s, struct slice passphrase, char reason[STORE_REASON_BYTES])
{
    unsigned char state[SEAL_STATE_BYTES];
    struct keys_key key = keys_state(KEYS_STATE_SEAL);
    struct rocks_batch *batch = rocks_batch_new();
    int err = batch ? seal_make(passphrase, &s->seal, state) : ERR_NOMEM;
    if (!err) {
        rocks_batch_put(batch, keys_slice(&key), slice_of(state, sizeof(state)));
        err = rocks_write(s->config, batch, true);
    }
    rocks_batch_free(batch);
    if (!err)
        remember(s, slice_of(state, sizeof(state)));
    else
        store__explain(reason, "the encryption key cannot be used: %s", err_text(err));
    return err;
}

int store_check_key(const char *dir, struct slice key, char ret_reason[STORE_REASON_BYTES])
{
    struct buf state;
    struct seal seal;
    bool sealed = false;

    ret_reason[0] = '\0';
    buf_init(&state, STATE_BYTES_MAX);
    int err = read_state_of(dir, &state);
    if (!err)
        err = judge(dir, err, buf_slice(&state), key, &seal, &sealed, ret_reason);
    seal_wipe(&seal);
    buf_done(&state);
    return err == ERR_CREDENTIAL ? err : 0;
}
