// SPDX-License-Identifier: Apache-2.0
//
// config_azure.c: what a key of azure says beyond its endpoint. config_keys.c calls it.
//
// A key authenticates by its value, or as a service principal of Entra ID when the three members
// of one are there; the principal wins. What goes to the token endpoint is the same at every
// renewal, so the form is written here, once. The authority is Microsoft's public one unless
// AZURE_AUTHORITY_HOST names another, as in Microsoft's own SDKs (sovereign clouds).
//
// Source: learn.microsoft.com, "Microsoft identity platform and the OAuth 2.0 client credentials
// flow"; Azure OpenAI REST API reference for the versions.
#include "gateway/config_build.h"

#include "base/container.h"
#include <stdlib.h>

#define API_VERSION    SLICE("2024-10-21")
#define DEFAULT_SCOPE  SLICE("https://cognitiveservices.azure.com/.default")
#define AUTHORITY      "https://login.microsoftonline.com"
#define FORM_BYTES_MAX (16 * 1024)

static bool is_version(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
    }
    return s.len > 0;
}

// application/x-www-form-urlencoded.
static void add_encoded(struct buf *form, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            buf_add_char(form, (char)c);
        } else {
            buf_add_char(form, '%');
            buf_add_char(form, hex[c >> 4]);
            buf_add_char(form, hex[c & 15]);
        }
    }
}

struct principal {
    struct slice client_id, client_secret, tenant_id;
    struct slice *scopes;
    unsigned scope_count;
};

static struct slice scope_list(struct config_builder *b, const struct principal *p)
{
    struct slice list = p->scope_count > 0 ? p->scopes[0] : DEFAULT_SCOPE;
    for (unsigned i = 1; i < p->scope_count && list.ptr; i++)
        list =
            arena_printf(&b->config->memory, "%.*s %.*s", SLICE_ARG(list), SLICE_ARG(p->scopes[i]));
    b->no_memory |= list.ptr == NULL;
    return list;
}

static struct slice make_form(struct config_builder *b, const struct principal *p,
                              struct slice scope)
{
    struct buf form;
    buf_init(&form, FORM_BYTES_MAX);
    buf_add(&form, SLICE("grant_type=client_credentials&client_id="));
    add_encoded(&form, p->client_id);
    buf_add(&form, SLICE("&client_secret="));
    add_encoded(&form, p->client_secret);
    buf_add(&form, SLICE("&scope="));
    add_encoded(&form, scope);
    b->no_memory |= form.err != 0;
    struct slice text = form.err ? SLICE_EMPTY : config__copy(b, buf_slice(&form));
    buf_done(&form);
    return text;
}

static const char *authority(const struct config_builder *b)
{
    const char *given = b->source->environment ? b->source->environment("AZURE_AUTHORITY_HOST")
                                               : getenv("AZURE_AUTHORITY_HOST");
    return given && *given ? given : AUTHORITY;
}

// A tenant is a part of a path: an id or a domain name.
static bool is_tenant(struct slice s)
{
    return is_version(s);
}

static void load_principal(struct config_builder *b, const struct config_path *at,
                           const struct config_network *network, struct config_key *key,
                           const struct principal *p)
{
    struct config_path tenant = CONFIG_MEMBER(at, "tenant_id");
    struct config_entra *entra = config__alloc(b, 1, sizeof(*entra));
    struct slice base = SLICE("");

    if (!entra)
        return;
    key->entra = entra; // from here freed with the snapshot
    if (!is_tenant(p->tenant_id)) {
        config__error(b, &tenant, "expected a tenant's id or domain name");
        return;
    }
    // The authority is not the provider: what is asked of one says nothing about the other.
    struct config_network plain = *network;
    plain.http = ORIGIN_HTTP1;
    if (!config__origin(b, at, &plain, slice_str(authority(b)), &entra->origin, &base))
        return;
    struct slice scope = scope_list(b, p);
    entra->path = arena_printf(&b->config->memory, "%.*s/%.*s/oauth2/v2.0/token", SLICE_ARG(base),
                               SLICE_ARG(p->tenant_id));
    entra->identity = arena_printf(
        &b->config->memory, "%.*s %.*s %.*s %.*s", SLICE_ARG(origin_authority(entra->origin)),
        SLICE_ARG(p->tenant_id), SLICE_ARG(p->client_id), SLICE_ARG(scope));
    entra->form = make_form(b, p, scope);
    b->no_memory |= !entra->path.ptr || !entra->identity.ptr;
}

void config__load_azure(struct config_builder *b, const struct config_path *at,
                        const struct config_network *network, const struct config_provider *p,
                        struct config_key *key, yyjson_val *config)
{
    struct config_path version = CONFIG_MEMBER(at, "api_version");
    struct principal principal = {.client_id = SLICE("")};
    const struct {
        const char *name;
        struct slice *to;
    } members[] = {
        {"client_id", &principal.client_id},
        {"client_secret", &principal.client_secret},
        {"tenant_id", &principal.tenant_id},
    };
    unsigned found = 0;

    key->api_version = API_VERSION;
    struct slice given = json_str(config__get(config, "api_version"));
    if (given.len > 0)
        key->api_version = config__copy(b, given);
    if (!is_version(key->api_version))
        config__error(b, &version, "expected a version such as 2024-10-21");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        struct config_path path = CONFIG_MEMBER(at, members[i].name);
        *members[i].to = SLICE("");
        if (config__text_set(b, &path, config__get(config, members[i].name), members[i].to))
            found += members[i].to->len > 0;
    }
    struct config_path scopes = CONFIG_MEMBER(at, "scopes");
    config__texts(b, &scopes, config__get(config, "scopes"), &principal.scopes,
                  &principal.scope_count);
    if (found == ARRAY_LEN(members)) {
        load_principal(b, at, network, key, &principal);
    } else if (found > 0) {
        config__error(b, at, "client_id, client_secret and tenant_id go together");
    } else if (key->value.len == 0 && key->enabled && !p->key_less) {
        config__warn(b, at, "neither a value nor a service principal: the key is disabled");
        key->enabled = false;
    }
}
