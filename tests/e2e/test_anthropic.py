# SPDX-License-Identifier: Apache-2.0
"""The Anthropic API, spoken on both sides: its routes, envelope and streams, byte for byte."""
import json
import random
import re

import pytest

from harness import (DEADLINE_S, MESSAGE, Hangup, anthropic_error, anthropic_script, both, chat,
                     config, event, message_events, messages)

ERROR_EVENT = re.compile(rb'event: error\ndata: (\{"type":"error".*\})\n\n$')

CUTS = pytest.mark.parametrize("cuts", [
    pytest.param(200, id="200 cuts"),
    pytest.param(5_000, id="5000 cuts", marks=pytest.mark.soak)])


@pytest.fixture
def claude(provider_of):
    return provider_of(anthropic_script)


@pytest.fixture
def gateway(gateway_of, provider, claude):
    return gateway_of(both(provider, claude))


def stream(gateway, body, path="/anthropic/v1/messages", headers=()):
    with gateway.connect() as c:
        c.send_request("POST", path, body, headers)
        status, fields, _ = c.head()
        assert status == 200 and fields["content-type"].startswith("text/event-stream")
        return b"".join(c.events())


# ---- Native: bytes pass -------------------------------------------------------------------------

def test_a_message_is_untouched_both_ways(gateway, claude):
    body = (b'{ "max_tokens":64 ,"model":"claude-sonnet-4-5","unknown":{"b":1.0,"a":[ ]},'
            b'"messages":[ {"role":"user","content":"caf\\u00e9"} ] }')
    a = gateway.post("/anthropic/v1/messages", body, [("anthropic-version", "2023-06-01")])
    assert a.status == 200 and a.body == json.dumps(MESSAGE).encode()
    sent = claude.call()
    assert sent.body == body and sent.path == "/v1/messages"
    assert sent.headers["x-api-key"] == "sk-ant-secret"
    assert "authorization" not in sent.headers
    assert a.headers["x-bf-provider"] == "anthropic"
    assert a.headers["x-bf-model"] == "claude-sonnet-4-5"


def test_only_the_prefix_of_the_model_is_cut(gateway, claude):
    body = b'{"model": "anthropic/claude-x" ,"max_tokens":1,"messages":[{}],"fallbacks":["a/b"]}'
    gateway.post("/anthropic/v1/messages", body)
    assert claude.call().body == b'{"model": "claude-x" ,"max_tokens":1,"messages":[{}]}'


@CUTS
def test_a_stream_is_untouched_however_it_is_cut(gateway_of, provider_of, cuts):
    whole = b"".join(message_events(tool=("weather", ('{"city"', ':"Oslo"}'))))
    seed = random.Random(7)
    plans = []

    def script(call):
        call.stream_head()
        at = sorted(seed.sample(range(1, len(whole)), seed.randint(1, 12)))
        plans.append(at)
        for begin, end in zip([0] + at, at + [len(whole)]):
            call.chunk(whole[begin:end])
        call.stream_end()

    claude = provider_of(script)
    g = gateway_of(config(claude, "anthropic"))
    with g.connect() as c:
        for i in range(cuts):
            c.send_request("POST", "/anthropic/v1/messages", messages(stream=True))
            c.head()
            assert b"".join(c.events()) == whole, plans[-1]


def test_anthropics_fields_and_query_go_up(gateway, claude):
    gateway.post("/anthropic/v1/messages?beta=true", messages(), [
        ("anthropic-version", "2023-01-01"), ("anthropic-beta", "one,two"),
        ("anthropic-dangerous-direct-browser-access", "true"), ("x-api-key", "mine"),
        ("Cookie", "a=b"), ("x-stainless-lang", "js")])
    sent = claude.call()
    assert sent.path == "/v1/messages?beta=true"
    assert sent.headers["anthropic-version"] == "2023-01-01"
    assert sent.headers["anthropic-beta"] == "one,two"
    assert sent.headers["anthropic-dangerous-direct-browser-access"] == "true"
    assert sent.headers["x-api-key"] == "sk-ant-secret"
    assert "cookie" not in sent.headers and "x-stainless-lang" not in sent.headers


def test_a_version_is_told_when_the_client_does_not(gateway, claude):
    gateway.post("/anthropic/v1/messages", messages())
    assert claude.call().headers["anthropic-version"] == "2023-06-01"


def test_usage_of_a_stream_is_put_together(gateway):
    stream(gateway, messages(stream=True))
    for line in ('bifrost_input_tokens_total', 'bifrost_output_tokens_total'):
        assert any(line in l and 'provider="anthropic"' in l for l in gateway.request(
            "GET", "/metrics").body.decode().split("\n"))
    text = gateway.request("GET", "/metrics").body.decode()
    values = {l.split("{")[0]: float(l.rsplit(" ", 1)[1]) for l in text.split("\n")
              if "tokens_total{" in l and 'provider="anthropic"' in l}
    assert values["bifrost_input_tokens_total"] == 9  # 5 and 4 out of the cache
    assert values["bifrost_output_tokens_total"] == 2


@pytest.mark.parametrize("path", [
    "/anthropic/messages", "/litellm/anthropic/v1/messages", "/langchain/anthropic/v1/messages",
    "/pydanticai/anthropic/v1/messages"])
def test_mounts(gateway, claude, path):
    a = gateway.post(path, messages())
    assert a.status == 200 and a.json() == MESSAGE
    assert claude.call().path == "/v1/messages"


@pytest.mark.parametrize("path", ["/anthropic/v1/messages/count_tokens",
                                  "/langchain/anthropic/v1/messages/count_tokens"])
def test_counting(gateway, claude, path):
    a = gateway.post(path, {"model": "claude-x", "messages": [{"role": "user", "content": "x"}]})
    assert a.json() == {"input_tokens": 17}
    assert claude.call().path == "/v1/messages/count_tokens"


def test_complete(gateway, claude):
    body = {"model": "claude-2", "max_tokens_to_sample": 5,
            "prompt": "\n\nHuman: hi\n\nAssistant:"}
    a = gateway.post("/anthropic/v1/complete", body)
    assert a.json()["completion"] == " Hi"
    sent = claude.call()
    assert sent.path == "/v1/complete" and sent.json() == body


# ---- Probes, lists ------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/anthropic", "/anthropic/"])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_probes(gateway, path, method):
    a = gateway.request(method, path)
    assert a.status == 200 and a.body == b""


def test_models(gateway):
    a = gateway.request("GET", "/anthropic/v1/models?limit=3").json()
    assert [m["id"] for m in a["data"]] == ["openai/gpt-4o", "openai/gpt-4o-mini",
                                            "anthropic/claude-sonnet-4-5"]
    assert a["has_more"] is True
    assert a["first_id"] == "openai/gpt-4o" and a["last_id"] == "anthropic/claude-sonnet-4-5"
    assert a["data"][2] == {"type": "model", "id": "anthropic/claude-sonnet-4-5",
                            "display_name": "Claude Sonnet 4.5",
                            "created_at": "2025-09-29T00:00:00Z"}
    b = gateway.request("GET", "/anthropic/v1/models?after_id=anthropic%2Fclaude-sonnet-4-5")
    assert [m["id"] for m in b.json()["data"]] == ["anthropic/claude-haiku-4-5"]
    assert b.json()["has_more"] is False
    c = gateway.request("GET", "/anthropic/v1/models?limit=1&before_id=openai/gpt-4o-mini").json()
    assert [m["id"] for m in c["data"]] == ["openai/gpt-4o"] and c["has_more"] is False
    d = gateway.request("GET", "/anthropic/v1/models?limit=0")
    assert d.status == 400 and d.json()["error"]["type"] == "invalid_request_error"


def test_claudes_models_stand_in_the_other_lists_too(gateway, claude):
    ids = [m["id"] for m in gateway.request("GET", "/v1/models").json()["data"]]
    assert "anthropic/claude-haiku-4-5" in ids
    call = claude.call()
    assert call.headers["x-api-key"] == "sk-ant-secret" and call.path == "/v1/models?limit=1000"
    listed = gateway.request("GET", "/openai/v1/models").json()["data"]
    assert [m for m in listed if m["id"] == "anthropic/claude-haiku-4-5"] == [
        {"id": "anthropic/claude-haiku-4-5", "object": "model", "created": 1759276800,
         "owned_by": "anthropic"}]


# ---- Errors -------------------------------------------------------------------------------------

def assert_error(answer, status, kind, words=""):
    assert answer.status == status
    body = answer.json()
    assert set(body) == {"type", "error", "request_id"} and body["type"] == "error"
    assert body["error"]["type"] == kind and words in body["error"]["message"]
    assert answer.headers["content-type"] == "application/json"


def test_errors_of_ours_have_the_mounts_envelope(gateway_of, provider, claude):
    g = gateway_of(both(provider, claude, client={"max_request_body_size_mb": 1}))
    assert_error(g.request("GET", "/anthropic/v1/what"), 404, "not_found_error", "/v1/what")
    a = g.request("DELETE", "/anthropic/v1/messages")
    assert_error(a, 405, "invalid_request_error")
    assert "POST" in a.headers["allow"]
    assert_error(g.post("/anthropic/v1/messages", b"{nonsense"), 400, "invalid_request_error",
                 "Invalid JSON")
    assert_error(g.post("/anthropic/v1/messages", messages(messages="x")), 400,
                 "invalid_request_error", "`messages` must be an array")
    assert_error(g.post("/anthropic/v1/messages", {"max_tokens": 1}), 400,
                 "invalid_request_error", "`model` is required")
    assert_error(g.post("/anthropic/v1/messages", b"x" * (1 << 20) + b"y"), 413,
                 "request_too_large")
    assert not provider.seen and not claude.seen


def test_a_model_that_leads_nowhere(gateway_of, provider):
    g = gateway_of(config(provider))
    assert_error(g.post("/anthropic/v1/messages", messages()), 400, "invalid_request_error",
                 'provider "anthropic" is not configured')


def test_a_providers_own_error_body_passes(gateway_of, provider_of):
    raw = b'{ "type":"error", "error":{"type":"rate_limit_error","message":"slow"}}'
    claude = provider_of(lambda call: call.reply(429, raw, [("retry-after", "3")]))
    a = gateway_of(config(claude, "anthropic")).post("/anthropic/v1/messages", messages())
    assert a.status == 429 and a.body == raw and a.headers["retry-after"] == "3"


def test_an_error_event_before_any_other_is_an_error_status(gateway_of, provider_of):
    tries = []

    def script(call):
        tries.append(call)
        call.stream_head()
        call.chunk(event(anthropic_error("overloaded_error", "Overloaded"), "error"))
        call.stream_end()

    a = gateway_of(config(provider_of(script), "anthropic")).post(
        "/anthropic/v1/messages", messages(stream=True))
    assert a.status == 529 and a.json()["error"] == {"type": "overloaded_error",
                                                     "message": "Overloaded"}


def test_an_error_event_later_passes_as_it_came(gateway_of, provider_of):
    events = message_events()[:4] + [event(anthropic_error("overloaded_error", "x"), "error")]

    def script(call):
        call.stream_head()
        for e in events:
            call.chunk(e)
        call.stream_end()

    g = gateway_of(config(provider_of(script), "anthropic"))
    assert stream(g, messages(stream=True)) == b"".join(events)
    g.wait_log("request failed")


@pytest.mark.parametrize("how", ["end", "cut", "half an event"])
def test_a_stream_that_breaks_off_ends_with_one_error_event(gateway_of, provider_of, how):
    events = message_events()[:5]

    def script(call):
        call.stream_head()
        for e in events:
            call.chunk(e)
        if how == "half an event":
            call.chunk(b"event: content_block_delta\ndata: {")
        if how == "cut":
            raise Hangup
        call.stream_end()

    got = stream(gateway_of(config(provider_of(script), "anthropic")), messages(stream=True))
    assert got.startswith(b"".join(events))
    rest = ERROR_EVENT.match(got[len(b"".join(events)):])
    assert rest, got
    assert json.loads(rest.group(1))["error"]["type"] == "api_error"
    assert b"message_stop" not in got and b"[DONE]" not in got


def test_events_are_not_held_for_each_other(gateway_of, provider_of):
    import threading
    seen = threading.Semaphore(0)

    def script(call):
        call.stream_head()
        for e in message_events():
            call.chunk(e)
            assert seen.acquire(timeout=DEADLINE_S)
        call.stream_end()

    g = gateway_of(config(provider_of(script), "anthropic"))
    with g.connect() as c:
        c.send_request("POST", "/anthropic/v1/messages", messages(stream=True))
        c.head()
        for want, got in zip(message_events(), c.events()):
            assert got == want
            seen.release()


# ---- Azure's paths ------------------------------------------------------------------------------

@pytest.mark.parametrize("tail,body", [
    ("chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    ("completions", {"prompt": "x"}), ("embeddings", {"input": "x"}),
    ("responses", {"input": "x"})])
def test_the_deployment_in_the_path_is_the_model(gateway, provider, tail, body):
    a = gateway.post("/openai/openai/deployments/openai/gpt-x/%s?api-version=1" % tail,
                     dict(body, model="ignored"))
    assert a.status == 200 and "extra_fields" not in a.json()
    sent = provider.call()
    assert sent.json()["model"] == "gpt-x" and sent.path == "/v1/" + tail
    gateway.post("/openai/openai/deployments/openai%%2Fgpt-y/%s" % tail, body)
    assert provider.call().json() == dict(body, model="gpt-y")


def test_a_bare_deployment_is_azures(gateway):
    a = gateway.post("/openai/openai/deployments/my-gpt/chat/completions",
                     {"messages": [{"role": "user", "content": "x"}]})
    assert a.status == 400 and 'provider \\"azure\\" is not configured' in a.body.decode()
    a = gateway.request("GET", "/openai/openai/deployments/my-gpt/models")
    assert a.json()["object"] == "list"


# ---- Frameworks' OpenAI mounts ------------------------------------------------------------------

@pytest.mark.parametrize("mount", ["/litellm", "/langchain", "/pydanticai"])
def test_frameworks_have_openais_routes(gateway, provider, mount):
    a = gateway.post(mount + "/v1/chat/completions", chat("gpt-4o-mini"))
    assert a.status == 200 and "extra_fields" not in a.json()
    assert provider.call().path == "/v1/chat/completions"
    a = gateway.post(mount + "/v1/responses/input_tokens", {"model": "gpt-4o", "input": "x"})
    assert a.json() == {"object": "response.input_tokens", "input_tokens": 13}
    assert gateway.request("GET", mount + "/v1/models").json()["object"] == "list"
