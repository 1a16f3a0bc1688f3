# SPDX-License-Identifier: Apache-2.0
"""Every route answers, on both mounts, streamed and not."""
import json

import pytest

from harness import CHAT, CHAT_EVENTS, DONE, RESPONSE_EVENTS, USAGE_EVENT, chat, config

EXTRA = {"provider": "openai", "request_type": "chat_completion",
         "model_requested": "openai/gpt-4o-mini"}


def data_of(event):
    lines = [l[5:].strip() for l in event.decode().split("\n") if l.startswith("data:")]
    return json.loads("\n".join(lines))


def test_chat_on_v1_gains_extra_fields(gateway, provider):
    a = gateway.post("/v1/chat/completions", chat())
    assert a.status == 200 and a.headers["content-type"] == "application/json"
    got = a.json()
    extra = got.pop("extra_fields")
    assert extra["provider"] == "openai" and extra["request_type"] == "chat_completion"
    assert isinstance(extra["latency"], int) and "chunk_index" not in extra
    got["usage"].pop("prompt_tokens_details")
    want = json.loads(json.dumps(CHAT))
    want["usage"].pop("prompt_tokens_details")
    assert got == want
    sent = provider.call()
    assert sent.json()["model"] == "gpt-4o-mini"
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer sk-secret-1"
    assert sent.headers["host"] == "127.0.0.1:%d" % provider.port


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/openai/chat/completions"])
def test_chat_on_the_drop_in_is_untouched(gateway, path):
    a = gateway.post(path, chat("gpt-4o-mini"))
    assert a.status == 200
    assert a.body == json.dumps(CHAT).encode()


def test_stream_on_v1(gateway, provider):
    with gateway.connect() as c:
        c.send_request("POST", "/v1/chat/completions", chat(stream=True))
        status, headers, _ = c.head()
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        events = list(c.events())
    assert events[-1] == DONE
    assert len(events) == len(CHAT_EVENTS) + 2, "usage is always forwarded on /v1"
    for i, e in enumerate(events[:-1]):
        extra = data_of(e)["extra_fields"]
        assert extra["chunk_index"] == i
        assert extra["request_type"] == "chat_completion_stream"
        assert extra["provider"] == "openai"
    assert data_of(events[-2])["usage"]["total_tokens"] == 11
    assert provider.call().json()["stream_options"] == {"include_usage": True}


def test_stream_on_the_drop_in_withholds_only_the_usage_event(gateway, provider):
    with gateway.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions", chat("gpt-4o-mini", stream=True))
        c.head()
        got = b"".join(c.events())
    assert got == b"".join(CHAT_EVENTS) + DONE
    assert provider.call().json()["stream_options"] == {"include_usage": True}


def test_stream_on_the_drop_in_keeps_usage_that_was_asked_for(gateway):
    with gateway.connect() as c:
        c.send_request("POST", "/openai/v1/chat/completions",
                       chat("gpt-4o-mini", stream=True, stream_options={"include_usage": True}))
        c.head()
        got = b"".join(c.events())
    assert got == b"".join(CHAT_EVENTS) + USAGE_EVENT + DONE


@pytest.mark.parametrize("mount", ["/v1", "/openai/v1", "/openai"])
@pytest.mark.parametrize("path,body", [
    ("/completions", {"model": "openai/gpt-3.5-turbo-instruct", "prompt": "Say hello."}),
    ("/embeddings", {"model": "openai/text-embedding-3-small", "input": "hello"}),
    ("/responses", {"model": "openai/gpt-4o-mini", "input": "Say hello."})])
def test_other_operations(gateway, provider, mount, path, body):
    a = gateway.post(mount + path, body)
    assert a.status == 200, a.body
    assert ("extra_fields" in a.json()) == (mount == "/v1")
    sent = provider.call()
    assert sent.path == "/v1" + path
    assert sent.json()["model"] == body["model"].split("/")[1]


def test_responses_stream_on_v1(gateway):
    with gateway.connect() as c:
        c.send_request("POST", "/v1/responses",
                       {"model": "openai/gpt-4o-mini", "input": "hi", "stream": True})
        c.head()
        events = list(c.events())
    assert len(events) == len(RESPONSE_EVENTS), "no [DONE] after responses"
    assert events[-1].startswith(b"event: response.completed\n")
    assert data_of(events[-1])["extra_fields"]["request_type"] == "responses_stream"


def test_responses_stream_on_the_drop_in_is_untouched(gateway):
    with gateway.connect() as c:
        c.send_request("POST", "/openai/responses",
                       {"model": "gpt-4o-mini", "input": "hi", "stream": True})
        c.head()
        assert b"".join(c.events()) == b"".join(RESPONSE_EVENTS)


def test_models_on_v1_are_prefixed_and_filtered(gateway_of, provider):
    g = gateway_of(config(provider, keys=[{"name": "k", "value": "v", "weight": 1,
                                           "models": ["gpt-4o"], "aliases": {"fast": "gpt-4o"}}]))
    a = g.request("GET", "/v1/models")
    ids = [m["id"] for m in a.json()["data"]]
    assert "openai/gpt-4o" in ids and "openai/fast" in ids
    assert "openai/gpt-4o-mini" not in ids


def test_models_are_merged_over_providers(gateway_of, provider_of):
    one, two = provider_of(), provider_of()
    cfg = config(one)
    cfg["providers"]["groq"] = config(two, "groq")["providers"]["groq"]
    a = gateway_of(cfg).request("GET", "/v1/models")
    ids = [m["id"] for m in a.json()["data"]]
    assert "openai/gpt-4o" in ids and "groq/gpt-4o" in ids


def test_models_of_the_drop_in(gateway):
    a = gateway.request("GET", "/openai/v1/models")
    assert a.status == 200 and a.json()["object"] == "list"


def test_health_version_and_metrics(gateway):
    assert gateway.request("GET", "/health").json()["status"] == "ok"
    assert isinstance(gateway.request("GET", "/api/version").json(), str)
    gateway.post("/v1/chat/completions", chat())
    page = gateway.request("GET", "/metrics").body.decode()
    assert 'bifrost_success_requests_total{' in page
    assert 'provider="openai"' in page and 'model="gpt-4o-mini"' in page
    assert "sk-secret" not in page


def test_unknown_path_is_worded_as_bifrost_words_it(gateway):
    a = gateway.request("GET", "/v1/nothing")
    assert a.status == 404
    assert a.json()["error"]["message"] == "Route not found: /v1/nothing"


def test_wrong_method(gateway):
    a = gateway.request("GET", "/v1/chat/completions")
    assert a.status == 405 and "POST" in a.headers["allow"]
    assert a.json()["error"]["message"]


def test_head_of_health_has_no_body(gateway):
    with gateway.connect() as c:
        a = c.request("HEAD", "/health")
        assert a.status == 200 and int(a.headers["content-length"]) > 0
        assert c.request("GET", "/health").status == 200


def test_alias_is_resolved_and_reported(gateway_of, provider):
    g = gateway_of(config(provider, keys=[{"name": "k", "value": "v", "weight": 1,
                                           "models": ["*"], "aliases": {"fast": "gpt-4o-mini"}}]))
    extra = g.post("/v1/chat/completions", chat("openai/FAST")).json()["extra_fields"]
    assert extra["model_deployment"] == "gpt-4o-mini"
    assert provider.call().json()["model"] == "gpt-4o-mini"


def test_bare_model_on_v1_resolves_by_key_lists(gateway_of, provider):
    g = gateway_of(config(provider, keys=[{"name": "k", "value": "v", "weight": 1,
                                           "models": ["gpt-4o-mini"]}]))
    assert g.post("/v1/chat/completions", chat("gpt-4o-mini")).status == 200
    a = g.post("/v1/chat/completions", chat("nobody-has-it"))
    assert a.status == 400 and "nobody-has-it" in a.json()["error"]["message"]


def test_model_with_a_slash_that_is_no_provider(gateway_of, provider):
    g = gateway_of(config(provider, keys=[{"name": "k", "value": "v", "weight": 1,
                                           "models": ["meta/llama"]}]))
    assert g.post("/v1/chat/completions", chat("meta/llama")).status == 200
    assert provider.call().json()["model"] == "meta/llama"


def test_key_is_pinned_by_name(gateway_of, provider):
    keys = [{"name": n, "value": "sk-" + n, "weight": w, "models": ["*"]}
            for n, w in (("a", 1), ("b", 0))]
    g = gateway_of(config(provider, keys=keys))
    g.post("/v1/chat/completions", chat(), [("x-bf-api-key", "b")])
    assert provider.call().headers["authorization"] == "Bearer sk-b"
    a = g.post("/v1/chat/completions", chat(), [("x-bf-api-key", "zz")])
    assert a.status == 400
    assert a.json()["error"]["message"] == 'no key found with name "zz" for provider: openai'


def test_blacklisted_and_unlisted_models_have_no_key(gateway_of, provider):
    g = gateway_of(config(provider, keys=[{"name": "k", "value": "v", "weight": 1,
                                           "models": ["*"], "blacklisted_models": ["gpt-4o"]}]))
    a = g.post("/v1/chat/completions", chat("openai/gpt-4o"))
    assert a.status == 400
    assert "no keys found that support model: gpt-4o" in a.json()["error"]["message"]


def test_custom_provider_based_on_openai(gateway_of, provider):
    cfg = config(provider, "mine", custom_provider_config={
        "base_provider_type": "openai", "allowed_requests": {"chat_completion": True},
        "request_path_overrides": {"chat_completion": "/chat"}})
    script = provider.script
    provider.script = lambda call: call.reply(200, CHAT)
    g = gateway_of(cfg)
    assert g.post("/v1/chat/completions", chat("mine/m")).status == 200
    assert provider.call().path == "/chat"
    a = g.post("/v1/embeddings", {"model": "mine/m", "input": "x"})
    assert a.status == 400 and "not supported by mine provider" in a.json()["error"]["message"]
    provider.script = script


def test_credentials_of_the_client_never_go_up(gateway_of, provider, tmp_path):
    lent = [{"provider": "openai", "allowed_models": ["*"], "key_ids": ["*"]}]
    g = gateway_of(dict(config(provider), governance={"virtual_keys": [
        {"id": "v", "name": "v", "value": "client-secret", "provider_configs": lent}]}),
        flags=["-shared-dir", str(tmp_path / "shared")])
    g.post("/v1/chat/completions", chat(), [
        ("Authorization", "Bearer client-secret"), ("x-api-key", "client-secret"),
        ("Cookie", "client-secret"), ("x-bf-vk", "client-secret"),
        ("x-bf-eh-x-team", "blue")])
    sent = provider.call()
    assert "client-secret" not in "\n".join(sent.header_lines)
    assert sent.headers["x-team"] == "blue"
    assert sent.headers["accept-encoding"] == "identity"


def test_extra_headers_of_the_network_config(gateway_of, provider):
    g = gateway_of(config(provider, network={"extra_headers": {"X-Org": "acme"}}))
    g.post("/v1/chat/completions", chat())
    assert provider.call().headers["x-org"] == "acme"


def test_required_headers(gateway_of, provider):
    g = gateway_of(config(provider, client={"required_headers": ["X-Tenant"]}))
    a = g.post("/v1/chat/completions", chat())
    assert a.status == 400 and "x-tenant" in a.body.decode().lower()
    assert g.post("/v1/chat/completions", chat(), [("x-tenant", "t")]).status == 200
