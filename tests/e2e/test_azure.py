# SPDX-License-Identifier: Apache-2.0
"""Azure: deployments in paths, keys in their own field, tokens of a service principal."""
import threading
import urllib.parse

import pytest

from harness import CHAT, DEADLINE_S, Gateway, Provider, chat

EMBEDDING = {"input": "x"}


def azure(endpoint, value="", **place):
    key = {"name": "k1", "value": value, "models": ["*"], "weight": 1,
           "aliases": {"fast": {"model_id": "dep 1/x", "api_version": "2025-01-01"}},
           "azure_key_config": dict({"endpoint": endpoint.url}, **place)}
    return {"providers": {"azure": {"keys": [key]}}}


PRINCIPAL = {"client_id": "me", "client_secret": "hush-hush-secret", "tenant_id": "tenant-1"}


class Authority(Provider):
    """A token endpoint: each answer is another token."""

    def __init__(self, status=200):
        self.status, self.tokens = status, 0
        self.hold = threading.Event()
        self.hold.set()
        super().__init__(self.answer)

    def answer(self, call):
        assert call.path == "/tenant-1/oauth2/v2.0/token"
        assert self.hold.wait(DEADLINE_S)
        if self.status != 200:
            return call.reply(self.status, {"error": "invalid_client",
                                            "error_description": "AADSTS7000215: hush-hush-secret"})
        self.tokens += 1
        return call.reply(200, {"token_type": "Bearer", "expires_in": 3599,
                                "access_token": "entra-token-%d" % self.tokens})


def start(config, authority=None):
    env = {"AZURE_AUTHORITY_HOST": authority.url} if authority else None
    return Gateway(config, env=env)


def test_a_deployment_is_part_of_the_path():
    p = Provider()
    g = start(azure(p, "az-secret-1"))
    try:
        a = g.post("/v1/chat/completions", chat("azure/gpt-4o"))
        assert a.status == 200 and a.json()["choices"] == CHAT["choices"]
        call = p.call()
        assert call.path == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
        assert call.headers["api-key"] == "az-secret-1"
        assert "authorization" not in call.headers and "anthropic-version" not in call.headers
        g.post("/v1/embeddings", dict(EMBEDDING, model="azure/fast"))
        assert p.call().path == ("/openai/deployments/dep%201%2Fx/embeddings"
                                 "?api-version=2025-01-01")
        g.post("/v1/responses", {"model": "azure/gpt-4o", "input": "x"})
        assert p.call().path == "/openai/v1/responses?api-version=preview"
    finally:
        g.stop()
        p.close()


def test_a_principals_token_is_fetched_once():
    p, authority = Provider(), Authority()
    g = start(azure(p, "unused-key-value", **PRINCIPAL), authority)
    try:
        for _ in range(3):
            assert g.post("/v1/chat/completions", chat("azure/gpt-4o")).status == 200
        call = authority.call()
        form = urllib.parse.parse_qs(call.body.decode())
        assert form == {"grant_type": ["client_credentials"], "client_id": ["me"],
                        "client_secret": ["hush-hush-secret"],
                        "scope": ["https://cognitiveservices.azure.com/.default"]}
        assert call.headers["content-type"] == "application/x-www-form-urlencoded"
        assert authority.tokens <= 2, "one a core"
        seen = p.call()
        assert seen.headers["authorization"].startswith("Bearer entra-token-")
        assert "api-key" not in seen.headers
        assert not any("entra-token" in l or "hush" in l for l in g.log)
    finally:
        g.stop()
        p.close()
        authority.close()


def test_a_refused_token_is_fetched_anew():
    refuse = {"entra-token-1"}

    def script(call):
        if call.headers["authorization"].split()[1] in refuse:
            return call.reply(401, {"error": {"message": "expired: " +
                                              call.headers["authorization"]}})
        return call.reply(200, CHAT)

    p, authority = Provider(script), Authority()
    g = Gateway(azure(p, **PRINCIPAL), flags=["-cores", "1"],
                env={"AZURE_AUTHORITY_HOST": authority.url})
    try:
        a = g.post("/openai/v1/chat/completions", chat("azure/gpt-4o"))
        assert a.status == 401 and b"entra-token" not in a.body, "redacted"
        assert g.post("/openai/v1/chat/completions", chat("azure/gpt-4o")).status == 200
        assert authority.tokens == 2
    finally:
        g.stop()
        p.close()
        authority.close()


@pytest.mark.parametrize("status, answer", [(401, 502), (503, 502)])
def test_an_authority_that_refuses_is_told_without_secrets(status, answer):
    p, authority = Provider(), Authority(status)
    g = start(azure(p, **PRINCIPAL), authority)
    try:
        a = g.post("/v1/chat/completions", chat("azure/gpt-4o"))
        assert a.status == answer
        assert "refused with status %d: invalid_client" % status in a.json()["error"]["message"]
        assert b"hush" not in a.body
        assert not p.seen, "nothing went to the provider"
        assert not any("hush" in l for l in g.log)
    finally:
        g.stop()
        p.close()
        authority.close()


def test_a_client_that_leaves_while_the_token_is_fetched():
    p, authority = Provider(), Authority()
    authority.hold.clear()
    g = Gateway(azure(p, **PRINCIPAL), flags=["-cores", "1"],
                env={"AZURE_AUTHORITY_HOST": authority.url})
    try:
        with g.connect() as first, g.connect() as second:
            first.send_request("POST", "/v1/chat/completions", chat("azure/gpt-4o"))
            authority.call()
            second.send_request("POST", "/v1/chat/completions", chat("azure/gpt-4o"))
            first.reset()
            authority.hold.set()
            assert second.answer().status == 200
    finally:
        g.stop()
        p.close()
        authority.close()
