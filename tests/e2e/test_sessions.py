# SPDX-License-Identifier: Apache-2.0
"""A client that names its session keeps the provider's key that it began with."""
import pytest

from harness import CHAT, chat, config, default_script

KEYS = [{"name": "k%d" % i, "value": "sk-%d" % i, "weight": 1, "models": ["*"]} for i in range(4)]
PATH = "/v1/chat/completions"


def asked(gateway, provider, session=None, headers=()):
    """Which key served; each request has a connection of its own, so cores take turns."""
    field = [("X-BF-Session-ID", session)] if session else []
    a = gateway.post(PATH, chat("openai/m"), field + list(headers))
    assert a.status == 200, a.body
    return provider.call().headers["authorization"]


@pytest.fixture
def gateway(gateway_of, provider):
    return gateway_of(config(provider, keys=KEYS))


def test_a_session_keeps_its_key_on_every_core(gateway, provider):
    drawn = {s: asked(gateway, provider, s) for s in ("s%d" % i for i in range(24))}
    assert len(set(drawn.values())) > 1
    for _ in range(4):
        for session, key in drawn.items():
            assert asked(gateway, provider, session) == key
    assert len({asked(gateway, provider) for _ in range(60)}) > 1


def test_a_named_key_wins_and_binds_nothing(gateway, provider):
    key = asked(gateway, provider, "s")
    other = next(k for k in KEYS if k["value"] not in key)
    pinned = asked(gateway, provider, "s", [("x-bf-api-key", other["name"])])
    assert pinned.endswith(other["value"])
    assert asked(gateway, provider, "s") == key


def test_retries_keep_the_key(gateway_of, provider_of):
    def script(call):
        if script.refuse:
            script.refuse -= 1
            return call.reply(429, {"error": {"message": "slow down"}})
        return call.reply(200, CHAT)

    p = provider_of(script)
    g = gateway_of(config(p, keys=KEYS, network={
        "max_retries": 3, "retry_backoff_initial": 100, "retry_backoff_max": 100}))
    for i in range(6):
        script.refuse = 3
        a = g.post(PATH, chat("openai/m"), [("x-bf-session-id", "s%d" % i)])
        assert a.status == 200
        assert len({p.call().headers["authorization"] for _ in range(4)}) == 1


def test_the_session_stays_with_the_gateway(gateway_of, provider_of):
    p = provider_of(default_script)
    g = gateway_of(config(p, keys=KEYS))
    g.post(PATH, chat("openai/m"), [("x-bf-session-id", "s"), ("x-bf-session-ttl", "30m")])
    assert not [h for h in p.call().headers if "session" in h]
