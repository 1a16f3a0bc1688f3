# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, and what the client is told."""
import json
import socket
import threading

import pytest

from harness import (CHAT, CHAT_EVENTS, DONE, Hangup, RESPONSE_EVENTS, chat, chat_chunk,
                     config, event, reset)


@pytest.mark.parametrize("body,name", [
    (b"", ""), (b"{", ""), (b"[]", ""), (b'{"model":"openai/m"} x', ""), (b'\xef\xbb\xbf{}', ""),
    (b'{"messages":[]}', "model"), (b'{"model":5,"messages":[]}', "model"),
    (b'{"model":"","messages":[]}', "model"),
    (b'{"model":"openai/m"}', "messages"), (b'{"model":"openai/m","messages":"x"}', "messages"),
    (b'{"model":"openai/m","messages":[{}],"stream":"yes"}', "stream"),
    (b'{"model":"openai/m","messages":[{}],"stream_options":1}', "stream_options"),
    (b'{"model":"openai/m","messages":[{}],"fallbacks":"x"}', "fallbacks"),
    (b'{"model":"openai/m","messages":[{}],"model":"openai/n"}', "model"),
    (b'{"model":"openai/m","messages":[{}],"Model":"openai/n"}', "model"),
    (b'{"model":"openai/m","messages":[{}],"mod\\u0065l":"openai/n"}', "model"),
])
@pytest.mark.parametrize("mount", ["/v1", "/openai/v1"])
def test_bad_bodies_are_refused_naming_the_member(gateway, provider, mount, body, name):
    with gateway.connect() as c:
        a = c.request("POST", mount + "/chat/completions", body)
        assert a.status == 400, a.body
        assert name in a.json()["error"]["message"]
        assert c.request("GET", "/health").status == 200, "the connection is still good"
    assert not provider.seen


def test_unknown_provider(gateway):
    a = gateway.post("/v1/chat/completions", chat("groq/llama"))
    assert a.status == 400 and "groq" in a.json()["error"]["message"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 529])
def test_provider_errors_keep_their_status(gateway_of, provider_of, status):
    error = {"error": {"message": "no such thing", "type": "invalid_request_error",
                       "code": 77, "param": "messages"}}
    g = gateway_of(config(provider_of(lambda call: call.reply(status, error))))
    a = g.post("/v1/chat/completions", chat())
    got = a.json()
    assert a.status == status and got["status_code"] == status
    assert got["is_bifrost_error"] is False
    assert got["error"]["message"] == "no such thing" and got["error"]["code"] == "77"
    assert got["extra_fields"]["provider"] == "openai"
    a = g.post("/openai/v1/chat/completions", chat("gpt-4o-mini"))
    assert a.status == status and a.json() == error


def test_error_of_a_stream_request_is_plain_http(gateway_of, provider_of):
    g = gateway_of(config(provider_of(
        lambda call: call.reply(400, {"error": {"message": "bad"}}))))
    a = g.post("/v1/chat/completions", chat(stream=True))
    assert a.status == 400 and a.headers["content-type"] == "application/json"


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def test_unreachable_provider_is_502_and_logged_once(gateway_of):
    g = gateway_of(config("http://127.0.0.1:%d" % closed_port(),
                          network={"max_retries": 2, "retry_backoff_initial": 100,
                                   "retry_backoff_max": 100}))
    a = g.post("/v1/chat/completions", chat())
    assert a.status == 502 and a.json()["is_bifrost_error"] is True
    line = g.wait_log("connection refused")
    assert "sk-secret" not in "\n".join(g.log)
    assert sum("connection refused" in l for l in g.log) == 1, line


def test_silent_provider_is_504(gateway_of, provider_of):
    release = threading.Event()
    g = gateway_of(config(provider_of(lambda call: release.wait(30)),
                          network={"default_request_timeout_in_seconds": 1}))
    for stream in (False, True):
        a = g.post("/v1/chat/completions", chat(stream=stream))
        assert a.status == 504, a.body
    release.set()


def test_provider_that_hangs_up_is_502(gateway_of, provider_of):
    def script(call):
        raise Hangup

    a = gateway_of(config(provider_of(script))).post("/v1/chat/completions", chat())
    assert a.status == 502


@pytest.mark.parametrize("answer", [
    b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nX y: 1\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
])
def test_malformed_answers_are_502(gateway_of, provider_of, answer):
    def script(call):
        call.send(answer)
        raise Hangup

    a = gateway_of(config(provider_of(script))).post("/v1/chat/completions", chat())
    assert a.status == 502, a.body


def test_answer_cut_short_is_never_whole(gateway_of, provider_of):
    body = json.dumps(CHAT).encode()

    def script(call):
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:40]))
        raise Hangup

    a = gateway_of(config(provider_of(script))).post("/openai/v1/chat/completions", chat("m"))
    assert a.status == 502


@pytest.mark.parametrize("ending", ["hangup", "reset", "half", "bad-chunk", "no-done"])
def test_stream_that_dies_ends_with_an_error_event(gateway_of, provider_of, ending):
    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        if ending == "half":
            call.chunk(CHAT_EVENTS[1][:20])
        if ending == "bad-chunk":
            call.send(b"xyz\r\n")
        if ending == "no-done":
            call.stream_end()
            return
        if ending == "reset":
            provider.go.wait(20)
            reset(call)
        raise Hangup

    provider = provider_of(script)
    provider.go = threading.Event()
    g = gateway_of(config(provider))
    with g.connect() as c:
        c.send_request("POST", "/v1/chat/completions", chat(stream=True))
        c.head()
        events = []
        for e in c.events():
            events.append(e)
            provider.go.set()
    assert events[-1] == DONE and len(events) == 3, events
    got = json.loads(events[1][6:])
    assert got["is_bifrost_error"] is True and got["error"]["message"]
    provider.go.clear()
    with g.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions", chat("m", stream=True))
        c.head()
        events = []
        for e in c.events():
            events.append(e)
            provider.go.set()
    assert len(events) == 2 and DONE not in events, "a drop-in stream ends without [DONE]"
    assert "error" in json.loads(events[1][6:])


def test_responses_stream_that_dies(gateway_of, provider_of):
    def script(call):
        call.stream_head()
        call.chunk(RESPONSE_EVENTS[0])
        raise Hangup

    g = gateway_of(config(provider_of(script)))
    a = g.post("/v1/responses", {"model": "openai/m", "input": "x", "stream": True})
    assert b"event: error\n" in a.body and DONE not in a.body


def test_silent_stream_ends_at_the_idle_limit(gateway_of, provider_of):
    release = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        release.wait(30)

    g = gateway_of(config(provider_of(script), network={"stream_idle_timeout_in_seconds": 5}))
    a = g.post("/v1/chat/completions", chat(stream=True))
    assert b"is_bifrost_error" in a.body and a.body.endswith(DONE)
    release.set()


def test_retry_on_the_same_key(gateway_of, provider_of):
    def script(call):
        if len(provider.seen) < 3:
            return call.reply(503, {"error": {"message": "busy"}})
        return call.reply(200, CHAT)

    provider = provider_of(script)
    g = gateway_of(config(provider, network={"max_retries": 2, "retry_backoff_initial": 100,
                                             "retry_backoff_max": 100}))
    assert g.post("/v1/chat/completions", chat()).status == 200
    assert len(provider.seen) == 3


@pytest.mark.parametrize("status,text", [(429, "slow down"), (400, "Rate limit reached")])
def test_rate_limit_goes_to_the_next_key(gateway_of, provider_of, status, text):
    def script(call):
        if call.headers["authorization"] == "Bearer one":
            return call.reply(status, {"error": {"message": text}})
        return call.reply(200, CHAT)

    provider = provider_of(script)
    keys = [{"name": "a", "value": "one", "weight": 1000000, "models": ["*"]},
            {"name": "b", "value": "two", "weight": 0.000001, "models": ["*"]}]
    g = gateway_of(config(provider, keys=keys, network={
        "max_retries": 1, "retry_backoff_initial": 100, "retry_backoff_max": 100}))
    assert g.post("/v1/chat/completions", chat()).status == 200
    assert [c.headers["authorization"] for c in provider.seen] == ["Bearer one", "Bearer two"]


def test_no_retry_on_a_callers_mistake(gateway_of, provider_of):
    provider = provider_of(lambda call: call.reply(422, {"error": {"message": "no"}}))
    g = gateway_of(config(provider, network={"max_retries": 3, "retry_backoff_initial": 100,
                                             "retry_backoff_max": 100}))
    assert g.post("/v1/chat/completions", chat()).status == 422
    assert len(provider.seen) == 1


def test_fallbacks_in_order_and_the_primarys_error(gateway_of, provider_of):
    def script(call):
        if call.json()["model"] == "c" and provider.up:
            return call.reply(200, CHAT)
        return call.reply(500, {"error": {"message": "down " + call.json()["model"]}})

    provider = provider_of(script)
    provider.up = True
    g = gateway_of(config(provider))
    body = chat("openai/a", fallbacks=["openai/b", "nobody/x", {"provider": "openai",
                                                                "model": "c"}])
    a = g.post("/v1/chat/completions", body)
    assert a.status == 200 and [c.json()["model"] for c in provider.seen] == ["a", "b", "c"]
    provider.up = False
    a = g.post("/v1/chat/completions", body)
    assert a.status == 500 and a.json()["error"]["message"] == "down a"


def test_fallback_of_a_stream_before_the_first_event(gateway_of, provider_of):
    def script(call):
        if call.json()["model"] == "a":
            call.stream_head()
            raise Hangup
        call.stream_head()
        call.chunk(b"".join(CHAT_EVENTS) + DONE)
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    a = g.post("/openai/v1/chat/completions", chat("a", stream=True, fallbacks=["b"]))
    assert a.body == b"".join(CHAT_EVENTS) + DONE


PROCESSING = b": OPENROUTER PROCESSING\n\n"


def test_a_comment_does_not_end_retries(gateway_of, provider_of):
    """The first attempt dies behind its comments; only the second one's reach the client."""
    def script(call):
        call.stream_head()
        call.chunk(PROCESSING)
        if len(p.seen) == 1:
            raise Hangup
        call.chunk(PROCESSING)
        for e in CHAT_EVENTS + [DONE]:
            call.chunk(e)
        call.stream_end()

    p = provider_of(script)
    g = gateway_of(config(p, network={"max_retries": 1, "retry_backoff_initial": 100,
                                      "retry_backoff_max": 100}))
    a = g.post("/openai/v1/chat/completions", chat("m", stream=True))
    assert a.status == 200 and len(p.seen) == 2
    assert a.body == 2 * PROCESSING + b"".join(CHAT_EVENTS) + DONE


def test_a_stream_of_comments_alone_is_504(gateway_of, provider_of):
    def script(call):
        call.stream_head()
        call.sock.settimeout(0.02)
        for _ in range(500):
            call.chunk(PROCESSING)
            try:
                if not call.sock.recv(1):
                    raise Hangup
            except socket.timeout:
                pass

    g = gateway_of(config(provider_of(script),
                          network={"default_request_timeout_in_seconds": 1}))
    a = g.post("/v1/chat/completions", chat(stream=True))
    assert a.status == 504 and a.headers["content-type"] == "application/json"


def test_a_comment_behind_the_first_event_passes_at_once(gateway_of, provider_of):
    go = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        call.chunk(PROCESSING)
        go.wait(20)
        for e in CHAT_EVENTS[1:] + [DONE]:
            call.chunk(e)
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    with g.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions", chat("m", stream=True))
        assert c.head()[0] == 200
        c.read_until(PROCESSING)
        go.set()
        c.read_until(b"0\r\n\r\n")


def test_pooled_connection_that_died_is_replaced_silently(gateway_of, provider_of):
    """The provider answers, then closes as the next request reaches it."""
    def script(call):
        if call.connection == 1 and len(provider.seen) == 2:
            raise Hangup
        call.reply(200, CHAT)

    provider = provider_of(script)
    g = gateway_of(config(provider), flags=["--cores=1"])
    for _ in range(2):
        assert g.post("/v1/chat/completions", chat()).status == 200
    assert len(provider.seen) == 3 and provider.connections == 2
    assert "upstream_retries" in g.request("GET", "/metrics").body.decode()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_cancels_the_upstream(gateway_of, provider_of, stream, how):
    started, closed = threading.Event(), threading.Event()

    def script(call):
        if stream:
            call.stream_head()
            call.chunk(CHAT_EVENTS[0])
        started.set()
        if call.wait_closed():
            closed.set()

    g = gateway_of(config(provider_of(script)))
    c = g.connect()
    c.send_request("POST", "/v1/chat/completions", chat(stream=stream))
    if stream:
        c.head()
        assert next(c.events())
    assert started.wait(20)
    getattr(c, how)()
    assert closed.wait(20), "the provider's connection is still open"


def test_stream_error_event_from_the_provider_before_anything(gateway_of, provider_of):
    def script(call):
        call.stream_head()
        call.chunk(event({"error": {"message": "overloaded", "type": "server_error"}}))
        call.stream_end()

    a = gateway_of(config(provider_of(script))).post("/v1/chat/completions", chat(stream=True))
    assert a.status >= 400 and "overloaded" in a.json()["error"]["message"]


def test_concurrency_and_a_full_queue(gateway_of, provider_of):
    release = threading.Event()

    def script(call):
        release.wait(20)
        call.reply(200, CHAT)

    provider = provider_of(script)
    g = gateway_of(config(provider, client={"drop_excess_requests": True},
                          concurrency_and_buffer_size={"concurrency": 1, "buffer_size": 1}))
    first, second = g.connect(), g.connect()
    first.send_request("POST", "/v1/chat/completions", chat())
    provider.call()
    second.send_request("POST", "/v1/chat/completions", chat())
    assert g.wait_metric('ringgate_provider_waiting{provider="openai"} 1')
    a = g.post("/v1/chat/completions", chat())
    assert a.status == 503
    assert a.json()["error"]["message"] == "request dropped: queue is full"
    release.set()
    assert first.answer().status == 200 and second.answer().status == 200
    assert len(provider.seen) == 2


def test_tool_argument_deltas_pass_as_deltas(gateway_of, provider_of):
    got_one = threading.Event()

    def delta(text):
        return event(chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}))

    def script(call):
        call.stream_head()
        call.chunk(delta('{"a'))
        assert got_one.wait(20)
        call.chunk(delta('":1}') + DONE)
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    with g.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions", chat("m", stream=True))
        c.head()
        events = c.events()
        assert next(events) == delta('{"a')
        got_one.set()
        assert b"".join(events) == delta('":1}') + DONE


def test_a_list_of_models_that_is_none_is_an_error(gateway_of, provider_of):
    good = provider_of()
    bad = provider_of(lambda call: call.reply(200, b"<html>", content_type="text/html"))
    cfg = config(bad)
    a = gateway_of(cfg).request("GET", "/v1/models?provider=openai")
    assert a.status == 502, a.body
    cfg["providers"]["groq"] = config(good, "groq")["providers"]["groq"]
    a = gateway_of(cfg).request("GET", "/v1/models")
    assert a.status == 200 and a.json()["data"], "one bad provider does not spoil the rest"
