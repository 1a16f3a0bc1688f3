// SPDX-License-Identifier: Apache-2.0
//
// config_known.h: every member Bifrost's config.json may have, and what becomes of it here.
//
// A row a member: its type and range and its standing. Only what is served is described further
// down; a section that is not served is one row, and what lies in it is not looked at but for
// duplicate members. Serving a new member is changing its row and reading it.
#ifndef RINGGATE_GATEWAY_CONFIG_KNOWN_H
#define RINGGATE_GATEWAY_CONFIG_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

enum known_type {
    KNOWN_ANY, // not looked at
    KNOWN_BOOL,
    KNOWN_INTEGER,      // min..max
    KNOWN_INTEGER_OR_0, // min..max, or 0 for the default
    KNOWN_NUMBER,       // >= min
    KNOWN_DURATION,     // milliseconds, min..max or 0, or "1m30s"
    KNOWN_STRING,       // also "env.NAME"
    KNOWN_SECRET,       // string, or {value, env_var, …}
    KNOWN_STRINGS,      // array
    KNOWN_OBJECT,       // `object`
    KNOWN_OBJECTS,      // array of `object`
    KNOWN_SECRET_MAP,   // free names, each a KNOWN_SECRET
    KNOWN_BOOL_MAP,     // free names, each a KNOWN_BOOL
    KNOWN_ALIASES,      // free names, each a string or `object`
    KNOWN_PROVIDERS,    // free names, each `object` when the provider is served
    KNOWN_PLUGINS,      // one of them restricts access
    KNOWN_TYPE_COUNT
};

enum known_standing {
    STANDING_SERVED,
    STANDING_QUIET,      // accepted; means nothing here
    STANDING_NOT_SERVED, // a warning when it asks for something
    STANDING_RESTRICTS,  // guards access and is not enforced: refused unless allowed
};

struct known_object;

struct known_member {
    const char *name;
    enum known_type type;
    enum known_standing standing;
    bool required;
    int64_t min, max; // max 0: none
    const struct known_object *object;
    const char *const *choices; // of a string, NULL-terminated
};

struct known_object {
    const struct known_member *members; // ends with a NULL name
    bool open;                          // an unknown member is a warning
};

extern const struct known_object config__known_root;
extern const struct known_object config__known_secret;

// Both sides of "may not set a header by this name": framing and connection are the gateway's.
extern const char *const config__framing_headers[];

#endif
