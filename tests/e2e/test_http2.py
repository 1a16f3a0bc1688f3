# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as clients and attackers speak it, in clear text with prior knowledge."""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

import http2
from harness import (ALWAYS_TLS, CHAT, CHAT_EVENTS, DEADLINE_S, DONE, chat, config,
                     shared_authority)

# What is over TLS is in test_tls_listener.py: there ALPN chooses, here nobody does.
pytestmark = pytest.mark.skipif(ALWAYS_TLS, reason="prior knowledge is in clear text")

CHAT_PATH = "/openai/v1/chat/completions"


def h2(gateway, **kwargs):
    return http2.Client(gateway.port, **kwargs)


def memory(gateway):
    """Resident bytes of the gateway's process."""
    with open("/proc/%d/statm" % gateway.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def no_exchange_is_left(gateway):
    """But the one that asks."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        text = gateway.request("GET", "/metrics").body.decode()
        if sum(int(n) for n in re.findall(r'ringgate_exchanges\{core="\d+"\} (\d+)', text)) == 1:
            return True
    return False


def limit_hits(gateway, limit):
    text = gateway.request("GET", "/metrics").body.decode()
    return sum(int(n) for n in re.findall(
        r'ringgate_http2_limits_total\{core="\d+",role="server",limit="%s"\} (\d+)' % limit, text))


# ---- Messages ------------------------------------------------------------------------------------

@pytest.mark.smoke
def test_a_request_and_its_answer(gateway, provider):
    with h2(gateway) as c:
        a = c.answer(c.post(CHAT_PATH, chat("gpt-4o-mini")))
        assert a.status == 200
        assert json.loads(a.body)["choices"] == CHAT["choices"]
        assert a.headers["content-length"] == str(len(a.body))
        assert a.headers["content-type"] == "application/json"
        assert a.headers["date"].endswith(" GMT")
        assert "connection" not in a.headers and "transfer-encoding" not in a.headers
    assert json.loads(provider.seen[0].body)["messages"] == chat()["messages"]


def without_times(body):
    return re.sub(rb'"latency":\d+', b"", body)


def test_answers_are_those_of_http1(gateway):
    """The gateway does not know which version carries a request."""
    with h2(gateway) as c:
        for path in ("/health", "/nope", "/v1/models"):
            one, two = gateway.request("GET", path), c.request("GET", path)
            assert (two.status, without_times(two.body)) == (one.status, without_times(one.body))
            assert two.headers["content-type"] == one.headers["content-type"]
        bad = {"model": 5, "messages": []}
        a = c.answer(c.post("/v1/chat/completions", bad))
        assert (a.status, a.body) == (400, gateway.post("/v1/chat/completions", bad).body)


@pytest.mark.smoke
def test_many_streams_on_one_connection(gateway_of, provider_of):
    """Answered in the order the provider answers, not in the order they were asked."""
    p = provider_of(lambda call: None)
    g = gateway_of(config(p))
    with h2(g) as c:
        streams = [c.post(CHAT_PATH, chat("m%d" % i)) for i in range(20)]
        calls = sorted((p.call() for _ in streams), key=lambda call: int(call.json()["model"][1:]))
        for stream, call in reversed(list(zip(streams, calls))):
            call.reply(200, dict(CHAT, model=call.json()["model"]))
            a = c.answer(stream)
            assert json.loads(a.body)["model"] == call.json()["model"]
    assert len(p.seen) == 20


@pytest.mark.smoke
def test_each_event_arrives_before_the_next_is_sent(gateway_of, provider_of):
    step = threading.Semaphore(0)

    def script(call):
        call.stream_head()
        for e in CHAT_EVENTS + [DONE]:
            call.chunk(e)
            assert step.acquire(timeout=DEADLINE_S)
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    with h2(g) as c:
        stream = c.post(CHAT_PATH, chat("gpt-4o-mini", stream=True))
        assert c.head(stream)[0] == 200
        got = b""
        want = b""
        chunks = c.chunks(stream)
        for e in CHAT_EVENTS + [DONE]:
            want += e
            while len(got) < len(want):
                got += next(chunks)
            assert got == want
            step.release()
        assert list(chunks) == []


@pytest.mark.smoke
def test_large_bodies_both_ways(gateway_of, provider_of):
    text = "".join(chr(0x21 + i % 90) for i in range(1 << 20)).replace('"', "x").replace("\\", "x")

    def script(call):
        sent = call.json()["messages"][0]["content"]
        call.reply(200, dict(CHAT, echo=sent * 4))

    g = gateway_of(config(provider_of(script)))
    body = chat("gpt-4o-mini")
    body["messages"][0]["content"] = text
    with h2(g) as c:
        stream = c.upload(CHAT_PATH, body)
        a = c.answer(stream)
        assert a.status == 200
        assert json.loads(a.body)["echo"] == text * 4


def test_head_has_no_body(gateway):
    with h2(gateway) as c:
        stream = c.open("HEAD", "/health")
        status, headers, end = c.head(stream)
        assert (status, end) == (200, True)
        assert int(headers["content-length"]) > 0


def test_expect_100_continue(gateway):
    body = json.dumps(chat("gpt-4o-mini")).encode()
    with h2(gateway) as c:
        stream = c.open("POST", CHAT_PATH, [("expect", "100-continue")], end=False)
        f = c.next_of(stream)
        while f.type == http2.WINDOW_UPDATE:
            f = c.next_of(stream)
        assert (f.type, f.payload) == (http2.HEADERS, [(":status", "100")])
        c.data(stream, body, end=True)
        assert c.answer(stream).status == 200
        assert c.answer(c.open("POST", CHAT_PATH, [("expect", "tea")], end=False)).status == 417


def test_trailers_of_a_request_are_ignored(gateway, provider):
    with h2(gateway) as c:
        stream = c.open("POST", CHAT_PATH, end=False)
        c.data(stream, json.dumps(chat("gpt-4o-mini")).encode())
        c.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream,
                c.block([("x-trailer", "1")]))
        assert c.answer(stream).status == 200
    assert "x-trailer" not in provider.seen[0].headers


def test_unknown_methods_are_405(gateway):
    with h2(gateway) as c:
        a = c.request("BREW", "/health")
        assert a.status == 405 and "POST" in a.headers["allow"]
        a = c.answer(c.open("", "", pseudo=[(":method", "CONNECT"), (":authority", "a:1")]))
        assert a.status == 405


def test_too_large_bodies_are_413_before_they_are_sent(gateway_of, provider):
    g = gateway_of(config(provider, client={"max_request_body_size_mb": 1}))
    with h2(g) as c:
        stream = c.open("POST", CHAT_PATH, [("content-length", "2000000")], end=False)
        assert c.answer(stream).status == 413
        # The client is told not to go on (RFC 9113 8.1), and other streams do not notice.
        with pytest.raises(http2.Reset) as reset:
            c.next_of(stream)
        assert reset.value.args[0] == http2.NO_ERROR
        assert c.request("GET", "/health").status == 200
    assert not provider.seen


def test_too_large_heads_are_431(gateway):
    with h2(gateway) as c:
        a = c.request("GET", "/health", [("x", "y")] * 200)
        assert a.status == 431
        assert json.loads(a.body)["error"]["message"]
        assert c.request("GET", "/health").status == 200  # HPACK went on


@pytest.mark.parametrize("fields", [
    [("host", "other")], [("transfer-encoding", "chunked")], [("connection", "close")],
    [("content-length", "5"), ("content-length", "6")], [("X-Upper", "1")],
    [("x", "a\r\nx-injected: 1")], [("te", "gzip")], [(":path", "/again")],
])
def test_smuggling_is_reset(gateway, provider, fields):
    with h2(gateway) as c:
        stream = c.open("POST", CHAT_PATH, fields, end=False)
        with pytest.raises(http2.Reset) as reset:
            c.head(stream)
        assert reset.value.args[0] == http2.PROTOCOL_ERROR
        assert c.request("GET", "/health").status == 200
    assert not provider.seen


@pytest.mark.parametrize("length", [3, 300])
def test_a_length_that_lies_is_reset(gateway, provider, length):
    body = json.dumps(chat("gpt-4o-mini")).encode()
    with h2(gateway) as c:
        stream = c.open("POST", CHAT_PATH, [("content-length", str(length))], end=False)
        c.data(stream, body, end=True)
        with pytest.raises(http2.Reset) as reset:
            c.head(stream)
        assert reset.value.args[0] == http2.PROTOCOL_ERROR
    assert not provider.seen


def test_http1_goes_on_beside_it(gateway):
    """Methods that begin like the preface, in pieces, are HTTP/1."""
    with gateway.connect() as c:
        for byte in b"PUT /health HTTP/1.1\r\nHost: a\r\n\r\n":
            c.send(bytes([byte]))
        assert c.answer().status in (404, 405)
    with gateway.connect() as c:
        c.send(b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n")
        assert c.head()[0] == 505
    with gateway.connect() as c:  # not on a connection that has spoken HTTP/1
        assert c.request("GET", "/health").status == 200
        c.send(http2.PREFACE)
        assert c.head()[0] == 505


@pytest.mark.parametrize("step", [1, 5, 23])
def test_a_connection_in_pieces(gateway, step):
    with http2.Client(gateway.port) as c:
        raw = http2.pack(http2.HEADERS, 5, 1, c.block([
            (":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/health")]))
        for i in range(0, len(raw), step):
            c.send(raw[i:i + step])
        assert c.answer(1).status == 200
    with socket.create_connection(("127.0.0.1", gateway.port), DEADLINE_S) as s:
        for i in range(0, len(http2.PREFACE), step):
            s.sendall(http2.PREFACE[i:i + step])
        s.sendall(http2.pack(http2.SETTINGS, 0, 0))
        assert s.recv(9)[3] == http2.SETTINGS


def test_curl(gateway):
    url = "http://127.0.0.1:%d%s" % (gateway.port, CHAT_PATH)
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}", "-o",
         "/dev/null", "-d", json.dumps(chat("gpt-4o-mini")), url],
        capture_output=True, text=True, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout) == (0, "2 200"), done.stderr


def test_curl_streams(gateway_of, provider_of):
    """By prior knowledge, and over TLS by ALPN."""
    def script(call):
        call.stream_head()
        for e in CHAT_EVENTS + [DONE]:
            call.chunk(e)
        call.stream_end()

    p = provider_of(script)
    cert, key = shared_authority()["files"]
    body = json.dumps(chat("gpt-4o-mini", stream=True))
    for flags, scheme, server in (
            (["--http2-prior-knowledge"], "http", {}),
            (["--http2", "-k"], "https", {"tls": {"cert_file": cert, "key_file": key}})):
        g = gateway_of(dict(config(p), server=server))
        done = subprocess.run(
            ["curl", "-sSN", *flags, "-w", "%{http_version}", "-d", body,
             "%s://127.0.0.1:%d%s" % (scheme, g.port, CHAT_PATH)],
            capture_output=True, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stderr
        assert done.stdout == b"".join(CHAT_EVENTS + [DONE]) + b"2"


@pytest.mark.skipif(not shutil.which("h2load"), reason="h2load is not installed")
def test_h2load(gateway_of, provider, tmp_path):
    cert, key = shared_authority()["files"]
    body = tmp_path / "body"
    body.write_text(json.dumps(chat("gpt-4o-mini")))
    for scheme, server in (("http", {}), ("https", {"tls": {"cert_file": cert, "key_file": key}})):
        g = gateway_of(dict(config(provider), server=server))
        out = subprocess.run(
            ["h2load", "-n", "400", "-c", "4", "-m", "8", "-d", str(body), "-H",
             "content-type: application/json",
             "%s://127.0.0.1:%d%s" % (scheme, g.port, CHAT_PATH)],
            capture_output=True, text=True, timeout=DEADLINE_S).stdout
        assert "status codes: 400 2xx" in out, out


# ---- Endings -------------------------------------------------------------------------------------

@pytest.mark.smoke
def test_a_reset_cancels_the_provider_at_once(gateway_of, provider_of):
    closed = threading.Event()

    def script(call):
        if call.json().get("stream"):
            call.stream_head()
            call.chunk(CHAT_EVENTS[0])
        if call.wait_closed():
            closed.set()

    p = provider_of(script)
    g = gateway_of(config(p))
    with h2(g) as c:
        for streamed in (False, True):
            closed.clear()
            stream = c.post(CHAT_PATH, chat("gpt-4o-mini", stream=streamed))
            p.call()
            if streamed:
                c.head(stream)
                next(c.chunks(stream))
            c.reset(stream)
            assert closed.wait(DEADLINE_S)
            assert c.request("GET", "/health").status == 200
    g.wait_log('"status":499', 2)


@pytest.mark.smoke
def test_closing_the_connection_cancels_every_exchange(gateway_of, provider_of):
    p = provider_of(lambda call: call.wait_closed())
    g = gateway_of(config(p))
    for leave in ("close", "reset", "half"):
        c = h2(g)
        for _ in range(5):
            c.post(CHAT_PATH, chat("gpt-4o-mini"))
        for _ in range(5):
            p.call()
        if leave == "reset":
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if leave == "half":
            c.sock.shutdown(socket.SHUT_WR)
            assert c.at_end()
        c.close()
    g.wait_log('"status":499', 15)
    assert no_exchange_is_left(g)


def test_a_provider_that_breaks_off_resets_only_its_stream(gateway_of, provider_of):
    def script(call):
        call.stream_head()
        call.chunk(b"data: {\n\n")
        call.chunk(b"data: 1")
        call.sock.close()

    g = gateway_of(config(provider_of(script)))
    with h2(g) as c:
        stream = c.post(CHAT_PATH, chat("gpt-4o-mini", stream=True))
        try:
            body = c.answer(stream).body
            assert b"error" in body
        except http2.Reset:
            pass
        assert c.request("GET", "/health").status == 200


@pytest.mark.smoke
def test_stop_lets_streams_finish(gateway_of, provider_of):
    go = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        assert go.wait(DEADLINE_S)
        call.chunk(DONE)
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    with h2(g) as busy, h2(g) as idle:
        idle.request("GET", "/health")
        stream = busy.post(CHAT_PATH, chat("gpt-4o-mini", stream=True))
        busy.head(stream)
        chunks = busy.chunks(stream)
        next(chunks)
        g.process.terminate()
        assert idle.at_end()
        go.set()
        assert b"".join(chunks).endswith(DONE)
        assert busy.at_end()
        assert [f.type for f in busy.control].count(http2.GOAWAY) >= 1
    g.stop()


def test_idle_pings_are_answered(gateway):
    with h2(gateway) as c:
        c.frame(http2.PING, 0, 0, b"12345678")
        while True:
            f = c.read_frame()
            if f.type == http2.PING:
                break
        assert f.flags & http2.ACK and f.payload == b"12345678"


# ---- Floods --------------------------------------------------------------------------------------

def flood(c, frames, most):
    """Sends until the gateway has had enough; GOAWAY's code. What is sent behind a GOAWAY for long
    enough turns it into a reset, which may overtake it: that is enough too, and the counters say
    why."""
    try:
        for _, frame in zip(range(most), frames):
            c.send(frame)
            while c.readable():
                f = c.read_frame()
                if f.type == http2.GOAWAY:
                    return struct.unpack(">II", f.payload[:8])[1]
        last = c.goaway()
    except ConnectionError:
        return http2.ENHANCE_YOUR_CALM
    return last and last[1]


def repeat(frame):
    while True:
        yield frame


@pytest.mark.parametrize("limit, frame", [
    ("settings", http2.pack(http2.SETTINGS, 0, 0)),
    ("ping", http2.pack(http2.PING, 0, 0, b"12345678")),
    ("priority", http2.pack(http2.PRIORITY, 0, 5, b"\0\0\0\3\x10")),
    ("window_update", http2.pack(http2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 100),
    ("other_frame", http2.pack(0xbe, 0, 0, b"x")),
    ("empty_data", http2.pack(http2.DATA, 0, 1)),
], ids=lambda x: x if isinstance(x, str) else "")
def test_floods_of_small_frames(gateway, limit, frame):
    with h2(gateway) as c:
        c.open("POST", CHAT_PATH, end=False)
        assert flood(c, repeat(frame), 10000) == http2.ENHANCE_YOUR_CALM
    assert limit_hits(gateway, limit) == 1
    assert gateway.request("GET", "/health").status == 200


@pytest.mark.smoke
def test_rapid_reset(gateway_of, provider_of):
    """CVE-2023-44487: opened and taken back, thousands of times."""
    p = provider_of(lambda call: call.wait_closed())
    g = gateway_of(config(p))
    before = memory(g)
    body = json.dumps(chat("gpt-4o-mini")).encode()
    with h2(g) as c:
        block = c.block([(":method", "POST"), (":scheme", "http"), (":authority", "a"),
                         (":path", CHAT_PATH)])

        def frames():
            for stream in range(1, 200001, 2):
                yield (http2.pack(http2.HEADERS, 4, stream, block)
                       + http2.pack(http2.DATA, 1, stream, body)
                       + http2.pack(http2.RST_STREAM, 0, stream, b"\0\0\0\x08"))

        assert flood(c, frames(), 100000) == http2.ENHANCE_YOUR_CALM
    assert limit_hits(g, "reset") == 1
    assert memory(g) - before < 64 << 20
    assert no_exchange_is_left(g)


def test_resets_the_client_provokes(gateway):
    """CVE-2025-8671: the server is made to reset what it then still works on."""
    with h2(gateway) as c:
        block = c.block([(":method", "GET"), (":scheme", "http"), (":authority", "a"),
                         (":path", "/health"), ("host", "b")])
        with pytest.raises(http2.Gone) as gone:
            for stream in range(1, 9999, 2):  # one at a time: 128 at once is another matter
                c.frame(http2.HEADERS, 5, stream, block)
                with pytest.raises(http2.Reset):
                    c.next_of(stream)
        assert gone.value.args[1] == http2.ENHANCE_YOUR_CALM
    assert limit_hits(gateway, "provoked_reset") == 1


def test_continuation_flood(gateway):
    """VU#421644: a head that never ends."""
    before = memory(gateway)
    with h2(gateway) as c:
        assert c.request("GET", "/health").status == 200  # nothing is left to acknowledge
        c.send(http2.pack(http2.HEADERS, 0, 3, c.block([(":method", "GET")])))
        more = http2.pack(http2.CONTINUATION, 0, 3, b"\0\1x\1y" * 3000)
        assert flood(c, repeat(more), 10000) == http2.ENHANCE_YOUR_CALM
    assert memory(gateway) - before < 16 << 20


def test_hpack_bomb(gateway):
    before = memory(gateway)
    with h2(gateway) as c:
        block = c.block([(":method", "GET"), (":scheme", "http"), (":authority", "a"),
                         (":path", "/"), ("x", "v" * 3900)])
        c.send(http2.pack(http2.HEADERS, 5, 1, block + b"\xbe" * 16000 if len(block) < 380
                          else block + b"\xbe" * (16384 - len(block))))
        assert c.goaway()[1] == http2.ENHANCE_YOUR_CALM
    assert limit_hits(gateway, "hpack_bomb") == 1
    assert memory(gateway) - before < 16 << 20


def test_bodies_nobody_reads_are_bounded(gateway_of, provider_of):
    """A hundred streams, each of which sends all that its window allows and never ends."""
    g = gateway_of(config(provider_of()))
    before = memory(g)
    with h2(g) as c:
        for _ in range(100):
            stream = c.open("GET", "/nope", end=False)
            c.data(stream, b"x" * 65535)
        seen = 0
        while seen < 100:
            f = c.read_frame()
            seen += f.type == http2.HEADERS
        assert memory(g) - before < 64 << 20
    assert g.request("GET", "/health").status == 200


def test_a_zero_window_holds_no_other_stream(gateway_of, provider_of):
    g = gateway_of(config(provider_of()))
    with h2(g, window=0) as c:
        stuck = [c.post(CHAT_PATH, chat("gpt-4o-mini")) for _ in range(10)]
        for stream in stuck:
            assert c.head(stream)[0] == 200
        # Ours is asked for with a window.
        stream = c.open("GET", "/health")
        c.update(stream, 1000)
        assert c.answer(stream).status == 200
        for stream in stuck:
            c.update(stream, 100000)
            assert json.loads(b"".join(c.chunks(stream)))["id"] == CHAT["id"]


@pytest.mark.smoke
def test_a_stalled_reader_beside_a_fast_one(gateway_of, provider_of):
    """The provider of a stream nobody reads is not read either; the next stream runs."""
    blob = b"x" * 60000
    filled = threading.Event()

    def script(call):
        if call.json()["model"] != "endless":
            call.reply(200, CHAT)
            return
        call.stream_head()
        call.sock.settimeout(1)
        try:
            for _ in range(2000):
                call.chunk(b"data: " + blob + b"\n\n")
        except (TimeoutError, socket.timeout):
            filled.set()
            raise

    g = gateway_of(config(provider_of(script)))
    before = memory(g)
    with h2(g) as c:
        endless = c.post(CHAT_PATH, chat("endless", stream=True))
        assert c.head(endless)[0] == 200
        assert filled.wait(DEADLINE_S)
        c.update(0, 1 << 20)
        assert c.answer(c.post(CHAT_PATH, chat("gpt-4o-mini"))).status == 200
        assert memory(g) - before < 32 << 20
