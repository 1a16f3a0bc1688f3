// SPDX-License-Identifier: Apache-2.0
//
// Addresses: reading, networks, and the places no request may go.
#include "net/ip.h"

#include "base/container.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct ip ip(const char *text)
{
    struct ip ret;
    if (!ip_parse(slice_str(text), &ret))
        fail_msg("%s is an address", text);
    return ret;
}

static void addresses_are_read_strictly(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"10.1.2.3", "10.1.2.3"},
        {"::ffff:10.1.2.3", "10.1.2.3"},
        {"[::1]", "::1"},
        {"2001:DB8::1", "2001:db8::1"},
        {"::", "::"},
    };
    static const char *const bad[] = {"",         "10.1",       "010.1.2.3", "1.2.3.4.5",
                                      "1.2.3.4 ", "1.2.3.4:80", "[1.2.3.4",  "fe80::1%lo",
                                      "0x7f.1",   "localhost",  "[]",        "::1::"};
    char text[IP_TEXT_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct ip a = ip(good[i][0]);
        ip_print(&a, text);
        assert_string_equal(text, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct ip a;
        if (ip_parse(slice_str(bad[i]), &a))
            fail_msg("%s is no address", bad[i]);
    }
}

static void networks_hold_what_begins_alike(void **state)
{
    (void)state;
    static const struct {
        const char *net, *ip;
        bool has;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true}, // the same address
        {"10.0.0.0/8", "::10.0.0.1", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.2", false},
        {"10.1.2.3/31", "10.1.2.2", true},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "8.8.8.8", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"fd00::/8", "fdff::1", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_net net;
        struct ip a = ip(rows[i].ip);
        assert_true(ip_net_parse(slice_str(rows[i].net), &net));
        if (ip_net_has(&net, &a) != rows[i].has)
            fail_msg("%s in %s", rows[i].ip, rows[i].net);
    }
}

static void what_is_no_network(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8 ", "/8",          "10.0.0.0/-1",
        "10/8",        "*",      "",          "a/8",         "10.0.0.0/08x"};
    struct ip_net net;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (ip_net_parse(slice_str(rows[i]), &net))
            fail_msg("%s is no network", rows[i]);
    }
}

static void places(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        enum ip_place place;
    } rows[] = {
        {"169.254.169.254", IP_LINK_LOCAL},
        {"169.254.0.1", IP_LINK_LOCAL},
        {"169.253.255.255", IP_ANYWHERE},
        {"::ffff:169.254.169.254", IP_LINK_LOCAL},
        {"::169.254.169.254", IP_LINK_LOCAL},
        {"64:ff9b::a9fe:a9fe", IP_LINK_LOCAL},
        {"fe80::1", IP_LINK_LOCAL},
        {"febf::1", IP_LINK_LOCAL},
        {"fec0::1", IP_ANYWHERE},
        {"fd00:ec2::254", IP_METADATA},
        {"fd00:ec2::253", IP_PRIVATE},
        {"100.100.100.200", IP_METADATA},
        {"64:ff9b::6464:64c8", IP_METADATA},
        {"100.100.100.201", IP_PRIVATE},
        {"100.128.0.1", IP_ANYWHERE},
        {"0.0.0.0", IP_UNSPECIFIED},
        {"0.1.2.3", IP_UNSPECIFIED},
        {"::", IP_UNSPECIFIED},
        {"10.0.0.1", IP_PRIVATE},
        {"172.16.0.1", IP_PRIVATE},
        {"172.15.0.1", IP_ANYWHERE},
        {"192.168.1.1", IP_PRIVATE},
        {"::ffff:192.168.1.1", IP_PRIVATE},
        {"fc00::1", IP_PRIVATE},
        {"127.0.0.1", IP_ANYWHERE}, // loopback is the operator's own
        {"::1", IP_ANYWHERE},
        {"8.8.8.8", IP_ANYWHERE},
        {"2001:db8::1", IP_ANYWHERE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip a = ip(rows[i].ip);
        if (ip_place(&a) != rows[i].place)
            fail_msg("%s is at %d", rows[i].ip, (int)ip_place(&a));
    }
}

static void names_of_metadata_services(void **state)
{
    (void)state;
    assert_true(ip_is_metadata_name(SLICE("metadata.google.internal")));
    assert_true(ip_is_metadata_name(SLICE("Metadata.Google.Internal.")));
    assert_false(ip_is_metadata_name(SLICE("metadata.google.internal.example.com")));
    assert_false(ip_is_metadata_name(SLICE("")));
}

static void loopback(void **state)
{
    (void)state;
    struct ip a = ip("127.3.2.1"), b = ip("::1"), c = ip("128.0.0.1"), d = ip("::2");
    assert_true(ip_is_loopback(&a) && ip_is_loopback(&b));
    assert_false(ip_is_loopback(&c) || ip_is_loopback(&d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_strictly),
        cmocka_unit_test(networks_hold_what_begins_alike),
        cmocka_unit_test(what_is_no_network),
        cmocka_unit_test(places),
        cmocka_unit_test(names_of_metadata_services),
        cmocka_unit_test(loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
