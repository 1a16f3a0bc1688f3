# SPDX-License-Identifier: Apache-2.0
"""Providers that speak HTTP/2: one answer for the client, whatever carries it."""
import json
import shutil
import socket
import ssl
import threading
import time

import pytest

import harness
from harness import (CHAT, CHAT_EVENTS, DEADLINE_S, DONE, USAGE_EVENT, chat, config, event,
                     send_stream)
from http2 import (CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM,
                   SETTINGS)
from http2_provider import MAX_CONCURRENT_STREAMS, H2Provider

PATH = "/openai/v1/chat/completions"
ONE_CORE = ["--cores=1"]
LONG = [{"role": "user", "content": "x" * 300000}]


@pytest.fixture(scope="module")
def tls():
    """A provider's context with ALPN, and the authority's text."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    authority = harness.Authority()
    files = authority.issue("127.0.0.1")
    with open(authority.ca, encoding="ascii") as f:
        ca = f.read()

    def make(*protocols):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(*files)
        if protocols:
            ctx.set_alpn_protocols(list(protocols))
        return ctx

    make.authority = authority  # its folder lives as long
    return make, ca


@pytest.fixture(params=["clear", "tls"])
def speaking(request, gateway_of):
    """(provider, gateway) that speak HTTP/2 with each other; members of H2Provider as arguments."""
    made = []

    def make(script=None, network=None, flags=ONE_CORE, **kwargs):
        network = dict({"enforce_http2": True}, **(network or {}))
        if request.param == "tls":
            context, ca = request.getfixturevalue("tls")
            kwargs["tls"] = context("h2", "http/1.1")
            network["ca_cert_pem"] = ca
        made.append(H2Provider(script, **kwargs))
        return made[-1], gateway_of(config(made[-1], network=network), flags=flags)

    yield make
    for p in made:
        p.close()
        assert p.failures == []


def connections(gateway):
    return metric(gateway, 'ringgate_http2_connections_total{core="0",role="client"}')


def metric(gateway, series):
    text = gateway.request("GET", "/metrics").body.decode()
    for line in text.split("\n"):
        if line.startswith(series + " "):
            return int(float(line.split(" ")[1]))
    raise AssertionError("no " + series)


def wait_metric(gateway, series, value):
    end = time.monotonic() + DEADLINE_S
    while (now := metric(gateway, series)) != value:
        assert time.monotonic() < end, "%s is %s" % (series, now)


def at_once(gateway, n, body=None):
    """n requests, each on a connection of its own; their answers."""
    answers = [None] * n

    def ask(i):
        answers[i] = gateway.post(PATH, body or chat("m", user=str(i)))
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(2 * DEADLINE_S)
    assert all(answers)
    return answers


# ---- Messages ------------------------------------------------------------------------------------

@pytest.mark.smoke
def test_a_whole_answer(speaking):
    p, g = speaking()
    a = g.post(PATH, chat("m"))
    assert a.status == 200 and a.json()["choices"] == CHAT["choices"]
    call = p.call()
    names = [k for k, _ in call.fields]
    assert names[:4] == [":method", ":scheme", ":authority", ":path"]
    assert all(k == k.lower() for k in names)
    assert not {"host", "connection", "keep-alive", "transfer-encoding", "te"} & set(names)
    assert call.headers[":method"] == "POST" and call.path == "/v1/chat/completions"
    assert call.headers[":scheme"] == ("https" if p.tls else "http")
    assert call.headers[":authority"] == "127.0.0.1:%d" % p.port
    assert call.headers["content-length"] == str(len(call.body))
    assert call.headers["authorization"] == "Bearer sk-secret-1"
    assert call.json()["messages"] == chat()["messages"]
    assert p.connections[0].settings[2] == 0  # no push
    assert connections(g) == 1


def test_an_answer_is_that_of_http1(speaking, gateway_of, provider):
    def script(call):
        call.reply(200, CHAT, headers=[("x-request-id", "r-1"), ("openai-version", "2020")])

    provider.script = script
    _, g = speaking(script)
    one, two = gateway_of(config(provider)), g
    answers = [x.post(PATH, chat("m")) for x in (one, two)]
    volatile = ("date", "x-bf-latency", "x-bf-request-id")
    heads = [{k.lower(): v for k, v in a.headers.items() if k.lower() not in volatile}
             for a in answers]
    assert heads[0] == heads[1]
    assert answers[0].body == answers[1].body


def test_events_are_not_held_back(speaking):
    step = threading.Semaphore(0)

    def script(call):
        call.stream_head()
        for e in CHAT_EVENTS + [DONE]:
            call.chunk(e)
            assert step.acquire(timeout=DEADLINE_S)
        call.stream_end()

    _, g = speaking(script)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        status, _, _ = c.head()[:3]
        assert status == 200
        for e in CHAT_EVENTS + [DONE]:
            assert c.chunk() == e
            step.release()
        assert c.chunk() == b""


def test_many_requests_share_a_connection(speaking):
    together = threading.Barrier(20)

    def script(call):
        together.wait(DEADLINE_S)  # all are there before any is answered
        call.reply(200, dict(CHAT, id=call.json()["user"]))

    p, g = speaking(script, settings={MAX_CONCURRENT_STREAMS: 100})
    for i, a in enumerate(at_once(g, 20)):
        assert a.status == 200 and a.json()["id"] == str(i)
    assert len(p.connections) == 1 and p.connections[0].peak == 20
    assert connections(g) == 1
    assert metric(g, 'ringgate_http2_streams_total{core="0",role="client"}') == 20


@pytest.mark.parametrize("limit", [1, 3])
def test_the_providers_limit_is_kept(speaking, limit):
    p, g = speaking(settings={MAX_CONCURRENT_STREAMS: limit})
    assert all(a.status == 200 for a in at_once(g, 24))
    assert max(c.peak for c in p.connections) <= limit
    assert len(p.seen) == 24


def test_a_limit_of_one_queues_at_max_conns(speaking):
    p, g = speaking(settings={MAX_CONCURRENT_STREAMS: 1}, network={"max_conns_per_host": 2})
    assert all(a.status == 200 for a in at_once(g, 16))
    assert len(p.connections) <= 2 and max(c.peak for c in p.connections) == 1


def test_a_large_request_and_a_large_answer(speaking):
    text = "x" * 3_000_000

    def script(call):
        body = call.json()
        assert body["messages"][0]["content"] == text
        call.reply(200, dict(CHAT, padding=text))

    _, g = speaking(script)
    a = g.post(PATH, chat("m", messages=[{"role": "user", "content": text}]))
    assert a.status == 200 and a.json()["padding"] == text


def test_interim_heads_and_trailers_are_passed_over(speaking):
    body = json.dumps(CHAT).encode()

    def script(call):
        call.head(100)
        call.head(103, [("link", "</x>")])
        call.head(200, [("content-type", "application/json")])
        call.data(body)
        call.conn.headers(call.stream, [("x-checksum", "1")], end=True)

    _, g = speaking(script)
    a = g.post(PATH, chat("m"))
    assert a.status == 200 and a.json()["choices"] == CHAT["choices"]
    assert not {"link", "x-checksum"} & {k.lower() for k in a.headers}


# ---- Endings -------------------------------------------------------------------------------------

def test_a_stream_that_is_reset_ends_with_the_dialects_error(speaking):
    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        call.chunk(CHAT_EVENTS[1])
        call.reset(INTERNAL_ERROR)

    p, g = speaking(script)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        assert c.head()[0] == 200
        got = b"".join(c.events())
    assert got.startswith(CHAT_EVENTS[0] + CHAT_EVENTS[1])
    rest = got[len(CHAT_EVENTS[0] + CHAT_EVENTS[1]):]
    assert b'"error"' in rest and b"[DONE]" not in rest
    p.script = harness.default_script
    assert g.post(PATH, chat("m")).status == 200
    assert len(p.connections) == 1  # which has lost one stream, not itself


@pytest.mark.parametrize("how", ["reset", "short", "long", "closed"])
def test_half_an_answer_is_none(speaking, how):
    def script(call):
        call.head(200, [("content-type", "application/json"), ("content-length", "100")])
        call.data(b"{" * (200 if how == "long" else 50), end=how == "short")
        if how == "reset":
            call.reset(NO_ERROR)
        elif how == "closed":
            call.conn.close()

    _, g = speaking(script)
    a = g.post(PATH, chat("m"))
    assert a.status == 502
    assert "ended early" in a.json()["error"]["message"]


@pytest.mark.parametrize("block", [
    [("x", "1")],                              # no status
    [(":status", "200"), ("connection", "close")],
    [(":status", "101")],
])
def test_a_head_that_is_none(speaking, block):
    _, g = speaking(lambda call: call.conn.headers(call.stream, block, end=True))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and "malformed" in a.json()["error"]["message"]
    assert metric(g, 'ringgate_http2_malformed_total{core="0",role="client"}') == 1


def test_a_head_that_is_too_large(speaking):
    def script(call):
        call.head(200, [("x-%d" % i, "v" * 3000) for i in range(25)], end=True)

    p, g = speaking(script)
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and "too large" in a.json()["error"]["message"]
    p.script = harness.default_script
    assert g.post(PATH, chat("m")).status == 200
    assert len(p.connections) == 1


def test_a_push_ends_the_connection(speaking):
    def script(call):
        call.conn.frame(PUSH_PROMISE, 0x4, call.stream, b"\0\0\0\2\x82\x84\x86\x41\x01x")

    p, g = speaking(script)
    assert g.post(PATH, chat("m")).status == 502
    assert p.connections[0].ended.wait(DEADLINE_S)
    assert p.connections[0].goaway_code == PROTOCOL_ERROR


def test_a_flood_ends_the_connection(speaking):
    def script(call):
        while True:
            call.conn.frame(SETTINGS)

    p, g = speaking(script)
    assert g.post(PATH, chat("m")).status == 502
    assert p.connections[0].ended.wait(DEADLINE_S)
    assert metric(
        g, 'ringgate_http2_limits_total{core="0",role="client",limit="settings"}') == 1


# ---- Refused, GOAWAY -----------------------------------------------------------------------------

def test_a_refused_stream_is_asked_again_on_another_connection(speaking):
    def script(call):
        if call.connection == 1:
            call.reset(REFUSED_STREAM)
        else:
            call.reply(200, CHAT)

    p, g = speaking(script)
    assert g.post(PATH, chat("m")).status == 200
    assert [c.connection for c in p.seen] == [1, 2]
    assert p.seen[0].body == p.seen[1].body
    assert metric(g, 'ringgate_upstream_http2_refused_total{core="0"}') == 1
    assert metric(g, 'ringgate_upstream_retries_total{core="0"}') == 1


def test_a_stream_is_refused_twice_at_most(speaking):
    p, g = speaking(lambda call: call.reset(REFUSED_STREAM))
    assert g.post(PATH, chat("m")).status == 502
    assert len(p.seen) == 2


def test_a_stream_that_was_looked_at_is_not_asked_again(speaking):
    def script(call):
        call.head(103)
        call.reset(REFUSED_STREAM)

    p, g = speaking(script)
    assert g.post(PATH, chat("m")).status == 502
    assert len(p.seen) == 1


def test_goaway_lets_streams_finish_and_sends_no_new_ones(speaking):
    go = threading.Event()

    def script(call):
        if call.connection > 1:
            return call.reply(200, CHAT)
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        call.conn.goaway(call.stream)
        go.wait(DEADLINE_S)
        for e in CHAT_EVENTS[1:] + [USAGE_EVENT, DONE]:
            call.chunk(e)
        return call.stream_end()

    p, g = speaking(script)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", stream=True,
                                          stream_options={"include_usage": True}))
        c.head()
        assert c.chunk() == CHAT_EVENTS[0]
        wait_metric(g, 'ringgate_upstream_http2_goaways_total{core="0"}', 1)
        assert g.post(PATH, chat("m")).status == 200  # on another connection
        go.set()
        got = b"".join(c.events())
    assert got == b"".join(CHAT_EVENTS[1:] + [USAGE_EVENT, DONE])
    assert p.connections[0].ended.wait(DEADLINE_S)  # its last stream has ended
    assert [call.connection for call in p.seen] == [1, 2]


def test_streams_above_goaways_last_id_are_asked_again(speaking):
    def script(call):
        if call.connection == 1:
            call.conn.goaway(0)
        else:
            call.reply(200, CHAT)

    p, g = speaking(script)
    assert g.post(PATH, chat("m")).status == 200
    assert [c.connection for c in p.seen] == [1, 2]


def test_a_connection_that_dies_under_a_request_costs_one_silent_retry(speaking):
    """As a pooled connection does over HTTP/1: nothing was received since the request."""
    def script(call):
        if call.connection == 1 and call.stream > 1:
            call.conn.close()
        else:
            call.reply(200, CHAT)

    p, g = speaking(script)
    assert g.post(PATH, chat("m")).status == 200
    assert p.connections[0].number == 1
    # SETTINGS and WINDOW_UPDATE would be bytes received: this provider sends none for a body.
    p.stingy = True
    assert g.post(PATH, chat("m")).status == 200
    assert [c.connection for c in p.seen] == [1, 1, 2]


# ---- Clients that leave, or are slow -------------------------------------------------------------

def test_a_client_that_leaves_takes_its_stream_back(speaking):
    def script(call):
        if call.json()["stream"]:
            call.stream_head()
            call.chunk(CHAT_EVENTS[0])
        else:
            call.reply(200, CHAT)

    p, g = speaking(script)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        c.head()
        assert c.chunk() == CHAT_EVENTS[0]
    assert p.call().wait_reset() == CANCEL
    assert g.post(PATH, chat("m", stream=False)).status == 200
    assert len(p.connections) == 1


def test_a_client_that_does_not_wait_for_the_head(speaking):
    p, g = speaking(lambda call: None)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m"))
        call = p.call()
    assert call.wait_reset() == CANCEL
    p.script = harness.default_script
    assert g.post(PATH, chat("m")).status == 200
    assert len(p.connections) == 1


def test_a_request_that_is_given_up_while_it_is_sent(speaking):
    """The provider's windows are closed: most of the body lies here when the client leaves."""
    p, g = speaking(lambda call: None, early=True, stingy=True)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", messages=LONG))
        call = p.call()
    assert call.wait_reset() == CANCEL
    assert 0 < len(call.body) <= 65535


def test_a_timeout_resets_its_stream(speaking):
    p, g = speaking(lambda call: None, network={"default_request_timeout_in_seconds": 1})
    assert g.post(PATH, chat("m")).status == 504
    assert p.call().wait_reset() == CANCEL


def test_a_dead_connection_is_noticed(speaking):
    """It takes requests and says nothing, not even to a ping."""
    p, g = speaking(lambda call: None, mute=True,
                    network={"default_request_timeout_in_seconds": 1})
    assert g.post(PATH, chat("m")).status == 504
    assert p.connections[0].ended.wait(DEADLINE_S)
    assert p.connections[0].pings == 1
    p.script = harness.default_script
    assert g.post(PATH, chat("m")).status == 200
    assert len(p.connections) == 2


def test_a_slow_client_stalls_its_own_stream_only(speaking):
    line = event(harness.chat_chunk({"content": "y" * 8000}))
    stalled = threading.Event()

    def script(call):
        if not call.json().get("stream"):
            return call.reply(200, dict(CHAT, padding="z" * 2_000_000))
        call.stream_head()
        for _ in range(4000):
            call.conn.lock.acquire()
            closed = call.conn.windows.get(call.stream, 0) < len(line)
            call.conn.lock.release()
            if closed:
                stalled.set()
            call.chunk(line)
        return call.stream_end()

    p, g = speaking(script)
    with g.connect() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send_request("POST", PATH, chat("m", stream=True))
        assert stalled.wait(DEADLINE_S)
        for _ in range(3):  # each many times a window
            a = g.post(PATH, chat("m"))
            assert a.status == 200 and len(a.json()["padding"]) == 2_000_000
    assert len(p.connections) == 1


# ---- Which version -------------------------------------------------------------------------------

def test_without_a_word_nothing_but_http1_is_offered(gateway_of, tls, provider_of):
    context, ca = tls
    seen = []

    def script(call):
        seen.append(call.sock.selected_alpn_protocol())
        call.reply(200, CHAT)

    p = provider_of(script, tls=context("h2", "http/1.1"))
    g = gateway_of(config(p, network={"ca_cert_pem": ca}))
    assert g.post(PATH, chat("m")).status == 200
    assert seen == ["http/1.1"]


def test_offered_the_provider_chooses(gateway_of, tls, provider_of):
    context, ca = tls
    network = {"ca_cert_pem": ca, "offer_http2": True}
    seen = []

    def script(call):
        seen.append(call.sock.selected_alpn_protocol())
        call.reply(200, CHAT)

    old = provider_of(script, tls=context("http/1.1"))
    g = gateway_of(config(old, network=network), flags=ONE_CORE)
    assert all(a.status == 200 for a in at_once(g, 8))
    assert g.post(PATH, chat("m")).status == 200
    assert set(seen) == {"http/1.1"} and connections(g) == 0
    g.stop()

    new = H2Provider(tls=context("h2", "http/1.1"))
    g = gateway_of(config(new, network=network), flags=ONE_CORE)
    assert all(a.status == 200 for a in at_once(g, 8))
    assert new.chosen == {"h2": 1}
    new.close()


def test_offered_in_clear_text_is_http1(gateway_of, provider):
    g = gateway_of(config(provider, network={"offer_http2": True}))
    assert g.post(PATH, chat("m")).status == 200


@pytest.mark.parametrize("protocols", [("http/1.1",), ()])
def test_enforced_and_not_spoken_over_tls(gateway_of, tls, provider_of, protocols):
    context, ca = tls
    p = provider_of(tls=context(*protocols))
    g = gateway_of(config(p, network={"ca_cert_pem": ca, "enforce_http2": True}))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and "does not speak HTTP/2" in a.json()["error"]["message"]
    assert p.seen == []


def test_enforced_and_not_spoken_in_clear_text(gateway_of, provider_of):
    """The preface is an HTTP/1 request of method PRI to somebody who knows no better."""
    def script(call):
        call.reply(400, {"error": {"message": "what?"}})
        raise harness.Hangup

    p = provider_of(script)
    g = gateway_of(config(p, network={"enforce_http2": True}))
    a = g.post(PATH, chat("m"))
    assert a.status == 502 and "malformed" in a.json()["error"]["message"]


# ---- Connections ---------------------------------------------------------------------------------

def test_a_burst_opens_one_connection(speaking):
    """Whoever comes while it is on its way waits for it."""
    p, g = speaking()
    assert all(a.status == 200 for a in at_once(g, 30))
    assert len(p.connections) == 1


def test_nobody_waits_for_a_connection_that_cannot_be(gateway_of):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    g = gateway_of(config("http://127.0.0.1:%d" % port, network={"enforce_http2": True}),
                   flags=ONE_CORE)
    assert {a.status for a in at_once(g, 8)} == {502}


def test_an_idle_connection_is_closed_with_a_word(speaking):
    p, g = speaking(network={"keep_alive_timeout_in_seconds": 1})
    assert g.post(PATH, chat("m")).status == 200
    assert p.connections[0].ended.wait(DEADLINE_S)
    assert p.connections[0].goaway_code == NO_ERROR
    assert g.post(PATH, chat("m")).status == 200
    assert len(p.connections) == 2


def test_a_stop_lets_streams_finish(speaking):
    go = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        go.wait(DEADLINE_S)
        call.chunk(DONE)
        call.stream_end()

    _, g = speaking(script)
    with g.connect() as c:
        c.send_request("POST", PATH, chat("m", stream=True))
        c.head()
        assert c.chunk() == CHAT_EVENTS[0]
        g.process.terminate()
        g.wait_log("finishing the requests")
        go.set()
        assert b"".join(c.events()) == DONE


def test_an_early_refusal_ends_the_sending(speaking):
    """The provider answers 413 with its windows closed; the rest of the body is not sent."""
    def script(call):
        call.reply(413, {"error": {"message": "too long for me", "type": "x"}})

    p, g = speaking(script, early=True, stingy=True)
    a = g.post(PATH, chat("m", messages=LONG))
    assert a.status == 413 and "too long for me" in a.json()["error"]["message"]
    assert g.post(PATH, chat("m")).status == 413
    assert len(p.connections) == 1


def test_the_other_vendors_dialect(gateway_of):
    """Translation and models' lists stand above the version."""
    p = H2Provider(harness.anthropic_script)
    g = gateway_of(config(p, "anthropic", network={"enforce_http2": True}, keys=[
        {"name": "a1", "value": "sk-ant-secret", "weight": 1, "models": ["*"]}]), flags=ONE_CORE)
    a = g.post("/v1/chat/completions", chat("anthropic/claude-sonnet-4-5"))
    assert a.status == 200 and a.json()["choices"][0]["message"]["content"] == "Hello."
    with g.connect() as c:
        c.send_request("POST", "/v1/chat/completions",
                       chat("anthropic/claude-sonnet-4-5", stream=True))
        c.head()
        assert b"".join(c.events()).endswith(DONE)
    assert "claude-haiku-4-5" in g.request("GET", "/v1/models").body.decode()
    assert len(p.connections) == 1
    p.close()
