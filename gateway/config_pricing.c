// SPDX-License-Identifier: Apache-2.0
//
// config_pricing.c: `framework.pricing`: where prices come from, and how often.
//
// Without a URL nothing is fetched: a gateway that calls home unasked is nobody's wish.
#include "gateway/config_build.h"

// Bifrost's.
#define INTERVAL_S 86400u

void config__load_pricing(struct config_builder *b, yyjson_val *root)
{
    struct config_path framework = CONFIG_MEMBER(NULL, "framework");
    struct config_path pricing = CONFIG_MEMBER(&framework, "pricing");
    struct config_path path = CONFIG_MEMBER(&pricing, "pricing_url");
    struct config_network network = {.http = ORIGIN_HTTP1, .proxy_from_environment = true};
    struct config_pricing *p = &b->config->pricing;
    yyjson_val *object = config__get(config__get(root, "framework"), "pricing");
    yyjson_val *url = config__get(object, "pricing_url");
    p->interval_s = config__uint(object, "pricing_sync_interval", INTERVAL_S);
    if (url == NULL || !config__text_set(b, &path, url, &p->url) || p->url.len == 0)
        return;
    if (!config__origin(b, &path, &network, p->url, &p->origin, &p->path))
        return;
    if (p->path.len == 0)
        p->path = SLICE("/");
}
