# SPDX-License-Identifier: Apache-2.0
"""Peers that are many: the newest hear 503, those who came before are served on."""
import re
import select
import socket
import threading
import time

import pytest

import harness
import http2
from harness import ALWAYS_TLS, DEADLINE_S, chat, config

PATH = "/openai/v1/chat/completions"


def with_server(provider, **server):
    return dict(config(provider), server=server)


def sheds(client, reason):
    text = client.request("GET", "/metrics").body.decode()
    return sum(int(n) for n in re.findall(
        r'ringgate_clients_shed_total\{core="\d+",reason="%s"\} (\d+)' % reason, text))


def assert_turned_away(client):
    a = client.request("GET", "/health")
    assert a.status == 503 and a.json()["is_bifrost_error"] is True
    assert a.headers["retry-after"] == "1" and a.headers["connection"] == "close"
    assert client.at_end()


def served_at_last(connect):
    """Somebody has left, or is about to."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        with connect() as c:
            try:
                if c.request("GET", "/health").status == 200:
                    return True
            except (OSError, EOFError):
                pass
    return False


class Held:
    """A provider whose streams are begun, and end when told."""

    def __init__(self):
        self.release = threading.Event()

    def __call__(self, call):
        if not call.json().get("stream"):
            self.release.wait(DEADLINE_S)
            return call.reply(200, harness.CHAT)
        call.stream_head()
        call.chunk(harness.CHAT_EVENTS[0])
        self.release.wait(DEADLINE_S)
        call.chunk(harness.DONE)
        return call.stream_end()


def begin_stream(client):
    client.send_request("POST", PATH, chat("m", stream=True))
    assert client.head()[0] == 200
    return client.chunk()


def end_stream(client):
    while client.chunk():
        pass


@pytest.mark.parametrize("cores", ["1", "2"])
def test_connections_in_all(gateway_of, provider_of, cores):
    script = Held()
    g = gateway_of(with_server(provider_of(script), max_connections=4), flags=["-cores", cores])
    held = [g.connect() for _ in range(4)]
    for c in held[:3]:
        begin_stream(c)
    assert held[3].request("GET", "/health").status == 200
    with g.connect() as c:
        assert_turned_away(c)
    assert sheds(held[3], "connections") == 1
    script.release.set()
    for c in held[:3]:
        end_stream(c)
        assert c.request("GET", "/health").status == 200
    held[0].close()
    assert served_at_last(g.connect)
    for c in held:
        c.close()


def test_a_crowd_above_the_cap_is_bounded(gateway_of, provider):
    """The first few hear 503, the rest are closed: being refused must not fill memory either."""
    g = gateway_of(with_server(provider, max_connections=24), flags=["-cores", "1"])
    held = [g.connect() for _ in range(24)]
    for c in held:
        assert c.request("GET", "/health").status == 200
    crowd = [g.connect() for _ in range(100)] if not g.secure else []
    ended = 0
    for c in crowd[10:]:
        ended += c.at_end()  # without a word: it asked nothing
    assert ended == len(crowd[10:])
    assert held[0].request("GET", "/health").status == 200
    text = held[0].request("GET", "/metrics").body.decode()
    assert int(re.search(r'ringgate_connections\{core="0"\} (\d+)', text).group(1)) <= 24 + 3
    for c in crowd + held:
        c.close()


def client_from(gateway, source):
    c = harness.Client.__new__(harness.Client)
    c.sock = socket.create_connection(("127.0.0.1", gateway.port), DEADLINE_S, (source, 0))
    c.buf = b""
    return c


@pytest.mark.skipif(ALWAYS_TLS, reason="many plain connections from several addresses")
@pytest.mark.parametrize("cores", ["1", "2"])
def test_connections_of_an_address(gateway_of, provider_of, cores):
    script = Held()
    g = gateway_of(with_server(provider_of(script), max_connections_per_address=3),
                   flags=["-cores", cores])
    held = [client_from(g, "127.0.0.2") for _ in range(3)]
    begin_stream(held[0])
    for c in held[1:]:
        assert c.request("GET", "/health").status == 200
    with client_from(g, "127.0.0.2") as c:
        assert_turned_away(c)
    others = [client_from(g, "127.0.0.3") for _ in range(3)]
    for c in others:
        assert c.request("GET", "/health").status == 200  # another address is not concerned
    assert sheds(held[1], "address") == 1
    script.release.set()
    end_stream(held[0])
    held[0].close()
    assert served_at_last(lambda: client_from(g, "127.0.0.2"))
    for c in held + others:
        c.close()


@pytest.mark.skipif(ALWAYS_TLS, reason="prior knowledge is in clear text")
def test_http2_clients_are_turned_away_in_their_language(gateway_of, provider):
    g = gateway_of(with_server(provider, max_connections=1))
    with g.connect() as first:
        assert first.request("GET", "/health").status == 200
        with http2.Client(g.port) as c:
            a = c.request("GET", "/health")
            assert a.status == 503 and a.headers["retry-after"] == "1"
            assert c.at_end()


def test_memory_of_a_core(gateway_of, provider_of):
    """Prompts pile up behind a provider that is silent: the newest are refused, none before."""
    script = Held()
    p = provider_of(script)
    g = gateway_of(with_server(p, max_memory_per_core_mb=1), flags=["-cores", "1"])
    stream, held, refused = g.connect(), [], []
    begin_stream(stream)
    p.call()
    body = chat("m", pad="x" * 15_000)
    while len(refused) < 5 and len(held) < 200:
        c = g.connect()
        c.send_request("POST", PATH, body)
        while p.calls.empty() and not select.select([c.sock], [], [], 0.01)[0]:
            pass
        if p.calls.empty():
            refused.append(c.answer())
            c.close()
        else:
            p.call()
            held.append(c)
    assert refused and {a.status for a in refused} == {503}
    assert {a.headers["retry-after"] for a in refused} == {"1"}
    assert 20 < len(held) < 70  # 1 MiB in pieces of 15 kB and some
    script.release.set()
    for c in held:
        assert c.answer().status == 200
    end_stream(stream)
    assert served_at_last(g.connect)
    for c in held + [stream]:
        c.close()


@pytest.mark.skipif(ALWAYS_TLS, reason="a reset behind the refusal takes TLS's records along")
def test_large_bodies_beyond_the_memory_of_a_core(gateway_of, provider):
    g = gateway_of(with_server(provider, max_memory_per_core_mb=4), flags=["-cores", "1"])
    big = chat("m", pad="x" * 6_000_000)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m"))
        assert c.answer().status == 200
        try:
            c.send_request("POST", PATH, big)
        except OSError:
            pass
        a = c.answer()
        assert a.status == 503 and a.headers["retry-after"] == "1"
    assert len(provider.seen) == 1
    assert g.post(PATH, chat("m", pad="x" * 1_000_000)).status == 200
