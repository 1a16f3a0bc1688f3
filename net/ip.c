// SPDX-License-Identifier: Apache-2.0
//
// ip.c: see ip.h.
#include "net/ip.h"

#include "base/container.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
// RFC 6052 2.1: what a NAT64 translates to the IPv4 address behind it.
static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
static const uint8_t compatible[12] = {0};

struct ip ip_of_v4(const uint8_t byte[4])
{
    struct ip ip;
    memcpy(ip.byte, mapped, sizeof(mapped));
    memcpy(ip.byte + sizeof(mapped), byte, 4);
    return ip;
}

bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip->byte, mapped, sizeof(mapped)) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
    static const struct ip one = {.byte = {[15] = 1}};
    return ip_is_v4(ip) ? ip->byte[12] == 127 : ip_eq(ip, &one);
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
    return memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

bool ip_parse(struct slice text, struct ip *ret)
{
    char copy[IP_TEXT_BYTES];
    struct in_addr four;
    struct in6_addr six;
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = slice_of(text.ptr + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &four) == 1) {
        *ret = ip_of_v4((const uint8_t *)&four.s_addr);
        return true;
    }
    if (inet_pton(AF_INET6, copy, &six) != 1)
        return false;
    memcpy(ret->byte, six.s6_addr, sizeof(ret->byte));
    return true;
}

bool ip_of_sockaddr(const struct sockaddr *address, struct ip *ret)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        *ret = ip_of_v4((const uint8_t *)&four->sin_addr.s_addr);
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *six = (const void *)address;
    memcpy(ret->byte, six->sin6_addr.s6_addr, sizeof(ret->byte));
    return true;
}

size_t ip_print(const struct ip *ip, char out[IP_TEXT_BYTES])
{
    bool four = ip_is_v4(ip);
    out[0] = '\0';
    (void)inet_ntop(four ? AF_INET : AF_INET6, four ? &ip->byte[12] : ip->byte, out, IP_TEXT_BYTES);
    return strlen(out);
}

// ---- Networks ----------------------------------------------------------------------------------

bool ip_net_parse(struct slice text, struct ip_net *ret)
{
    ptrdiff_t slash = slice_find_char(text, '/');
    struct ip_net net = {.bits = 128};
    uint64_t bits = 0;
    if (!ip_parse(slash < 0 ? text : slice_take(text, (size_t)slash), &net.ip))
        return false;
    if (slash >= 0) {
        bool four = memchr(text.ptr, ':', text.len) == NULL;
        struct slice digits = slice_skip(text, (size_t)slash + 1);
        if (digits.len > 3 || slice_to_u64(digits, &bits) != 0 || bits > (four ? 32 : 128))
            return false;
        net.bits = (uint8_t)(four ? 96 + bits : bits);
    }
    *ret = net;
    return true;
}

bool ip_net_has(const struct ip_net *net, const struct ip *ip)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->ip.byte, ip->byte, whole) != 0)
        return false;
    unsigned mask = 0xffu << (8 - rest) & 0xff;
    return rest == 0 || ((net->ip.byte[whole] ^ ip->byte[whole]) & mask) == 0;
}

bool ip_nets_have(const struct ip_net *nets, unsigned count, const struct ip *ip)
{
    for (unsigned i = 0; i < count; i++) {
        if (ip_net_has(&nets[i], ip))
            return true;
    }
    return false;
}

// ---- Places ------------------------------------------------------------------------------------

#define V4(a, b, c, d, n)                                                                          \
    {                                                                                              \
        .ip = {.byte = {[10] = 0xff, [11] = 0xff, (a), (b), (c), (d)}}, .bits = 96 + (n)           \
    }

static const struct {
    struct ip_net net;
    enum ip_place place;
} places[] = {
    {V4(169, 254, 0, 0, 16), IP_LINK_LOCAL},
    {V4(100, 100, 100, 200, 32), IP_METADATA}, // Alibaba; inside RFC 6598
    {V4(192, 0, 0, 192, 32), IP_METADATA},     // Oracle, older images
    {V4(168, 63, 129, 16, 32), IP_METADATA},   // Azure's host
    {V4(0, 0, 0, 0, 8), IP_UNSPECIFIED},
    {V4(10, 0, 0, 0, 8), IP_PRIVATE},
    {V4(172, 16, 0, 0, 12), IP_PRIVATE},
    {V4(192, 168, 0, 0, 16), IP_PRIVATE},
    {V4(100, 64, 0, 0, 10), IP_PRIVATE},
    // fd00:ec2::254: Amazon; inside RFC 4193
    {{.ip = {.byte = {0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}}, .bits = 128}, IP_METADATA},
    {{.ip = {.byte = {0xfe, 0x80}}, .bits = 10}, IP_LINK_LOCAL},
    {{.ip = {.byte = {0xfc}}, .bits = 7}, IP_PRIVATE},
    {{.ip = {.byte = {0}}, .bits = 128}, IP_UNSPECIFIED},
};

static bool has_prefix(const struct ip *ip, const uint8_t prefix[12])
{
    return memcmp(ip->byte, prefix, 12) == 0;
}

enum ip_place ip_place(const struct ip *ip)
{
    struct ip inner = *ip;
    bool low = ip->byte[12] == 0 && ip->byte[13] == 0 && ip->byte[14] == 0; // ::1, ::
    if (has_prefix(ip, nat64) || (has_prefix(ip, compatible) && !low))
        inner = ip_of_v4(&ip->byte[12]);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (ip_net_has(&places[i].net, &inner))
            return places[i].place;
    }
    return IP_ANYWHERE;
}

bool ip_is_metadata_name(struct slice host)
{
    static const char *const names[] = {"metadata.google.internal", "metadata.goog",
                                        "instance-data", "instance-data.ec2.internal"};
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_ieq(host, slice_str(names[i])))
            return true;
    }
    return false;
}
