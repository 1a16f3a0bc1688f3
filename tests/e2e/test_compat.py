# SPDX-License-Identifier: Apache-2.0
"""client.compat and x-bf-compat: parameters that a model is known to refuse."""
import pytest

from harness import chat, config

BODY = {"temperature": 0.5, "top_p": 1, "seed": 3, "max_tokens": 9}
KEPT = {"seed": 3, "max_completion_tokens": 9}


def sent(provider):
    body = provider.call().json()
    return {k: v for k, v in body.items() if k not in ("model", "messages", "stream")}


@pytest.mark.parametrize("value", [
    "true", '["*"]', '["should_drop_params","should_convert_params"]'])
def test_for_one_request(gateway_of, provider, value):
    g = gateway_of(config(provider))
    a = g.post("/v1/chat/completions", chat("openai/gpt-5-mini", **BODY), [("X-BF-Compat", value)])
    assert sent(provider) == KEPT
    assert a.json()["extra_fields"]["dropped_params"] == ["temperature", "top_p"]
    a = g.post("/openai/v1/chat/completions", chat("o3", **BODY), [("x-bf-compat", value)])
    assert sent(provider) == KEPT and a.headers["x-bf-dropped-params"] == "temperature, top_p"
    a = g.post("/v1/chat/completions", chat("openai/gpt-5-mini", **BODY))
    assert sent(provider) == BODY and "dropped_params" not in a.json()["extra_fields"]


def test_by_configuration(gateway_of, provider_of):
    compat = {"compat": {"should_drop_params": True, "should_convert_params": True}}
    p = provider_of()
    g = gateway_of(config(p, "groq", client=compat))
    g.post("/v1/chat/completions", chat("groq/o3", temperature=1, max_completion_tokens=9))
    assert sent(p) == {"temperature": 1, "max_tokens": 9}


def test_beside_a_translation(gateway_of, provider):
    g = gateway_of(config(provider))
    body = chat("openai/gpt-5", max_tokens=50, temperature=0.5, top_k=5)
    a = g.post("/anthropic/v1/messages", body, [("x-bf-compat", "true")])
    assert a.status == 200, a.body
    assert "temperature" not in provider.call().json()
    assert "top_k" in a.headers["x-bf-dropped-params"]
    assert "temperature" in a.headers["x-bf-dropped-params"]
