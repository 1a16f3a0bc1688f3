// SPDX-License-Identifier: Apache-2.0
//
// mount.h: how the gateway speaks below a path.
//
// The same operations stand on several mounts, one for each API that an SDK may believe it talks
// to. What differs between them is here, as traits, so that nobody asks which mount it is:
//
//   mount       | paths                              | model without provider | errors
//   ------------+------------------------------------+------------------------+------------
//   unified     | /v1                                | who lists it           | Bifrost's
//   openai      | /openai, /litellm/v1, …            | openai                 | Bifrost's
//   azure       | /openai/openai/deployments/{id}    | azure                  | Bifrost's
//   anthropic   | /anthropic, /litellm/anthropic, …  | anthropic              | Anthropic's
//
// Pure; any thread.
#ifndef RINGGATE_GATEWAY_MOUNT_H
#define RINGGATE_GATEWAY_MOUNT_H

#include "base/slice.h"

enum mount {
    MOUNT_NONE, // not an inference route
    MOUNT_UNIFIED,
    MOUNT_OPENAI,
    MOUNT_AZURE,
    MOUNT_ANTHROPIC,
    MOUNT_COUNT
};

// How errors are dressed (error.c).
enum envelope {
    ENVELOPE_BIFROST,
    ENVELOPE_ANTHROPIC,
};

struct mount_traits {
    struct slice bare_provider; // whose a model without provider is; empty: who lists it
    enum envelope envelope;
    // The unified API: answers gain extra_fields, usage is always forwarded, an error event is
    // followed by [DONE]. Without it a mount is a drop-in: bytes pass, also those of errors.
    bool extra_fields;
};

extern const struct mount_traits mount_traits[MOUNT_COUNT];

// The mount below which an unknown path lies, as far as its errors are concerned.
enum mount mount_of_path(struct slice path);

#endif
