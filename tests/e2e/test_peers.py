# SPDX-License-Identifier: Apache-2.0
"""Who the client is: PROXY headers of balancers, X-Forwarded-For of trusted proxies."""
import json
import shutil
import signal
import socket
import struct

import pytest

import harness
from harness import CHAT_EVENTS, DONE, Client, chat, config

PATH = "/openai/v1/chat/completions"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 51000 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command=0x21, family=0x11, addresses=None, tlv=b""):
    if addresses is None:
        addresses = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.1") + \
            struct.pack("!HH", 51000, 443)
    body = addresses + tlv
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body)) + body


V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + struct.pack("!HH", 51000, 443)
TLV = b"\x02\0\x08gate.tst"


def with_server(provider, **server):
    return dict(config(provider), server=server)


def logged(g, count=1):
    """The client's address as the count-th request's line has it."""
    line = g.wait_log("remote_addr", count)
    found = json.loads(line) if line.startswith("{") else None
    return found["remote_addr"] if found else line.split("remote_addr=")[1].split(" ")[0]


def balanced(g, header, tls=None, **kwargs):
    """A client behind a balancer that sends `header` first."""
    sock = socket.create_connection(("127.0.0.1", g.port), harness.DEADLINE_S)
    sock.sendall(header)
    c = Client.__new__(Client)
    c.sock, c.buf = sock, b""
    if tls:
        c.sock = tls.wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
    g.clients.add(c)
    return c


@pytest.mark.smoke
@pytest.mark.skipif(harness.ALWAYS_TLS, reason="speaks in clear")
@pytest.mark.parametrize("header,client", [
    (V1, "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (v2(), "192.0.2.7"),
    (v2(tlv=TLV), "192.0.2.7"),
    (v2(family=0x21, addresses=V6), "2001:db8::7"),
    (v2(command=0x20, family=0, addresses=b""), "127.0.0.1"),
    (v2(family=0x31, addresses=bytes(216)), "127.0.0.1"),
])
def test_proxy_headers(gateway_of, provider, header, client):
    g = gateway_of(with_server(provider, proxy_protocol={"trusted": ["127.0.0.0/8"]}))
    c = balanced(g, header)
    for n in (1, 2):
        assert c.request("POST", PATH, chat("m")).status == 200
        assert logged(g, n) == client
    c.send_request("POST", PATH, chat("m", stream=True))
    assert c.head()[0] == 200
    assert list(c.events()) == CHAT_EVENTS + [DONE]


@pytest.mark.smoke
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
def test_tls_begins_behind_the_header(gateway_of, provider):
    shared = harness.shared_authority()
    cert, key = shared["files"]
    g = gateway_of(with_server(provider, tls={"cert_file": cert, "key_file": key, "plain_port": 0},
                               proxy_protocol={"trusted": ["127.0.0.1"]}))
    for n, header in enumerate((V1, v2(tlv=TLV)), 1):
        c = balanced(g, header, tls=shared["trust"])
        assert c.request("POST", PATH, chat("m")).status == 200
        assert logged(g, n) == "192.0.2.7"
    with pytest.raises((OSError, EOFError)):  # a handshake without a header
        Client(g.port, tls=shared["trust"])
    # The plain port is for the inside: it wants none.
    plain = int(g.line.rsplit("http://127.0.0.1:", 1)[1].split('"')[0])
    with Client(plain) as c:
        text = c.request("GET", "/metrics").body.decode()
    assert 'ringgate_proxy_protocol_failures_total{core="0",reason="untrusted"} 0' in text
    assert sum(int(l.split(" ")[1]) for l in text.split("\n")
               if l.startswith("ringgate_proxy_protocol_failures_total") and "malformed" in l) == 1


@pytest.mark.skipif(harness.ALWAYS_TLS, reason="speaks in clear")
def test_anything_else_is_closed(gateway_of, provider):
    g = gateway_of(with_server(provider, proxy_protocol={"trusted": ["127.0.0.1"]}))
    for bad in (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXY TCP4 a b 1 2\r\n",
                v2(command=0x22), SIGNATURE + b"\x21\x11\xff\xff", b"\x16\x03\x01\x02\0"):
        c = balanced(g, bad)
        assert c.at_end()
    assert balanced(g, V1).request("POST", PATH, chat("m")).status == 200
    assert len(provider.seen) == 1


@pytest.mark.skipif(harness.ALWAYS_TLS, reason="speaks in clear")
def test_a_reload_changes_who_may_say_so(gateway_of, provider):
    g = gateway_of(with_server(provider, proxy_protocol={"trusted": ["127.0.0.1"]}))
    kept = balanced(g, V1)
    assert kept.request("POST", PATH, chat("m")).status == 200
    g.write(with_server(provider, proxy_protocol={"trusted": ["10.0.0.0/8"]}))
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    assert kept.request("POST", PATH, chat("m")).status == 200
    assert balanced(g, V1).at_end()
    g.write(with_server(provider))
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded", 2)
    assert g.post(PATH, chat("m")).status == 200  # no header any more
    assert logged(g, 3) == "127.0.0.1"


@pytest.mark.smoke
def test_the_client_is_the_last_hop_nobody_trusts(gateway_of, provider):
    g = gateway_of(with_server(provider, trusted_proxies=["127.0.0.1", "10.0.0.0/8"]))
    with g.connect() as c:
        for n, (value, client) in enumerate([("6.6.6.6, 192.0.2.7, 10.1.1.1", "192.0.2.7"),
                                             ("[2001:db8::7]:4711", "2001:db8::7"),
                                             ("nonsense", "127.0.0.1")], 1):
            assert c.request("POST", PATH, chat("m"),
                             headers=[("X-Forwarded-For", value)]).status == 200
            assert logged(g, n) == client


def test_strangers_are_not_believed(gateway_of, provider):
    forged = [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")]
    g = gateway_of(with_server(provider, trusted_proxies=["10.0.0.0/8"]))
    assert g.post(PATH, chat("m"), headers=forged).status == 200
    assert logged(g) == "127.0.0.1"
    g = gateway_of(config(provider))
    assert g.post(PATH, chat("m"), headers=forged).status == 200
    assert logged(g) == "127.0.0.1"
    assert not any(k in ("x-forwarded-for", "forwarded") for call in provider.seen
                   for k in call.headers)


@pytest.mark.skipif(harness.ALWAYS_TLS, reason="speaks in clear")
def test_both_in_turn(gateway_of, provider):
    """A balancer in front of a proxy in front of us, each believed for its own."""
    g = gateway_of(with_server(provider, proxy_protocol={"trusted": ["127.0.0.1"]},
                               trusted_proxies=["192.0.2.7"], forwarded_header="forwarded"))
    c = balanced(g, V1)
    a = c.request("POST", PATH, chat("m"), headers=[("Forwarded", "for=198.51.100.3;proto=https"),
                                                    ("X-Forwarded-For", "6.6.6.6")])
    assert a.status == 200 and logged(g) == "198.51.100.3"
