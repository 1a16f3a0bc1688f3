// SPDX-License-Identifier: Apache-2.0
//
// beta.c: one list of names and a walk over a comma list. headers.c calls it.

#include "gateway/beta.h"
#include "base/container.h"
#include "codec/json_scan.h"

// What hosts of Claude are known to know, by prefix: the dates behind them change.
static const struct slice known[] = {
    SLICE("computer-use-"),
    SLICE("structured-outputs-"),
    SLICE("advanced-tool-use-"),
    SLICE("mcp-client-"),
    SLICE("prompt-caching-"),
    SLICE("compact-"),
    SLICE("context-management-"),
    SLICE("files-api-"),
    SLICE("interleaved-thinking-"),
    SLICE("fast-mode-"),
    SLICE("skills-"),
    SLICE("context-1m-"),
    SLICE("redact-thinking-"),
};

static bool may_pass(const struct config_provider *p, struct slice name)
{
    for (unsigned i = 0; i < p->beta_count; i++)
        if (p->betas[i].prefix.len > 0 && slice_starts(name, p->betas[i].prefix))
            return p->betas[i].supported;
    if (!p->row->by_family)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_starts(name, known[i]))
            return true;
    return false;
}

struct slice beta_filter(struct arena *arena, const struct config_provider *provider,
                         struct slice value)
{
    char *out = arena_bytes(arena, value.len + 1);
    size_t len = 0;
    bool all = true;
    struct slice rest = value;

    while (out && rest.len > 0) {
        ptrdiff_t comma = slice_find_char(rest, ',');
        struct slice name = slice_trim(comma < 0 ? rest : slice_take(rest, (size_t)comma));
        rest = comma < 0 ? SLICE_EMPTY : slice_skip(rest, (size_t)comma + 1);
        if (name.len == 0 || !may_pass(provider, name)) {
            all = false;
            continue;
        }
        if (len > 0)
            out[len++] = ',';
        memcpy(out + len, name.ptr, name.len);
        len += name.len;
    }
    if (!out)
        return SLICE_EMPTY;
    return all ? value : slice_of(out, len);
}

struct slice beta_needed(struct arena *arena, struct slice text)
{
    // A top-level member, and the feature it is a part of.
    static const struct slice members[] = {SLICE("mcp_servers"), SLICE("context_management")};
    static const struct slice features[] = {SLICE("mcp-client-2025-11-20"),
                                            SLICE("context-management-2025-06-27")};
    static const struct slice file = SLICE("\"type\":\"file\",\"file_id\":");
    struct json_scanner scan;
    struct slice list = SLICE_EMPTY;

    if (json_scan_written(&scan, text, members, ARRAY_LEN(members)) != 0)
        return SLICE_EMPTY;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (scan.member[i].type != JSON_NONE)
            list = list.len == 0
                       ? features[i]
                       : arena_printf(arena, "%.*s,%.*s", SLICE_ARG(list), SLICE_ARG(features[i]));
    if (slice_find(text, file) < 0)
        return list;
    return list.len == 0 ? SLICE("files-api-2025-04-14")
                         : arena_printf(arena, "%.*s,files-api-2025-04-14", SLICE_ARG(list));
}
