# SPDX-License-Identifier: Apache-2.0
"""Bytes are sacred: what passes is what came."""
import json
import random
import threading
import zlib

import pytest

from harness import (CHAT, CHAT_EVENTS, DEADLINE_S, DONE, USAGE_EVENT, Hangup, chat, chat_chunk,
                     config, event, packed, workers)

# How many times a stream is cut at random places.
CUTS = pytest.mark.parametrize("cuts", [
    pytest.param(300, id="300 cuts"),
    pytest.param(10_000, id="10000 cuts", marks=pytest.mark.soak)])


def test_request_bytes_survive(gateway, provider):
    body = (b'{ "messages" : [{"role":"user","content":"a\\u0041 \xc3\xa9 1.10"}],\r\n'
            b'\t"temperature":1.0e0, "unknown":{"b":1,"a":[ ] }, "model":"openai\\/gpt-4o-mini" ,'
            b' "seed":12345678901234567890 }')
    a = gateway.post("/openai/v1/chat/completions", body)
    assert a.status == 200
    assert provider.call().body == body.replace(b'"openai\\/gpt-4o-mini"', b'"gpt-4o-mini"')


def test_untouched_request_is_byte_equal(gateway, provider):
    body = b'{"model":"gpt-4o-mini","messages":[ {"role":"user","content":"x"} ] }'
    gateway.post("/openai/v1/chat/completions", body)
    assert provider.call().body == body


def test_fallbacks_are_removed_upstream(gateway, provider):
    body = (b'{"fallbacks":["openai/x"],"model":"openai/gpt-4o-mini",'
            b'"messages":[{"role":"user","content":"x"}]}')
    gateway.post("/v1/chat/completions", body)
    assert provider.call().body == (b'{"model":"gpt-4o-mini",'
                                    b'"messages":[{"role":"user","content":"x"}]}')


ODD = (b'{"id" : "x",\n "choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,'
       b'"total_tokens":2},"num":1.50,"big":12345678901234567890,"esc":"\\u00e9\\/" }')


def test_answer_bytes_survive(gateway_of, provider_of):
    g = gateway_of(config(provider_of(lambda call: call.reply(200, ODD))))
    assert g.post("/openai/v1/chat/completions", chat("m")).body == ODD
    got = g.post("/v1/chat/completions", chat("openai/m")).body
    assert got.startswith(ODD[:-2].rstrip()[:40])
    assert b'"num":1.50,"big":12345678901234567890,"esc":"\\u00e9\\/"' in got
    assert "extra_fields" in json.loads(got)


def test_extra_fields_of_the_provider_are_replaced(gateway_of, provider_of):
    g = gateway_of(config(provider_of(
        lambda call: call.reply(200, b'{"extra_fields":{"evil":1},"choices":[]}'))))
    got = g.post("/v1/chat/completions", chat("openai/m")).body
    assert got.count(b'"extra_fields"') == 1 and b"evil" not in got


@pytest.mark.parametrize("size", [0, 1, 60_000, 70_000, 1_000_000])
def test_answers_of_any_size(gateway_of, provider_of, size):
    body = json.dumps({"choices": [], "pad": "x" * size}).encode()

    def script(call):
        if "chunked" in call.body.decode():
            call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n")
            for i in range(0, len(body), 30_000):
                call.chunk(body[i:i + 30_000])
            call.stream_end()
        else:
            call.reply(200, body)

    g = gateway_of(config(provider_of(script)))
    for model in ("m", "chunked"):
        assert g.post("/openai/v1/chat/completions", chat(model)).body == body
        a = g.post("/v1/chat/completions", chat("openai/" + model))
        assert json.loads(a.body)["pad"] == "x" * size


def test_answer_that_is_no_json_passes_unspliced(gateway_of, provider_of):
    g = gateway_of(config(provider_of(
        lambda call: call.reply(200, b"not json", content_type="text/plain"))))
    a = g.post("/v1/chat/completions", chat("openai/m"))
    assert a.status == 200 and a.body == b"not json"
    assert a.headers["content-type"] == "text/plain"


def test_an_event_is_not_held_for_the_next(gateway_of, provider_of):
    """The provider sends an event only after the client has the one before."""
    received = threading.Semaphore(0)
    words = ["w%d" % i for i in range(20)]

    def script(call):
        call.stream_head()
        for w in words:
            call.chunk(event(chat_chunk({"content": w})))
            assert received.acquire(timeout=DEADLINE_S)
        call.chunk(DONE)
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    for path, model in (("/v1", "openai/m"), ("/openai/v1", "m")):
        with g.connect() as c:
            c.send_request("POST", path + "/chat/completions", chat(model, stream=True))
            c.head()
            got = []
            for e in c.events():
                got.append(e)
                received.release()
        assert len(got) == len(words) + 1
        received.acquire(blocking=False)


def test_the_line_feed_behind_done_passes_before_a_silence(gateway_of, provider_of):
    """[DONE] ends with CR LF CR; its LF comes alone, then the provider says nothing more."""
    go, over = threading.Event(), threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0] + b"data: [DONE]\r\n\r")
        go.wait(20)
        call.chunk(b"\n")
        over.wait(20)

    g = gateway_of(config(provider_of(script)))
    with g.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions", chat("m", stream=True))
        assert c.head()[0] == 200
        first = c.chunk()
        go.set()
        rest = b""
        while True:
            data = c.chunk()
            if not data:
                break
            rest += data
        over.set()
    assert first + rest == CHAT_EVENTS[0] + b"data: [DONE]\r\n\r\n"


def cut(data, rng):
    """`data` as HTTP chunks and writes that end anywhere."""
    framed, at = b"", 0
    while at < len(data):
        n = min(rng.choice([1, 3, 17, 90, 400, 5000]), len(data) - at)
        framed += b"%x\r\n%s\r\n" % (n, data[at:at + n])
        at += n
    framed += b"0\r\n\r\n"
    ends = sorted(rng.sample(range(1, len(framed)), min(rng.randint(0, 6), len(framed) - 1)))
    return [framed[a:b] for a, b in zip([0] + ends, ends + [len(framed)])]


def cut_script(stream, seed):
    rng = random.Random(seed)

    def script(call):
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in cut(stream, rng):
            call.send(piece)

    return script


STREAM = (b": comment\n\n" + b"".join(CHAT_EVENTS)
          + event({"choices": [{"index": 0, "delta": {"tool_calls": [
              {"index": 0, "function": {"arguments": "{\"a\":"}}]}}]})
          + b"data: {\"choices\":[{\"delta\":{\"content\":\"\xc3\xa9\"}}], \"n\":1.0}\r\n\r\n")


def lines_ended_by(line_end, stream):
    return stream.replace(b"\r\n", b"\n").replace(b"\n", line_end)


@CUTS
@pytest.mark.parametrize("line_end", [None, b"\r\n", b"\r"], ids=["mixed", "CRLF", "CR"])
@pytest.mark.parametrize("asked", [True, False], ids=["usage asked", "usage withheld"])
def test_stream_is_byte_equal_for_any_cut(gateway_of, provider_of, asked, line_end, cuts):
    stream = STREAM + USAGE_EVENT + DONE
    want = STREAM + (USAGE_EVENT if asked else b"") + DONE
    if line_end:
        stream, want = lines_ended_by(line_end, stream), lines_ended_by(line_end, want)
    g = gateway_of(config(provider_of(cut_script(stream, 7 + asked))))
    body = chat("m", stream=True)
    if asked:
        body["stream_options"] = {"include_usage": True}
    with g.connect() as c:
        for i in range(cuts):
            a = c.request("POST", "/openai/v1/chat/completions", body)
            assert a.status == 200 and a.body == want, "cut %d" % i


@CUTS
def test_stream_on_v1_parses_for_any_cut(gateway_of, provider_of, cuts):
    g = gateway_of(config(provider_of(cut_script(STREAM + USAGE_EVENT + DONE, 9))))
    with g.connect() as c:
        for _ in range(cuts // 3):
            a = c.request("POST", "/v1/chat/completions", chat("openai/m", stream=True))
            datas = [l[6:] for l in a.body.decode().replace("\r\n", "\n").split("\n")
                     if l.startswith("data: ")]
            assert datas[-1] == "[DONE]"
            assert [json.loads(d)["extra_fields"]["chunk_index"]
                    for d in datas[:-1]] == list(range(len(CHAT_EVENTS) + 3))


def test_answer_without_length_ends_with_the_connection(gateway_of, provider_of):
    def script(call):
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
                  + json.dumps(CHAT).encode())
        raise Hangup

    g = gateway_of(config(provider_of(script)))
    assert g.post("/openai/v1/chat/completions", chat("m")).body == json.dumps(CHAT).encode()


def test_a_115_kb_prompt_passes_whole(gateway, provider):
    body = json.dumps(chat("gpt-4o-mini", tools=[{"type": "function", "function": {
        "name": "t%d" % i, "description": "d" * 500, "parameters": {"z": 1, "a": 2}}}
        for i in range(200)])).encode()
    assert len(body) > 100_000
    with gateway.connect() as c:
        for _ in range(5):
            assert c.request("POST", "/openai/v1/chat/completions", body).status == 200
            assert provider.call().body == body


def test_provider_headers_come_back(gateway_of, provider_of):
    g = gateway_of(config(provider_of(lambda call: call.reply(200, CHAT, [
        ("x-request-id", "req_9"), ("x-ratelimit-remaining-tokens", "5"),
        ("Set-Cookie", "a=b"), ("Connection", "keep-alive")]))))
    a = g.post("/openai/v1/chat/completions", chat("m"))
    assert a.headers["x-ratelimit-remaining-tokens"] == "5"
    assert "set-cookie" not in a.headers


def test_stream_to_an_http_1_0_client_ends_with_the_connection(gateway):
    body = json.dumps(chat("gpt-4o-mini", stream=True)).encode()
    with gateway.connect() as c:
        c.send(b"POST /openai/v1/chat/completions HTTP/1.0\r\nHost: t\r\n"
               b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        status, headers, _ = c.head()
        assert status == 200 and "transfer-encoding" not in headers
        assert c.read_end() == b"".join(CHAT_EVENTS) + DONE


def test_gathered_events_are_all_there(gateway_of, provider_of):
    many = [event(chat_chunk({"content": "x" * 100})) for _ in range(5000)]

    def script(call):
        call.stream_head()
        call.send(b"".join(b"%x\r\n%s\r\n" % (len(e), e) for e in many + [DONE]))
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    a = g.post("/openai/v1/chat/completions", chat("m", stream=True))
    assert a.body == b"".join(many) + DONE
    a = g.post("/v1/chat/completions", chat("openai/m", stream=True))
    assert a.body.count(b"data: ") == 5001



@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("size", [0, 3000, 3_000_000])
def test_compressed_answers_are_decoded(gateway_of, provider_of, coding, size):
    body = json.dumps(dict(CHAT, pad="x" * size)).encode()
    provider = provider_of(lambda call: call.reply(
        200, packed(body, coding), [("Content-Encoding", coding)]))
    g = gateway_of(config(provider))
    for _ in range(2):
        a = g.post("/openai/v1/chat/completions", chat("m"))
        assert a.status == 200 and a.body == body and "content-encoding" not in a.headers
        a = g.post("/v1/chat/completions", chat("openai/m"))
        assert a.json()["pad"] == "x" * size and "extra_fields" in a.json()


def test_br_bomb_is_decoded_by_workers(gateway_of, provider_of):
    body = b'{"pad":"' + b"x" * 100_000_000 + b'"}'
    data = packed(body, "br")
    assert len(data) < 10_000
    provider = provider_of(lambda call: call.reply(200, data, [("Content-Encoding", "br")]))
    g = gateway_of(config(provider, client={"enable_logging": False}))
    assert workers(g) == 0
    assert g.post("/openai/v1/chat/completions", chat("m")).body == body
    assert workers(g) > 0


def test_compressed_streams_are_decoded_event_by_event(gateway_of, provider_of):
    received = threading.Semaphore(0)
    events = CHAT_EVENTS + [DONE]

    def script(call):
        c = zlib.compressobj(9, zlib.DEFLATED, 31)
        call.stream_head([("Content-Encoding", "gzip")])
        for e in events:
            call.chunk(c.compress(e) + c.flush(zlib.Z_SYNC_FLUSH))
            assert received.acquire(timeout=DEADLINE_S)
        call.chunk(c.flush())
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    with g.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions", chat("m", stream=True))
        assert "content-encoding" not in c.head()[1]
        got = []
        for e in c.events():
            got.append(e)
            received.release()
    assert got == events


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_compressed_answer_that_is_damaged_is_never_whole(gateway_of, provider_of, damage):
    whole = packed(json.dumps(CHAT).encode(), "gzip")
    body = whole[:-12] if damage == "cut" else b"\x1f\x8b\x08\0" + b"?" * 50
    provider = provider_of(lambda call: call.reply(200, body, [("Content-Encoding", "gzip")]))
    a = gateway_of(config(provider)).post("/openai/v1/chat/completions", chat("m"))
    assert a.status == 502, a.body


def test_compressed_error_is_read(gateway_of, provider_of):
    error = {"error": {"message": "compressed trouble", "type": "x"}}
    body = packed(json.dumps(error).encode(), "gzip")
    provider = provider_of(lambda call: call.reply(400, body, [("Content-Encoding", "gzip")]))
    a = gateway_of(config(provider)).post("/v1/chat/completions", chat("openai/m"))
    assert a.status == 400 and a.json()["error"]["message"] == "compressed trouble"
