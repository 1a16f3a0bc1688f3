# SPDX-License-Identifier: Apache-2.0
"""Requests that come compressed: to the provider they are as if they had come plain."""
import json
import os
import random

import pytest

import harness
from harness import CHAT_EVENTS, DONE, anthropic_script, both, chat, config, messages, packed

CODINGS = ["gzip", "deflate", "bare", "br", "zstd"]
NAMES = {"bare": "deflate"}
OPENAI = "/openai/v1/chat/completions"


def coded(body, *codings):
    """The body compressed in that order, and the field that says so."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    for coding in codings:
        data = packed(data, coding)
    return data, [("Content-Encoding", ", ".join(NAMES.get(c, c) for c in codings))]


def message_of(answer):
    return answer.json()["error"]["message"]


@pytest.fixture(scope="module")
def long_text():
    rng = random.Random(4)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 9))) for _ in range(4000)]
    text = json.dumps(chat("m", pad=" ".join(rng.choices(words, k=100_000)) * 35)).encode()
    assert len(text) > 20_000_000
    return text


@pytest.fixture
def anthropic(provider_of):
    return provider_of(anthropic_script)


@pytest.mark.parametrize("coding", CODINGS)
class TestEveryCoding:
    def test_bytes_reach_the_provider_as_they_were(self, gateway, provider, coding):
        text = (b' { "messages" :[{"role":"user", "content":"\\u0041 \xc3\xa9"}],\n'
                b'"model":"m","n":1e0}')
        data, field = coded(text, coding)
        assert gateway.post(OPENAI, data, field).status == 200
        up = provider.call()
        assert up.body == text
        assert "content-encoding" not in up.headers
        assert up.headers["content-length"] == str(len(text))

    def test_stream(self, gateway, coding):
        data, field = coded(chat("m", stream=True), coding)
        a = gateway.post(OPENAI, data, field)
        assert a.status == 200 and a.body == b"".join(CHAT_EVENTS) + DONE

    def test_unified(self, gateway, provider, coding):
        data, field = coded(chat(), coding)
        assert gateway.post("/v1/chat/completions", data, field).json()["extra_fields"]
        assert provider.call().json()["model"] == "gpt-4o-mini"

    def test_anthropic(self, gateway_of, provider, anthropic, coding):
        g = gateway_of(both(provider, anthropic))
        text = json.dumps(messages()).encode()
        data, field = coded(text, coding)
        assert g.post("/anthropic/v1/messages", data, field).status == 200
        assert anthropic.call().body == text
        # to another dialect
        data, field = coded(messages("openai/gpt-4o"), coding)
        assert g.post("/anthropic/v1/messages", data, field).json()["type"] == "message"
        assert provider.call().json()["model"] == "gpt-4o"

    def test_chunked(self, gateway, provider, coding):
        text = json.dumps(chat("m", pad="x" * 100_000)).encode()
        data, field = coded(text, coding)
        with gateway.connect() as c:
            head = "POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n%s: %s\r\n"
            c.send((head % ((OPENAI,) + field[0]) + "Transfer-Encoding: chunked\r\n\r\n").encode())
            for i in range(0, len(data), 50):
                part = data[i:i + 50]
                c.send(b"%x\r\n%s\r\n" % (len(part), part))
            c.send(b"0\r\n\r\n")
            assert c.answer().status == 200
            assert provider.call().body == text
            assert c.request("POST", OPENAI, chat("m")).status == 200  # the connection lives on

    def test_large(self, gateway, provider, coding, long_text):
        assert gateway.post(OPENAI, *coded(long_text, coding)).status == 200
        assert provider.call().body == long_text

    def test_truncated(self, gateway, coding):
        data, field = coded(chat("m", pad="some words " * 20), coding)
        for cut in 1, len(data) // 2, len(data) - 1:
            a = gateway.post(OPENAI, data[:cut], field)
            assert a.status == 400
            assert message_of(a).startswith("invalid compressed request body: "), message_of(a)

    def test_trailing_garbage(self, gateway, coding):
        data, field = coded(chat("m"), coding)
        a = gateway.post(OPENAI, data + b"garbage", field)
        assert a.status == 400
        assert message_of(a).startswith("invalid compressed request body: "), message_of(a)

    def test_empty(self, gateway, coding):
        data, field = coded(b"", coding)
        for body in b"", data:
            a = gateway.post("/v1/chat/completions", body, field)
            assert a.status == 400 and "the body is empty" in message_of(a)

    def test_bomb(self, gateway_of, provider, coding):
        g = gateway_of(config(provider, client={"max_request_body_size_mb": 2}))
        data, field = coded(b" " * 100_000_000, coding)
        assert len(data) < 1_000_000
        before = peak_memory(g)
        for path in OPENAI, "/v1/chat/completions":
            a = g.post(path, data, field)
            assert a.status == 413, a.body
        # 2 MiB and half of it, a window of at most 16 MiB; sanitizers put some to it.
        assert peak_memory(g) - before < (200_000 if "asan" in harness.BIN else 40_000)
        assert g.post(OPENAI, *coded(chat("m"), coding)).status == 200

    def test_not_what_it_is_called(self, gateway, coding):
        _, field = coded(b"", coding)
        a = gateway.post(OPENAI, b"\xeeverily no such thing", field)
        assert a.status == 400 and message_of(a).startswith("invalid compressed request body: ")


def peak_memory(gateway):
    """kB, of the process."""
    with open("/proc/%d/status" % gateway.process.pid, encoding="ascii") as f:
        return int(next(l for l in f if l.startswith("VmHWM:")).split()[1])


def test_several_codings(gateway, provider):
    for codings in (("gzip", "br"), ("br", "zstd", "deflate"), ("gzip", "gzip")):
        text = json.dumps(chat("m", pad="x" * 300_000)).encode()
        data, field = coded(text, *codings)
        assert gateway.post(OPENAI, data, field).status == 200
        assert provider.call().body == text
        # as two fields
        first, rest = field[0][1].split(", ", 1)
        fields = [("Content-Encoding", first), ("Content-Encoding", rest)]
        assert gateway.post(OPENAI, data, fields).status == 200
        assert provider.call().body == text


def test_identity_is_no_coding(gateway, provider):
    text = json.dumps(chat("m")).encode()
    assert gateway.post(OPENAI, text, [("Content-Encoding", "identity")]).status == 200
    assert provider.call().body == text
    data, _ = coded(text, "gzip")
    assert gateway.post(OPENAI, data, [("Content-Encoding", "identity, GZIP")]).status == 200
    assert provider.call().body == text


@pytest.mark.parametrize("value", ["compress", "gzip, x", "aws-chunked", "gzip, gzip, gzip, gzip"])
def test_what_is_not_served_is_415(gateway, provider, value):
    a = gateway.post(OPENAI, chat("m"), [("Content-Encoding", value)])
    assert a.status == 415 and "content-encoding" in message_of(a)
    assert a.json()["error"]["param"] == "content-encoding"
    assert not provider.seen


def test_the_limit_counts_inflated_bytes(gateway_of, provider):
    g = gateway_of(config(provider, client={"max_request_body_size_mb": 1}))
    plain = len(json.dumps(chat("m", pad="")).encode())
    for coding in CODINGS:
        exact = chat("m", pad="x" * (1024 * 1024 - plain))
        assert g.post(OPENAI, *coded(exact, coding)).status == 200
        exact["pad"] += "x"
        assert g.post(OPENAI, *coded(exact, coding)).status == 413


def test_anthropic_envelope(gateway_of, provider, anthropic):
    g = gateway_of(both(provider, anthropic, client={"max_request_body_size_mb": 1}))
    a = g.post("/anthropic/v1/messages", b"no gzip", [("Content-Encoding", "gzip")])
    assert a.status == 400 and a.json()["type"] == "error"
    assert a.json()["error"]["type"] == "invalid_request_error"
    assert a.json()["error"]["message"].startswith("invalid compressed request body: ")
    a = g.post("/anthropic/v1/messages", *coded(b" " * 2_000_000, "gzip"))
    assert a.status == 413 and a.json()["error"]["type"] == "request_too_large"
    a = g.post("/anthropic/v1/messages", b"x", [("Content-Encoding", "x")])
    assert a.status == 415 and "content-encoding" in a.json()["error"]["message"]


def test_a_retry_sends_the_same_text(gateway_of, provider_of):
    tries = []

    def script(call):
        tries.append(call.body)
        call.reply(*((503, {"error": {"message": "later"}}) if len(tries) < 3 else
                     (200, harness.CHAT)))

    g = gateway_of(config(provider_of(script), network={"max_retries": 3,
                                                        "retry_backoff_initial": 100,
                                                        "retry_backoff_max": 100}))
    text = json.dumps(chat("m", pad="x" * 1_000_000)).encode()
    assert g.post(OPENAI, *coded(text, "zstd")).status == 200
    assert tries == [text] * 3


def test_expect_continue(gateway, provider):
    text = json.dumps(chat("m", pad="x" * 50_000)).encode()
    data, field = coded(text, "br")
    with gateway.connect() as c:
        c.send(("POST %s HTTP/1.1\r\nHost: t\r\nContent-Encoding: br\r\nContent-Length: %d\r\n"
                "Expect: 100-continue\r\n\r\n" % (OPENAI, len(data))).encode())
        assert c.head()[0] == 100
        c.send(data)
        assert c.answer().status == 200
    assert provider.call().body == text


def test_many_at_once_and_some_leave(gateway):
    """Bodies that inflate for a while, half of whose clients are gone by then."""
    data, field = coded(chat("m", pad=os.urandom(2_000_000).hex()), "br")
    clients = [gateway.connect() for _ in range(16)]
    for c in clients:
        c.send_request("POST", OPENAI, data, field)
    for c in clients[::2]:
        c.reset()
    for c in clients[1::2]:
        assert c.answer().status == 200
        c.close()
