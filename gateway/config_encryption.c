// SPDX-License-Identifier: Apache-2.0
//
// config_encryption.c: `encryption_key`, or BIFROST_ENCRYPTION_KEY where the file has none.
//
// The passphrase that the store seals its rows with (store/seal.h). A file that names a variable
// which is not set is an error: rows must not be written in the clear because a variable was
// forgotten. What the store was opened with cannot become another while it is open, so a reload
// that changes it is refused whole: the next start would refuse it too.
#include "gateway/config_build.h"

#include "store/store.h"
#include <stdlib.h>

#define VARIABLE "BIFROST_ENCRYPTION_KEY"
// Bifrost's advice: fewer can be tried out by whoever has the disk.
#define ADVISED_BYTES 16

static const char *variable(const struct config_builder *b)
{
    const char *value =
        b->source->environment != NULL ? b->source->environment(VARIABLE) : getenv(VARIABLE);
    return value != NULL ? value : "";
}

static void compare(struct config_builder *b, const struct config_path *path)
{
    struct slice now = *b->source->encryption_key, key = b->config->encryption_key;
    if (slice_eq(now, key))
        return;
    if (now.len == 0)
        config__warn(b, path, "the store was opened without one: that needs a restart");
    else if (key.len == 0)
        config__error(b, path, "is missing: the store is open with one, which cannot be changed");
    else
        config__error(b, path, "not the one the store is open with, which cannot be changed");
}

void config__load_encryption(struct config_builder *b, yyjson_val *root)
{
    struct config_path path = CONFIG_MEMBER(NULL, "encryption_key");
    struct slice *key = &b->config->encryption_key;
    yyjson_val *value = config__get(root, "encryption_key");
    if (value != NULL && !config__text_set(b, &path, value, key))
        return;
    if (key->len == 0)
        *key = config__copy(b, slice_str(variable(b)));
    if (key->len > STORE_KEY_BYTES_MAX)
        config__error(b, &path, "longer than %d bytes", STORE_KEY_BYTES_MAX);
    else if (key->len > 0 && key->len < ADVISED_BYTES)
        config__warn(b, &path, "shorter than %d bytes: it can be found by trying", ADVISED_BYTES);
    if (b->source->encryption_key != NULL)
        compare(b, &path);
}
