// SPDX-License-Identifier: Apache-2.0
//
// mount.c: the traits, a row each. Asked for by whoever writes an answer or resolves a model.

#include "gateway/mount.h"
#include "base/container.h"

const struct mount_traits mount_traits[MOUNT_COUNT] = {
    [MOUNT_NONE] = {.envelope = ENVELOPE_BIFROST},
    [MOUNT_UNIFIED] = {.extra_fields = true},
    [MOUNT_OPENAI] = {.bare_provider = SLICE("openai")},
    [MOUNT_AZURE] = {.bare_provider = SLICE("azure")},
    [MOUNT_ANTHROPIC] = {.bare_provider = SLICE("anthropic"), .envelope = ENVELOPE_ANTHROPIC},
};

enum mount mount_of_path(struct slice path)
{
    static const struct slice anthropic[] = {
        SLICE("/anthropic"),
        SLICE("/litellm/anthropic"),
        SLICE("/langchain/anthropic"),
        SLICE("/pydanticai/anthropic"),
    };
    for (size_t i = 0; i < ARRAY_LEN(anthropic); i++)
        if (slice_starts(path, anthropic[i]) &&
            (path.len == anthropic[i].len || path.ptr[anthropic[i].len] == '/'))
            return MOUNT_ANTHROPIC;
    return MOUNT_NONE;
}
