# SPDX-License-Identifier: Apache-2.0
"""What was sent to a provider and what came back, shown to the client that asks for it."""
import json

import pytest

from harness import (CHAT, CHAT_EVENTS, DONE, MESSAGE, RESPONSE_EVENTS, anthropic_script, both,
                     chat, config, default_script, message_events, send_stream)

ASK = [("X-BF-Send-Back-Raw-Request", "true"), ("x-bf-send-back-raw-response", "True")]
NOT = [(name, "false") for name, _ in ASK]
SECRETS = (b"sk-secret-1", b"sk-ant-secret", b"authorization", b"x-api-key")


def events(raw):
    """The data of a stream's events that are JSON."""
    data = [l[6:] for l in raw.decode().split("\n") if l.startswith("data: ")]
    return [json.loads(d) for d in data if d != "[DONE]"]


def raws(answer):
    extra = answer["extra_fields"]
    return extra.get("raw_request"), extra.get("raw_response")


@pytest.fixture
def claude(provider_of):
    return provider_of(anthropic_script)


@pytest.fixture
def gateway(gateway_of, provider, claude):
    return gateway_of(both(provider, claude))


def asked(gateway, path, body, headers=ASK):
    a = gateway.post(path, body, headers)
    assert a.status == 200, a.body
    assert not [s for s in SECRETS if s in a.body.lower()]
    return a


def test_a_whole_answer(gateway, provider, claude):
    a = asked(gateway, "/v1/chat/completions", chat("openai/m", fallbacks=["anthropic/x"]))
    assert raws(a.json()) == (provider.call().json(), CHAT)
    assert raws(a.json())[0]["model"] == "m" and "fallbacks" not in raws(a.json())[0]
    a = asked(gateway, "/v1/chat/completions", chat("anthropic/claude-x"))
    assert raws(a.json()) == (claude.call().json(), MESSAGE)
    assert "max_tokens" in raws(a.json())[0]


def test_each_is_asked_for_alone(gateway):
    a = asked(gateway, "/v1/chat/completions", chat("openai/m"), ASK[:1])
    assert raws(a.json())[0] and not raws(a.json())[1]
    a = asked(gateway, "/v1/chat/completions", chat("openai/m"), ASK[1:])
    assert not raws(a.json())[0] and raws(a.json())[1]
    a = asked(gateway, "/v1/chat/completions", chat("openai/m"), [])
    assert raws(a.json()) == (None, None)


def test_a_native_stream(gateway, provider):
    a = asked(gateway, "/v1/chat/completions", chat("openai/m", stream=True))
    got = events(a.body)
    assert [dict(e, extra_fields=None) for e in got[:-1]] == [
        dict(raws(e)[1], extra_fields=None) for e in got[:-1]]
    assert [raws(e)[1] for e in got[:-1]] == events(b"".join(CHAT_EVENTS))
    assert [raws(e)[0] for e in got] == [None] * (len(got) - 1) + [provider.call().json()]
    assert "usage" in raws(got[-1])[1] and a.body.endswith(DONE)


def test_a_native_stream_of_responses(gateway, provider):
    a = asked(gateway, "/v1/responses", {"model": "openai/m", "input": "Go", "stream": True})
    got = events(a.body)
    assert [raws(e)[1] for e in got] == events(b"".join(RESPONSE_EVENTS))
    assert [raws(e)[0] for e in got] == [None] * (len(got) - 1) + [provider.call().json()]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_translated_stream(gateway, claude, path):
    ask = chat("anthropic/claude-x", stream=True)
    if path.endswith("responses"):
        ask = {"model": "anthropic/claude-x", "input": "Go", "stream": True}
    got = events(asked(gateway, path, ask).body)
    sent = events(b"".join(message_events()))
    told = [raws(e)[1] for e in got]
    assert all(t in sent for t in told)
    places = [sent.index(t) for t in told]
    assert places == sorted(places) and told[-1]["type"] in ("message_delta", "message_stop")
    assert [raws(e)[0] for e in got if raws(e)[0]] == [claude.call().json()]
    assert raws(got[-1])[0]


def test_configuration_and_who_overrides_it(gateway_of, provider):
    both_raw = {"send_back_raw_request": True, "send_back_raw_response": True}
    g = gateway_of(config(provider, **both_raw))
    assert all(raws(asked(g, "/v1/chat/completions", chat("openai/m"), []).json()))
    assert not any(raws(asked(g, "/v1/chat/completions", chat("openai/m"), NOT).json()))
    locked = {"allow_per_request_raw_override": False}
    g = gateway_of(config(provider, client=locked, **both_raw))
    assert all(raws(asked(g, "/v1/chat/completions", chat("openai/m"), NOT).json()))
    g = gateway_of(config(provider, client=locked))
    assert not any(raws(asked(g, "/v1/chat/completions", chat("openai/m")).json()))


def test_drop_ins_show_nothing(gateway):
    assert asked(gateway, "/openai/v1/chat/completions", chat("m")).json() == CHAT


def test_what_is_long_is_left_out(gateway_of, provider_of):
    size = {}
    p = provider_of(lambda call: call.reply(200, dict(CHAT, pad="x" * size["answer"])))
    g = gateway_of(config(p))
    for sent, told, shown in ((1000, 200_000, (True, True)), (300_000, 1000, (False, True)),
                              (1000, 300_000, (True, False)), (1000, 3_000_000, (True, False))):
        size["answer"] = told
        a = asked(g, "/v1/chat/completions", chat("openai/m", pad="y" * sent))
        assert a.json()["pad"] == "x" * told
        assert tuple(bool(r) for r in raws(a.json())) == shown


def test_an_event_on_many_lines_stays_one(gateway_of, provider_of):
    wide = json.dumps(CHAT, indent=1)
    chunk = "".join("data: %s\n" % line for line in wide.split("\n")) + "\n"
    p = provider_of(lambda call: send_stream(call, [chunk.encode(), DONE]))
    a = asked(gateway_of(config(p)), "/v1/chat/completions", chat("openai/m", stream=True))
    assert raws(events(a.body)[0])[1] == CHAT


def test_a_fallback_shows_its_own(gateway_of, provider_of, claude):
    p = provider_of(lambda call: call.reply(500, {"error": {"message": "no"}}))
    g = gateway_of(both(p, claude))
    a = asked(g, "/v1/chat/completions", chat("openai/m", fallbacks=["anthropic/claude-x"]))
    assert raws(a.json()) == (claude.call().json(), MESSAGE)


def test_a_request_on_many_lines_is_one(gateway_of, provider_of):
    p = provider_of(default_script)
    g = gateway_of(config(p))
    body = json.dumps(chat("openai/m", stream=True), indent=2).encode()
    got = events(asked(g, "/v1/chat/completions", body).body)
    assert raws(got[-1])[0] == p.call().json()
