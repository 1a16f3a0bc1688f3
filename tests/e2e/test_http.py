# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as clients and attackers speak it."""
import json
import threading

import pytest

from harness import CHAT, chat, config

BODY = json.dumps(chat("gpt-4o-mini")).encode()
POST = b"POST /openai/v1/chat/completions HTTP/1.1\r\n"


@pytest.mark.parametrize("raw", [
    b"GARBAGE\r\n\r\n",
    b"GET /health\r\nHost: a\r\n\r\n",
    b"GET /health HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: a\n\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nX\x7f: b\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    b"GET /he alth HTTP/1.1\r\nHost: a\r\n\r\n",
    POST + b"Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    POST + b"Host: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    POST + b"Host: a\r\nContent-Length: +5\r\n\r\nhello",
    POST + b"Host: a\r\nContent-Length: -1\r\n\r\n",
    POST + b"Host: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    POST + b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n",
])
def test_malformed_requests_are_refused_and_the_connection_closed(gateway, provider, raw):
    with gateway.connect() as c:
        c.send(raw)
        status, headers, _ = c.head()
        assert status in (400, 501), raw
        assert headers["connection"] == "close"
        c.read_exactly(int(headers["content-length"]))
        assert c.at_end()
    assert not provider.seen
    assert gateway.request("GET", "/health").status == 200


def test_error_of_a_malformed_head_is_json(gateway):
    with gateway.connect() as c:
        c.send(b"GARBAGE\r\n\r\n")
        assert c.answer().json()["error"]["message"]


def test_unknown_method_is_405(gateway):
    with gateway.connect() as c:
        c.send(b"BREW /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.head()[0] == 405


def test_unknown_version_is_505(gateway):
    with gateway.connect() as c:
        c.send(b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n")
        assert c.head()[0] == 505


def test_oversize_head_is_431(gateway):
    with gateway.connect() as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000)
        assert c.head()[0] == 431
    with gateway.connect() as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500 + b"\r\n")
        assert c.head()[0] == 431


def test_oversize_body_is_413_before_it_is_read(gateway_of, provider):
    g = gateway_of(config(provider, client={"max_request_body_size_mb": 1}))
    with g.connect() as c:
        c.send(POST + b"Host: a\r\nContent-Length: 2000000\r\n\r\n")
        assert c.head()[0] == 413
    with g.connect() as c:
        c.send(POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(30):
                c.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert c.head()[0] == 413
    assert not provider.seen


def test_keep_alive_and_pipelining_in_order(gateway, provider):
    with gateway.connect() as c:
        one = POST + b"Host: a\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
        c.send(one + b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" + one)
        assert c.answer().json()["object"] == "chat.completion"
        assert c.answer().json()["status"] == "ok"
        assert c.answer().json()["object"] == "chat.completion"
    assert len(provider.seen) == 2


@pytest.mark.parametrize("step", [1, 7, 64])
def test_a_request_in_pieces(gateway, step):
    raw = POST + b"Host: a\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
    with gateway.connect() as c:
        for i in range(0, len(raw), step):
            c.send(raw[i:i + step])
        assert c.answer().status == 200


def test_chunked_request_with_extension_and_trailer(gateway, provider):
    with gateway.connect() as c:
        c.send(POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(BODY), 10):
            part = BODY[i:i + 10]
            c.send(b"%X;ext=1\r\n%s\r\n" % (len(part), part))
        c.send(b"0\r\nX-Trailer: 1\r\n\r\n")
        assert c.answer().status == 200
        assert c.request("GET", "/health").status == 200
    assert provider.call().body == BODY.replace(b"openai/", b"")


def test_expect_continue(gateway):
    with gateway.connect() as c:
        c.send(POST + b"Host: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert c.head()[0] == 100
        c.send(BODY)
        assert c.answer().status == 200
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n")
        assert c.head()[0] == 417


def test_connection_close_is_honoured(gateway):
    with gateway.connect() as c:
        a = c.request("GET", "/health", headers=[("Connection", "close")])
        assert a.headers["connection"] == "close" and c.at_end()


def test_http_1_0_closes_unless_asked(gateway):
    with gateway.connect() as c:
        c.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert c.head()[0] == 200
        assert json.loads(c.read_end())["status"] == "ok"


def test_absolute_form(gateway):
    with gateway.connect() as c:
        c.send(b"GET http://example.com/health HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert c.answer().status == 200


def test_body_that_stops_is_no_request(gateway, provider):
    c = gateway.connect()
    c.send(POST + b"Host: a\r\nContent-Length: 500\r\n\r\n" + BODY[:20])
    c.close()
    assert gateway.request("GET", "/health").status == 200
    assert not provider.seen


def test_a_client_that_never_reads_does_not_stop_the_others(gateway_of, provider_of):
    big = json.dumps({"choices": [], "pad": "x" * 8_000_000}).encode()
    blocked = threading.Event()

    def script(call):
        if call.json()["model"] == "big":
            blocked.set()
            return call.reply(200, big)
        return call.reply(200, CHAT)

    g = gateway_of(config(provider_of(script)), flags=["--cores=1"])
    stalled = [g.connect() for _ in range(20)]
    for c in stalled:
        c.send_request("POST", "/openai/v1/chat/completions", chat("big"))
    assert blocked.wait(20)
    with g.connect() as c:
        for _ in range(50):
            assert c.request("POST", "/openai/v1/chat/completions", chat("m")).status == 200
    for c in stalled:
        assert c.answer().body == big
        c.close()


def test_many_connections_at_once(gateway):
    clients = [gateway.connect() for _ in range(300)]
    for c in clients:
        c.send_request("POST", "/openai/v1/chat/completions", chat("gpt-4o-mini"))
    for c in clients:
        assert c.answer().status == 200
        c.close()


def test_cors(gateway):
    with gateway.connect() as c:
        a = c.request("OPTIONS", "/v1/chat/completions", headers=[
            ("Origin", "http://localhost:3000"), ("Access-Control-Request-Method", "POST")])
        assert a.status == 200
        assert a.headers["access-control-allow-origin"] == "http://localhost:3000"
        a = c.request("POST", "/v1/chat/completions", chat(),
                      [("Origin", "http://localhost:3000")])
        assert a.headers["access-control-allow-origin"] == "http://localhost:3000"


# ---- /metrics ------------------------------------------------------------------------------------

def test_a_long_page_of_metrics_comes_in_parts(gateway):
    """Three hundred models, each a series of its own."""
    with gateway.connect() as c:
        for i in range(300):
            assert c.request("POST", "/v1/chat/completions",
                             chat("openai/model-%03d" % i)).status == 200
        a = c.request("GET", "/metrics")
        assert a.status == 200 and a.headers["transfer-encoding"] == "chunked"
        assert len(a.body) > 256 * 1024 and a.body.endswith(b"\n")
        lines = a.body.decode().split("\n")
        assert sum(l.startswith("bifrost_upstream_requests_total{") for l in lines) == 300
        assert sum(l.startswith("ringgate_build_info{") for l in lines) == 1
        assert c.request("GET", "/health").status == 200  # the connection goes on


def test_a_scraper_that_leaves_within_the_page(gateway):
    with gateway.connect() as c:
        for i in range(300):
            assert c.request("POST", "/v1/chat/completions",
                             chat("openai/model-%03d" % i)).status == 200
    for _ in range(5):
        c = gateway.connect()
        c.send_request("GET", "/metrics")
        c.read_until(b"HELP")
        c.reset()
    assert gateway.request("GET", "/metrics").status == 200
