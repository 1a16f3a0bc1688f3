// SPDX-License-Identifier: Apache-2.0
//
// config_peers.c: who may stand between the clients and us: `server.proxy_protocol`,
// `server.trusted_proxies` and `server.forwarded_header`.
#include "gateway/config_build.h"

// A list longer than this is a mistake, and every request is compared with it.
#define TRUSTED_MAX 256

// Networks of an array of strings; how many, at most `max`.
static unsigned load_nets(struct config_builder *b, const struct config_path *at, yyjson_val *array,
                          struct ip_net *nets, unsigned max)
{
    struct slice *texts = NULL;
    unsigned count = 0;
    config__texts(b, at, array, &texts, &count);
    if (count > max) {
        config__error(b, at, "more than %u networks", max);
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!ip_net_parse(slice_trim(texts[i]), &nets[i]))
            config__error(b, &CONFIG_ELEMENT(at, i),
                          "expected an address or a network such as 10.0.0.0/8");
    }
    return count;
}

void config__load_peers(struct config_builder *b, yyjson_val *root)
{
    struct config_path server_at = CONFIG_MEMBER(NULL, "server");
    struct config_path section_at = CONFIG_MEMBER(&server_at, "proxy_protocol");
    struct config_path from_at = CONFIG_MEMBER(&section_at, "trusted");
    struct config_path trusted_at = CONFIG_MEMBER(&server_at, "trusted_proxies");
    yyjson_val *server = config__get(root, "server");
    yyjson_val *section = config__get(server, "proxy_protocol");
    yyjson_val *from = config__get(section, "trusted");
    struct config *c = b->config;
    c->senders.wanted = config__bool(section, "enabled", section != NULL);
    c->senders.count = load_nets(b, &from_at, from, c->senders.from, PROXY_SENDERS_MAX);
    // Whoever takes the last one out of a list does not want everybody in.
    if (c->senders.wanted && from != NULL && c->senders.count == 0)
        config__error(b, &from_at, "names nobody: leave it out to accept headers from everywhere");
    if (c->senders.wanted && from == NULL)
        config__warn(b, &section_at, "without \"trusted\" whoever reaches the port says who he is");
    yyjson_val *trusted = config__get(server, "trusted_proxies");
    if (yyjson_arr_size(trusted) > 0)
        c->forwarded.trusted = config__alloc(b, TRUSTED_MAX, sizeof(*c->forwarded.trusted));
    if (c->forwarded.trusted != NULL)
        c->forwarded.trusted_count =
            load_nets(b, &trusted_at, trusted, c->forwarded.trusted, TRUSTED_MAX);
    c->forwarded.standard =
        slice_eq(json_str(config__get(server, "forwarded_header")), SLICE("forwarded"));
}
