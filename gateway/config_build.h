// SPDX-License-Identifier: Apache-2.0
//
// config_build.h: what the parts of config_build share.
//
// Building goes in three steps, each over the whole file, and stops after a step that found errors:
//
//   text ──json_parse──► document ──config__check──► shape is right ──config__load──► snapshot
//                                   (known table:        (values: variables, urls,
//                                    names, types,        keys, contexts, origins)
//                                    ranges, standing)
//                                                        ──► limiters get their numbers
//
// So the loading step meets only members of the right type and in range, and a reload that fails
// has changed nothing that lives on. A place in the file is a chain of `struct config_path` on the
// stack, written out only when something is said about it. What is said never holds a value of
// the file: values may be secrets.
//
// One thread, off the data path.
#ifndef RINGGATE_GATEWAY_CONFIG_BUILD_H
#define RINGGATE_GATEWAY_CONFIG_BUILD_H

#include "codec/json.h"
#include "gateway/config.h"
#include "gateway/config_known.h"
#include "net/proxy.h"
#include "net/upstream.h"

struct tls_context;

// A member or an element; `up` is what it lies in, NULL at the root.
struct config_path {
    const struct config_path *up;
    struct slice name; // of a member
    size_t index;      // of an element, when `name.ptr` is NULL
};

#define CONFIG_MEMBER(parent, member)                                                              \
    ((struct config_path){.up = (parent), .name = slice_str(member)})
#define CONFIG_ELEMENT(parent, i) ((struct config_path){.up = (parent), .index = (i)})

// A TLS context made during this build, shared by all origins with the same settings.
struct config_tls {
    struct config_tls *next;
    struct tls_context *context;
    struct slice ca_cert_pem;
    struct slice identity;
    bool insecure;
};

struct config_slots {
    unsigned concurrency, buffer_size;
};

struct config_builder {
    const struct config_source *source;
    struct config_report *report;
    const char *file; // what lines begin with
    bool joined;      // rows of the store are in the document, and the lines say so
    struct config *config;
    struct config_tls *tls;
    struct config_slots *slots; // one a provider, in the snapshot's memory
    bool no_memory;
};

// ---- Saying (config_report.c) -------------------------------------------------------------------

void config__error(struct config_builder *b, const struct config_path *path, const char *format,
                   ...) __attribute__((format(printf, 3, 4)));
void config__warn(struct config_builder *b, const struct config_path *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// An error, or a warning when the source allows what is not enforced.
void config__unenforced(struct config_builder *b, const struct config_path *path, const char *what);
bool config__failed(const struct config_builder *b); // an error was said, or memory is out
// The nearest of `count` names to a misspelt one, by edit distance; NULL when none is near.
struct config__names {
    const char *(*at)(const void *list, unsigned index); // NULL past the end
    const void *list;
};
const char *config__suggest(struct slice misspelt, struct config__names names);

// ---- Shape (config_check.c) ---------------------------------------------------------------------

// Checks a document against the known table; says everything it finds.
void config__check(struct config_builder *b, yyjson_val *root);

// ---- The store (config_stored.c) ---------------------------------------------------------------

// Adds what source->stored has to the document, or makes one when *doc is NULL (environment).
void config__join_stored(struct config_builder *b, yyjson_doc **doc);
// The document, which need not have been checked, wants nothing of the store's.
bool config__no_stored(yyjson_val *root);

// ---- Values (config_read.c) ---------------------------------------------------------------------
// The document has been checked: a member has its type or is absent; null is absent.

yyjson_val *config__get(yyjson_val *object, const char *member); // NULL: absent
bool config__bool(yyjson_val *object, const char *member, bool absent);
// `absent` also stands in for 0, as Bifrost has it.
unsigned config__uint(yyjson_val *object, const char *member, unsigned absent);
unsigned config__duration_ms(yyjson_val *object, const char *member, unsigned absent);
// "1m30s", "250ms": 0 and milliseconds, or ERR_BAD_TYPE.
int config__parse_duration(struct slice text, uint64_t *ret_ms);

enum config_text {
    CONFIG_TEXT_ABSENT,
    CONFIG_TEXT_FOUND,
    CONFIG_TEXT_UNSET, // names a variable that is not set or empty
    CONFIG_TEXT_BAD,   // has been said
};
// A string, "env.NAME" or secret object, into the snapshot's memory. For UNSET *ret is the
// variable's name and nothing has been said.
enum config_text config__text(struct config_builder *b, const struct config_path *path,
                              yyjson_val *value, struct slice *ret);
// The same where an unset variable is an error: true when found.
bool config__text_set(struct config_builder *b, const struct config_path *path, yyjson_val *value,
                      struct slice *ret);
// An array of strings; absent gives none.
void config__texts(struct config_builder *b, const struct config_path *path, yyjson_val *array,
                   struct slice **ret, unsigned *ret_count);
// Into the snapshot's memory; sets no_memory and gives an empty slice / NULL when that is out.
struct slice config__copy(struct config_builder *b, struct slice s);
void *config__alloc(struct config_builder *b, size_t count, size_t size);

// ---- Parts --------------------------------------------------------------------------------------

void config__load_listener(struct config_builder *b, yyjson_val *root); // config_listener.c
void config__load_peers(struct config_builder *b, yyjson_val *root);    // config_peers.c
void config__load_pricing(struct config_builder *b, yyjson_val *root);  // config_pricing.c
// `root` NULL: from the environment. (config_encryption.c)
void config__load_encryption(struct config_builder *b, yyjson_val *root);
// A whole file: 0 with the text added, ERR_NOT_FOUND when there is none, ERR_SYSTEM with errno,
// ERR_LIMIT at the buffer's ceiling, ERR_NOMEM. (config.c)
int config__read_file(const char *name, struct buf *text);
void config__load_client(struct config_builder *b, yyjson_val *root);    // config_client.c
void config__load_providers(struct config_builder *b, yyjson_val *root); // config_providers.c
void config__load_environment(struct config_builder *b);                 // config_providers.c
// After the providers. (config_governance.c)
void config__load_governance(struct config_builder *b, yyjson_val *root);

// governance.pricing_overrides, after keys: id → struct virtual_key. (config_prices.c)
void config__load_prices(struct config_builder *b, const struct map *keys,
                         const struct config_path *up, yyjson_val *governance);

// ---- Where providers live (config_origin.c) -----------------------------------------------------

// Is `s` a token, as header names are? (config_client.c)
bool config__is_token(struct slice s);

// What of network_config an origin is made of.
struct config_network {
    bool insecure;
    struct slice ca_cert_pem;
    unsigned connect_ms, idle_ms, conns_max;
    enum origin_http http;
    bool refuse_private;         // allow_private_network was written, and is false
    struct proxy *proxy;         // the provider's; given back when it is loaded
    bool proxy_from_environment; // instead: each origin's
};
// Reads proxy_config into `network`, after network_config. (config_proxy.c)
void config__load_proxy(struct config_builder *b, const struct config_path *at,
                        struct config_network *network, yyjson_val *provider);
// A reference to the proxy for an origin at `url`, or NULL. False when something was said.
bool config__proxy_of(struct config_builder *b, const struct config_path *at,
                      const struct config_network *network, const struct url *url,
                      struct proxy **ret);
// The one context for these settings. NULL when something was said. (config_origin.c)
struct config_tls *config__tls_for(struct config_builder *b, const struct config_path *path,
                                   const struct config_network *network);
// Is this, as a number or by name, a place no request goes? (config_origin.c)
bool config__is_forbidden(struct slice host);
// Sets the id that follows from provider and name. (config_keys.c)
void config__key_identity(struct config_builder *b, const struct config_provider *p,
                          struct config_key *key);
// `at` is the provider's place, `base_url` its own (empty: none). (config_keys.c)
void config__load_keys(struct config_builder *b, const struct config_path *at,
                       const struct config_network *network, struct config_provider *p,
                       struct slice base_url, yyjson_val *provider);
// What a key of azure says beyond its endpoint: versions and a service principal. `config` may be
// NULL. (config_azure.c)
void config__load_azure(struct config_builder *b, const struct config_path *at,
                        const struct config_network *network, const struct config_provider *p,
                        struct config_key *key, yyjson_val *config);
// Parses `text` and makes its origin; *ret_path is the URL's path without a trailing slash, in the
// snapshot's memory. False when something was said.
bool config__origin(struct config_builder *b, const struct config_path *path,
                    const struct config_network *network, struct slice text, struct origin **ret,
                    struct slice *ret_path);
// `base` and `path` joined; a trailing /v1 of the base goes when the path brings its own.
struct slice config__join(struct config_builder *b, struct slice base, struct slice path);
struct slice config__without_v1(struct slice base);
// Done building: the contexts live on in their origins.
void config__tls_done(struct config_builder *b);

#endif
