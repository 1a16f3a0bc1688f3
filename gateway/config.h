// SPDX-License-Identifier: Apache-2.0
//
// config.h: one immutable snapshot of everything a request is decided by.
//
// A snapshot is built whole from config.json (or the environment), validated whole, and only then
// published: each core swaps its own pointer between two loop turns (a mail), and each exchange
// sees one snapshot from start to end. Each core counts its own exchanges on a snapshot, so neither
// begin nor end touches a shared cache line; the last core that has retired it frees it.
//
//      build ──► [ snapshot n+1 ] ──mail──► core 0: current = n+1, n retired, 3 exchanges left
//                                  └──────► core 1: current = n+1, n retired, 0 left → put
//
// What must survive a snapshot (a provider's slots and queue, round of metrics) is not in it: it is
// found by name in process-lifetime registries (limiter.h).
//
// All strings lie in the snapshot's own memory. Secrets are in it; nothing prints them.
//
// Reading rules: an unknown member is an error with its path ("providers.openai.keys[0].nmae");
// a member known to Bifrost but not served by this build is a warning; one that restricts access
// (governance, auth, enforcement) and is not enforced refuses the file unless allow_unenforced.
#ifndef RINGGATE_GATEWAY_CONFIG_H
#define RINGGATE_GATEWAY_CONFIG_H

#include "base/buf.h"
#include "base/map.h"
#include "gateway/forwarded.h"
#include "gateway/governance.h"
#include "net/core.h"
#include "net/tls.h"
#include "net/upstream.h"
#include "providers/price.h"
#include "providers/provider.h"

struct catalog;
struct limiter;

// What runs at a stop may take so long: Bifrost's.
#define CONFIG_DRAIN_TIMEOUT_S 30
// A turn of the loop is to take 1 ms; what takes a thousand hangs.
#define CONFIG_WATCHDOG_MS 1000
// A new process that hangs before it serves: it is killed, the old one goes on.
#define CONFIG_UPGRADE_TIMEOUT_S 60

// Rows of requests are kept so long: Bifrost's.
#define CONFIG_LOG_DAYS 365
// Below this the disk counts as full.
#define CONFIG_LOG_FREE_MB 256

struct config_alias {
    struct slice name;                           // as clients say it; compared ignoring letter case
    struct slice model_id;                       // as the provider says it
    bool claude;                                 // model_family says so, or a name does
    struct slice api_version, anthropic_version; // azure; empty: the key's
};

// What a row of a request keeps (gateway/record.h).
struct config_logging {
    bool enabled;
    bool no_content;       // client.disable_content_logging
    bool content_choice;   // x-bf-disable-content-logging counts
    unsigned row_days;     // 0: for ever
    unsigned content_days; // at most row_days
    uint64_t bytes_max;    // of all that is kept; the oldest go first; 0: no limit
    uint64_t free_bytes;   // below it the disk counts as full; read at the start
    struct slice *headers;
    unsigned header_count; // copied into a row's metadata; lower case
};

// Azure's Entra ID: a service principal that trades its secret for tokens (gateway/credential.h).
struct config_entra {
    struct origin *origin; // of the authority
    struct slice path;     // "/<tenant>/oauth2/v2.0/token"
    struct slice form;     // the whole request body; secret
    struct slice identity; // tells principals apart; no secret
};

struct config_key {
    struct slice id; // "id" member, or a UUID derived from provider and name
    struct slice name;
    struct slice value;      // secret; may be empty where the row allows
    struct slice auth_value; // as the row's auth field carries it; empty without value
    double weight;
    bool enabled;
    bool all_models; // "*", or empty under version 1
    struct slice *models;
    unsigned model_count;
    struct slice *blacklist;
    unsigned blacklist_count;
    struct config_alias *aliases;
    unsigned alias_count;
    struct origin *origin;      // of url_per_key rows; else NULL
    struct slice base_path;     // of that origin's url
    struct slice api_version;   // azure
    struct config_entra *entra; // azure; NULL: by key
};

struct config_header {
    struct slice name, value;
};

// governance.pricing_overrides (pricing.h).
struct config_price {
    unsigned rank;                          // of its scope: the narrower, the higher
    unsigned operations;                    // 1u << enum operation
    const struct virtual_key *key;          // NULL: of any
    const struct config_provider *provider; // NULL: of any
    struct slice key_id;                    // of the provider's key; empty: of any
    bool wildcard;
    struct slice pattern; // without the star
    struct price patch;
};

// client.compat: what a request may be turned into (plan.h).
enum compat {
    COMPAT_TEXT_TO_CHAT = 1,
    COMPAT_CHAT_TO_RESPONSES = 2,
    COMPAT_DROP_PARAMS = 4,
    COMPAT_CONVERT_PARAMS = 8,
    COMPAT_ALL = 15,
};

// What of an attempt a client of /v1 is shown (raw.h).
enum raw {
    RAW_REQUEST = 1,
    RAW_RESPONSE = 2,
};

struct config_provider {
    unsigned index;
    struct slice name;
    const struct provider_row *row; // of the vendor, or of base_provider_type
    bool custom;
    bool key_less;
    unsigned allowed; // types of requests, bit set 1u << op; bit 16 + op for streams
    // Whole path, base path included; of url_per_key rows what follows the key's base_path.
    struct slice path[OPERATION_COUNT];
    struct origin *path_origin[OPERATION_COUNT]; // of a full URL override, else NULL
    struct config_key *keys;
    unsigned key_count;
    struct origin *origin; // NULL for url_per_key rows
    struct config_header *extra_headers;
    unsigned extra_header_count;
    struct limiter *limiter; // process lifetime
    unsigned request_timeout_ms, stream_idle_ms;
    unsigned max_retries, backoff_initial_ms, backoff_max_ms;
    bool disable_store; // openai_config: "store": false is forced
    unsigned raw;       // bits of enum raw: send_back_raw_request, send_back_raw_response
    // beta_header_overrides: a prefix of an anthropic-beta value, and whether it may go up.
    struct config_beta {
        struct slice prefix;
        bool supported;
    } * betas;
    unsigned beta_count;
};

// server.tls. What its files said lies in `context`; where they lie is kept, because they are read
// again when they change.
struct config_listener {
    struct config_certificate {
        struct slice cert, key; // a path, or the PEM text itself
    } * certificates;
    unsigned count;
    bool listed;            // by the member `certificates`
    struct slice client_ca; // empty: none
    enum tls_client_auth client_auth;
    bool only_1_3;
    bool plain; // a plain listener beside it
    unsigned plain_port;
    struct tls_context *context;
};

// One core's use of a snapshot: a cache line that only this core writes.
struct config_core {
    _Alignas(64) uint32_t exchanges; // that run on it
    bool retired;
};

// `server`: who may take how long and how much (net/limits.h). Read at the start.
struct config_limits {
    unsigned head_ms, head_rate, body_ms, body_rate, send_ms, send_rate, idle_ms;
    unsigned connections_max, per_address_max; // 0: no bound
    unsigned memory_mb;                        // of a core; 0: a share of the machine's
};

struct config {
    _Atomic unsigned cores; // that have not retired it; 0: never published
    struct config_core core[CORES_MAX];
    unsigned version;
    size_t body_bytes_max;
    unsigned head_bytes_max;
    struct config_limits limits;
    struct slice *allowed_hosts; // lower case; "*.a.com" for the names below a.com, "*" for all
    unsigned allowed_host_count;
    bool check_host;             // on loopback, or because there is a list
    struct config_listener *tls; // NULL: the listener is plain
    struct proxy_senders senders;
    struct forwarded_rules forwarded;
    bool drop_excess_requests;
    unsigned compat;         // bits of enum compat
    bool no_store_in_health; // client.disable_db_pings_in_health
    bool no_raw_override;    // client.allow_per_request_raw_override is false
    struct slice *prometheus_labels;
    unsigned prometheus_label_count;
    struct slice *header_allow, *header_deny; // header_filter_config; lower case
    unsigned header_allow_count, header_deny_count;
    struct slice *allowed_origins, *allowed_headers; // CORS; headers lower case
    unsigned allowed_origin_count, allowed_header_count;
    struct slice *required_headers; // lower case
    unsigned required_header_count;
    unsigned drain_delay_ms, drain_timeout_ms; // the way down: gateway/process_control.c
    unsigned watchdog_ms;                      // 0: off; gateway/watchdog.h
    struct config_logging logging;             // `enabled` is read at the start
    struct governance governance;
    struct catalog *catalog; // a reference; NULL: no prices
    struct config_pricing {
        struct slice url; // empty: prices are not fetched
        struct origin *origin;
        struct slice path;
        unsigned interval_s;
    } pricing;
    struct slice text;           // that it was built from; secret. NULL: from the environment
    bool no_stored;              // config_store.enabled is false; read at the start
    struct slice encryption_key; // of the store; secret. Empty: none. Read at the start
    bool allow_open_management;  // admin/guard.h
    bool on_loopback;            // nobody but this machine connects
    struct config_price *prices;
    unsigned price_count;
    bool allow_unpriced;         // a budget lets models pass whose price nobody knows
    unsigned upgrade_timeout_ms; // of a new process's silence
    struct config_provider *providers;
    unsigned provider_count;
    struct map by_name;  // provider name → struct config_provider
    struct arena memory; // everything above
    struct block_pool blocks;
};

// What building said: lines a person reads, in order; errors make the build fail.
struct config_report {
    struct buf errors; // "config.json: providers.openai.keys[0].nmae: unknown member\n"
    struct buf warnings;
};
void config_report_init(struct config_report *r);
void config_report_done(struct config_report *r);

struct config_source {
    struct catalog *catalog;     // the snapshot takes a reference; NULL: no prices
    struct ledger_place *ledger; // where limits count; NULL: they are read and count nowhere
    bool on_loopback;            // nobody but this machine connects
    struct slice stored; // rows of the store: {"virtual_keys":[…],…}, lists as `governance`
                         // has them; secret; empty: none
    const char *app_dir; // config.json is read from it when it exists
    // What the open store was opened with, empty: none; NULL: no store is open.
    const struct slice *encryption_key;
    bool allow_unenforced; // --allow-unenforced
    // Looks up an environment variable; NULL: getenv. Tests give their own.
    const char *(*environment)(const char *name);
};

struct limiters;
// Off the data path (start, --check-config, a reload worker). ERR_CONFIG with the report filled,
// ERR_NOMEM. Without a file: providers from the environment's keys; none at all is a warning.
// `limiters` may be NULL (--check-config).
int config_build(const struct config_source *source, struct limiters *limiters,
                 struct config_report *report, struct config **ret_config);
// For tests: the text instead of the file.
int config_build_text(struct slice text, const struct config_source *source,
                      struct limiters *limiters, struct config_report *report,
                      struct config **ret_config);
// Again from what `base` was built from: a file edited meanwhile waits for its own reload.
int config_build_again(const struct config *base, const struct config_source *source,
                       struct limiters *limiters, struct config_report *report,
                       struct config **ret_config);
void config_free(struct config *c); // never published, or retired by every core; NULL is fine

// Reads a listener's files and makes its context. ERR_CONFIG with the report filled, ERR_NOMEM.
int config_listener_context(const struct config_listener *l, struct config_report *report,
                            struct tls_context **ret);

// Once, before the first core sees it: `cores` of them will retire it, each once.
void config_publish(struct config *c, unsigned cores);
// Own core only. `exchange_begin` counts on the current snapshot; `exchange_end` may free it.
void config_exchange_begin(struct config *c, unsigned core);
void config_exchange_end(struct config *c, unsigned core);
// The core will begin no more exchanges on it.
void config_retire(struct config *c, unsigned core);

// NULL when not configured. Case as written in the file.
const struct config_provider *config_provider(const struct config *c, struct slice name);
// Does this key serve `model` (enabled, not blacklisted, listed or alias)? *ret_model is what the
// provider is to be asked for (the alias resolved, else `model` itself).
bool config_key_serves(const struct config_key *k, struct slice model, struct slice *ret_model);
// The alias of that key a client calls `model`; NULL when the name is no alias.
const struct config_alias *config_key_alias(const struct config_key *k, struct slice model);
// Is `model` one of Claude's at this provider: by its name, or by an alias of a key that says so?
bool config_is_claude(const struct config_provider *p, struct slice model);
// For a bare model on /v1: the first provider, in file order, with a key whose list (not "*") or
// aliases name it; NULL when none.
const struct config_provider *config_provider_of_model(const struct config *c, struct slice model);

#endif
