# SPDX-License-Identifier: Apache-2.0
"""Peers that are slow: who means it ill is let go, who has a thin line is served.

Deadlines are short by configuration and rates far from both sides of the limit, so that a busy
machine changes nothing. A drip waits for the gateway's answer between its bytes, never blindly.
"""
import json
import re
import select
import struct
import time

import pytest

import http2
from harness import ALWAYS_TLS, CHAT, DEADLINE_S, chat, config

BODY = json.dumps(chat("gpt-4o-mini")).encode()
POST = b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
PATH = "/openai/v1/chat/completions"
BIG = json.dumps(dict(CHAT, pad="x" * 20_000_000)).encode()
plain_only = pytest.mark.skipif(ALWAYS_TLS, reason="looks at the socket below TLS")


def with_server(provider, **server):
    return dict(config(provider), server=server)


def sheds(gateway, reason):
    text = gateway.request("GET", "/metrics").body.decode()
    return sum(int(n) for n in re.findall(
        r'ringgate_clients_shed_total\{core="\d+",reason="%s"\} (\d+)' % reason, text))


def drip(sock, data, every=0.02):
    """A byte at a time until the peer says something. False: all of it went and it said nothing."""
    for i in range(len(data)):
        if select.select([sock], [], [], every)[0]:
            return True
        try:
            sock.send(data[i:i + 1])
        except OSError:
            return True
    return False


# ---- Heads ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("raw", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_head_that_stops_is_408(gateway_of, provider, raw):
    g = gateway_of(with_server(provider, head_timeout_ms=200))
    with g.connect() as c:
        c.send(raw)
        assert c.answer().status == 408 and c.at_end()
    assert sheds(g, "slow_head") == 1


@plain_only
def test_a_dripped_head_is_408(gateway_of, provider):
    """Slowloris: never silent, and never done. 50 bytes a second where 5,000 are asked for."""
    g = gateway_of(with_server(provider, head_timeout_ms=400, head_min_rate=5000))
    with g.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        assert drip(c.sock, b"X: y\r\n" * 1000)
        assert c.answer().status == 408
    assert sheds(g, "slow_head") == 1


@plain_only
def test_a_slow_head_that_keeps_its_pace_is_served(gateway_of, provider):
    """Three times as long as the window, at ten times the rate."""
    g = gateway_of(with_server(provider, head_timeout_ms=600, head_min_rate=5))
    with g.connect() as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\nX: ")
        assert not drip(c.sock, b"y" * 90)
        c.send(b"\r\n\r\n")
        assert c.answer().status == 200
    assert sheds(g, "slow_head") == 0


# ---- Bodies --------------------------------------------------------------------------------------

@pytest.mark.parametrize("framing", [b"Content-Length: 50000\r\n\r\n",
                                     b"Content-Length: 500\r\n\r\n",
                                     b"Transfer-Encoding: chunked\r\n\r\nffff\r\n"])
def test_a_body_that_stops_is_408(gateway_of, provider, framing):
    g = gateway_of(with_server(provider, body_timeout_ms=200))
    with g.connect() as c:
        c.send(POST + framing + b"{")
        assert c.answer().status == 408
    assert sheds(g, "slow_body") == 1 and not provider.seen


@plain_only
@pytest.mark.parametrize("framing", [b"Content-Length: 50000\r\n\r\n",
                                     b"Transfer-Encoding: chunked\r\n\r\nffff\r\n"])
def test_a_dripped_body_is_408(gateway_of, provider, framing):
    """R.U.D.Y.: each byte in time, the whole in a month."""
    g = gateway_of(with_server(provider, body_timeout_ms=400, body_min_rate=5000))
    with g.connect() as c:
        c.send(POST + framing)
        assert drip(c.sock, b" " * 50000)
        assert c.answer().status == 408
    assert sheds(g, "slow_body") == 1 and not provider.seen


@plain_only
def test_a_slow_upload_that_keeps_its_pace_is_served(gateway_of, provider):
    g = gateway_of(with_server(provider, body_timeout_ms=600, body_min_rate=5))
    with g.connect() as c:
        c.send(POST + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 90))
        assert not drip(c.sock, b" " * 90)
        c.send(BODY)
        assert c.answer().status == 200
    assert sheds(g, "slow_body") == 0


@pytest.mark.skipif(ALWAYS_TLS, reason="prior knowledge is in clear text")
def test_bodies_over_http2(gateway_of, provider):
    """One stops, one drips, one is slow and honest: on one connection, each judged by itself."""
    g = gateway_of(with_server(provider, body_timeout_ms=800, body_min_rate=20))
    with http2.Client(g.port) as c:
        stops, drips, honest = (c.open("POST", PATH, end=False) for _ in range(3))
        c.data(stops, b"{")
        answered = set()
        for i in range(120):
            select.select([c.sock], [], [], 0.02)
            while c.readable():
                f = c.read_frame()
                if f.type == http2.HEADERS:
                    answered.add((f.stream, dict(f.payload)[":status"]))
            if i % 30 == 0:
                c.data(drips, b" ")
            c.data(honest, b" " * 10)
        assert {s for s, _ in answered} == {stops, drips}
        assert {status for _, status in answered} == {"408"}
        c.data(honest, BODY, end=True)
        assert c.answer(honest).status == 200
    assert sheds(g, "slow_body") == 2


# ---- Answers -------------------------------------------------------------------------------------

def ask_for_much(gateway):
    c = gateway.connect()
    c.send_request("POST", PATH, chat("m"))
    return c


def assert_cut_short(c):
    with pytest.raises((OSError, EOFError)):
        while True:
            c.read_exactly(65536)


def test_a_client_that_reads_nothing_is_reset(gateway_of, provider_of):
    g = gateway_of(with_server(provider_of(lambda call: call.reply(200, BIG)), send_timeout_ms=400))
    with ask_for_much(g) as c:
        end = time.monotonic() + DEADLINE_S
        while sheds(g, "slow_read") == 0:
            assert time.monotonic() < end
        assert_cut_short(c)


@plain_only
def test_a_dripping_reader_is_reset(gateway_of, provider_of):
    """slowhttptest -X: some bytes now and then, so that no single wait is long."""
    g = gateway_of(with_server(provider_of(lambda call: call.reply(200, BIG)), send_timeout_ms=600,
                               send_min_rate=1 << 20))
    with ask_for_much(g) as c:
        end = time.monotonic() + DEADLINE_S
        while sheds(g, "slow_read") == 0:
            assert c.sock.recv(64) and time.monotonic() < end
        assert_cut_short(c)


def test_a_slow_reader_that_keeps_its_pace_gets_all(gateway_of, provider_of):
    """Several times as long as the window for one answer, without a stop."""
    g = gateway_of(with_server(provider_of(lambda call: call.reply(200, BIG)), send_timeout_ms=600))
    with ask_for_much(g) as c:
        _, headers, _ = c.head()
        left = int(headers["content-length"])
        while left > 0:
            select.select([], [], [], 0.02)
            left -= len(c.read_exactly(min(left, 300_000)))
    assert sheds(g, "slow_read") == 0


@pytest.mark.skipif(ALWAYS_TLS, reason="prior knowledge is in clear text")
@pytest.mark.parametrize("opens", [0, 1])
def test_an_http2_window_that_stays_closed_or_opens_by_a_byte(gateway_of, provider_of, opens):
    """Its stream is reset, the connection and an honest slow reader on it go on."""
    p = provider_of(lambda call: call.reply(200, BIG[:200_000]))
    g = gateway_of(with_server(p, send_timeout_ms=800, send_min_rate=1000))
    with http2.Client(g.port, window=0) as c:
        bad, good = c.post(PATH, chat("m")), c.post(PATH, chat("m"))
        c.update(0, 1 << 20)
        got, code = 0, None
        while got < 200_000 or code is None:
            ready = select.select([c.sock], [], [], 0.05)[0] or c.buf
            if got < 200_000:
                c.update(good, 4000)
            if opens and code is None:
                c.update(bad, opens)
            if not ready:
                continue
            f = c.read_frame()
            if f.type == http2.RST_STREAM:
                assert f.stream == bad
                code = struct.unpack(">I", f.payload)[0]
            elif f.type == http2.DATA and f.stream == good:
                got += len(f.payload)
        assert code == http2.CANCEL and got == 200_000
    text = g.request("GET", "/metrics").body.decode()
    assert re.search(r'http2_limits_total{core="\d+",role="server",limit="stalled_write"} 1', text)


# ---- Idle ----------------------------------------------------------------------------------------

def test_idle_connections_are_closed(gateway_of, provider):
    g = gateway_of(with_server(provider, idle_timeout_ms=200))
    with g.connect() as c:
        assert c.request("GET", "/health").status == 200
        assert c.at_end()
