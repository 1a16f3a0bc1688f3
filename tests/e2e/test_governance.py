# SPDX-License-Identifier: Apache-2.0
"""Virtual keys, budgets and rate limits: who may, how much, and that no limit is ever passed."""
import json
import selectors
import signal
import threading
import time

import pytest

from harness import (CHAT, CHAT_EVENTS, DEADLINE_S, DONE, USAGE_EVENT, chat, config, message_events)

CHAT_PATH = "/v1/chat/completions"
KEY = "sk-bf-alpha"
VK = [("x-bf-vk", KEY)]


def governed(provider, governance, client=None, **members):
    return dict(config(provider, client=client, **members), version=2, governance=governance)


def key(**members):
    return dict({"id": "vk-1", "name": "alpha", "value": KEY,
                 "provider_configs": [{"provider": "openai", "allowed_models": ["*"],
                                       "key_ids": ["*"]}]}, **members)


@pytest.fixture
def governed_by(gateway_of, tmp_path):
    def make(conf, **kwargs):
        flags = list(kwargs.pop("flags", ())) + ["-shared-dir", str(tmp_path / "shared")]
        return gateway_of(conf, flags=flags, **kwargs)
    return make


def error(answer):
    return answer.status, json.loads(answer.body)["error"]["type"]


def quota(gateway, value=KEY):
    a = gateway.request("GET", "/api/governance/virtual-keys/quota", headers=[("x-bf-vk", value)])
    assert a.status == 200, a.body
    return json.loads(a.body)


# ---- Who -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("header", [
    ("x-bf-vk", KEY), ("X-BF-VK", KEY), ("authorization", "Bearer " + KEY),
    ("authorization", "bearer  " + KEY), ("x-api-key", KEY), ("x-goog-api-key", KEY),
    ("api-key", KEY)])
def test_a_key_in_each_of_its_headers(governed_by, provider, header):
    g = governed_by(governed(provider, {"virtual_keys": [key()]},
                             client={"enforce_auth_on_inference": True}))
    assert g.post(CHAT_PATH, chat(), headers=[header]).status == 200
    up = provider.seen[0]
    assert KEY not in "".join(up.header_lines)
    assert up.headers["authorization"] == "Bearer sk-secret-1"


def test_nobody_is_served_unless_a_key_is_asked_for(governed_by, provider):
    g = governed_by(governed(provider, {"virtual_keys": [key()]}))
    assert g.post(CHAT_PATH, chat()).status == 200
    # A key of somebody else's that is no virtual key is not looked at.
    assert g.post(CHAT_PATH, chat(), headers=[("authorization", "Bearer sk-other")]).status == 200
    assert error(g.post(CHAT_PATH, chat(), headers=[("x-bf-vk", "sk-bf-wrong")])) == (
        403, "virtual_key_not_found")


def test_refusals_before_anything_is_read(governed_by, provider):
    g = governed_by(governed(
        provider, {"virtual_keys": [
            key(), key(id="vk-2", name="off", value="sk-bf-off", is_active=False),
            key(id="vk-3", name="old", value="sk-bf-old", expires_at="2024-01-01T00:00:00Z"),
            key(id="vk-4", name="young", value="sk-bf-young",
                expires_at="2124-01-01T00:00:00+01:00")]},
        client={"enforce_auth_on_inference": True}))
    bad = b"{"  # is never looked at
    assert error(g.post(CHAT_PATH, bad)) == (401, "virtual_key_required")
    assert error(g.post(CHAT_PATH, bad, headers=[("x-bf-vk", "sk-bf-no")])) == (
        403, "virtual_key_not_found")
    for value in ("sk-bf-off", "sk-bf-old"):
        assert error(g.post(CHAT_PATH, bad, headers=[("x-bf-vk", value)])) == (
            403, "virtual_key_blocked")
    assert g.post(CHAT_PATH, chat(), headers=[("x-bf-vk", "sk-bf-young")]).status == 200
    a = g.post("/anthropic/v1/messages", bad)
    assert a.status == 401 and json.loads(a.body)["type"] == "error"
    assert len(provider.seen) == 1


def test_what_a_key_does_not_name_it_may_not_use(governed_by, provider):
    conf = governed(provider, {"virtual_keys": [
        key(provider_configs=[{"provider": "openai", "allowed_models": ["gpt-4o", "gpt-4.1"],
                               "blacklisted_models": ["gpt-4.1"], "key_ids": ["*"]}]),
        key(id="vk-2", name="none", value="sk-bf-none", provider_configs=[])]})
    g = governed_by(conf)
    assert g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=VK).status == 200
    # A version of a model is that model.
    assert g.post(CHAT_PATH, chat("openai/gpt-4o-2024-08-06"), headers=VK).status == 200
    for model in ("openai/gpt-4o-mini", "openai/gpt-4.1"):
        assert error(g.post(CHAT_PATH, chat(model), headers=VK)) == (403, "model_blocked")
    assert error(g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=[("x-bf-vk", "sk-bf-none")])) == (
        403, "provider_blocked")


def test_an_alias_is_what_it_stands_for(governed_by, provider):
    keys = [{"name": "k", "value": "s", "weight": 1, "models": ["*"],
             "aliases": {"fast": "gpt-4o", "old": "gpt-4"}}]
    g = governed_by(governed(provider, {
        "rate_limits": [{"id": "r", "request_max_limit": 1, "request_reset_duration": "1h"}],
        "model_configs": [{"id": "m", "model_name": "gpt-4o", "rate_limit_id": "r"}],
        "virtual_keys": [key(provider_configs=[
            {"provider": "openai", "allowed_models": ["*"], "blacklisted_models": ["gpt-4"],
             "key_ids": ["*"]}])]}, keys=keys))
    got = [g.post(CHAT_PATH, chat("openai/" + m), headers=VK).status
           for m in ("gpt-4o", "fast", "gpt-4o", "old", "gpt-4")]
    assert got == [200, 429, 429, 403, 403]


def test_only_the_keys_that_are_lent(governed_by, provider):
    keys = [{"id": "id-%d" % i, "name": "k%d" % i, "value": "sk-%d" % i, "weight": 1,
             "models": ["*"]} for i in range(4)]
    g = governed_by(governed(
        provider, {"virtual_keys": [key(provider_configs=[
            {"provider": "openai", "allowed_models": ["*"], "key_ids": ["id-2"]}])]}, keys=keys))
    for _ in range(12):
        assert g.post(CHAT_PATH, chat(), headers=VK).status == 200
    assert {c.headers["authorization"] for c in provider.seen} == {"Bearer sk-2"}
    a = g.post(CHAT_PATH, chat(), headers=VK + [("x-bf-api-key", "k1")])
    assert a.status >= 400


@pytest.mark.parametrize("requests,tokens,told", [
    (1, 60, "rate_limited"), (1, 100000, "request_limited"), (100000, 60, "token_limited")])
def test_which_half_of_a_rate_limit_is_full(governed_by, provider_of, requests, tokens, told):
    usage = {"prompt_tokens": 80, "completion_tokens": 20, "total_tokens": 100}
    g = governed_by(governed(provider_of(lambda call: call.reply(200, dict(CHAT, usage=usage))), {
        "rate_limits": [{"id": "r", "request_max_limit": requests, "token_max_limit": tokens,
                         "request_reset_duration": "1d", "token_reset_duration": "1d"}],
        "virtual_keys": [key(rate_limit_id="r")]}))
    small = chat("openai/m", max_tokens=1)  # some 90 bytes: not more than 40 tokens are reserved
    assert g.post(CHAT_PATH, small, headers=VK).status == 200
    a = g.post(CHAT_PATH, small, headers=VK)
    assert error(a) == (429, told)
    text = json.loads(a.body)["error"]["message"]
    assert ("1 of 1 requests" in text) == (told != "token_limited")
    assert ("100 of 60 tokens" in text) == (told != "request_limited")


# Bifrost's order: what the provider and the model have left, then what the key may use.
@pytest.mark.parametrize("limits,told", [
    ({"providers": [{"name": "openai", "rate_limit_id": "r"}]}, (429, "request_limited")),
    ({"providers": [{"name": "openai", "budget_id": "b"}]}, (402, "budget_exceeded")),
    ({"model_configs": [{"id": "m", "model_name": "*", "rate_limit_id": "r"}]},
     (429, "request_limited")),
    ({}, (403, None))])
@pytest.mark.parametrize("grants,blocked", [
    ([], "provider_blocked"),
    ([{"provider": "openai", "allowed_models": ["x"], "key_ids": ["*"]}], "model_blocked")])
def test_what_is_left_for_anybody_comes_first(governed_by, provider, limits, told, grants, blocked):
    g = governed_by(governed(provider, dict(limits, **{
        "rate_limits": [{"id": "r", "request_max_limit": 0, "request_reset_duration": "1d"}],
        "budgets": [{"id": "b", "max_limit": 0, "reset_duration": "1d"}],
        "virtual_keys": [key(provider_configs=grants)]})))
    assert error(g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=VK)) == (
        told[0], told[1] or blocked)


def test_a_fallback_is_governed_too(governed_by, provider_of):
    p = provider_of(lambda call: call.reply(500, {"error": {"message": "no"}}))
    g = governed_by(governed(
        p, {"virtual_keys": [key(provider_configs=[
            {"provider": "openai", "allowed_models": ["a"], "key_ids": ["*"]}])]},
        network={"max_retries": 0}))
    a = g.post(CHAT_PATH, chat("openai/a", fallbacks=["openai/b"]), headers=VK)
    assert a.status == 500 and len(p.seen) == 1


# ---- How many ------------------------------------------------------------------------------------

def limits(**members):
    return {"rate_limits": [dict({"id": "rl"}, **members)],
            "virtual_keys": [key(rate_limit_id="rl")]}


def test_requests_are_limited(governed_by, provider):
    g = governed_by(governed(provider, limits(request_max_limit=3, request_reset_duration="1h")))
    got = [g.post(CHAT_PATH, chat(), headers=VK) for _ in range(5)]
    assert [a.status for a in got] == [200, 200, 200, 429, 429]
    assert error(got[3]) == (429, "request_limited")
    assert g.post(CHAT_PATH, chat()).status == 200  # nobody's
    assert quota(g)["rate_limit"] == {
        "id": "rl", "request_max_limit": 3, "request_current_usage": 3,
        "request_reset_duration": "1h",
        "request_last_reset": quota(g)["rate_limit"]["request_last_reset"]}


def test_a_request_that_came_to_nothing_costs_nothing(governed_by, provider_of):
    p = provider_of(lambda call: call.reply(400, {"error": {"message": "no"}}))
    g = governed_by(governed(p, limits(request_max_limit=1, request_reset_duration="1h",
                                       token_max_limit=100000, token_reset_duration="1h")))
    for _ in range(3):
        assert g.post(CHAT_PATH, chat(), headers=VK).status == 400
    assert g.post(CHAT_PATH, b"{", headers=VK).status == 400
    used = quota(g)["rate_limit"]
    assert (used["request_current_usage"], used["token_current_usage"]) == (0, 0)


def test_tokens_are_counted_as_the_provider_says(governed_by, provider):
    g = governed_by(governed(provider, limits(token_max_limit=2000, token_reset_duration="1h")))
    for n in (1, 2):
        assert g.post(CHAT_PATH, chat(max_tokens=100), headers=VK).status == 200
        assert quota(g)["rate_limit"]["token_current_usage"] == n * 11
    a = g.post(CHAT_PATH, chat(max_tokens=2000), headers=VK)
    assert error(a) == (429, "token_limited")
    assert len(provider.seen) == 2


def test_counters_outlive_the_process(governed_by, provider, tmp_path):
    conf = governed(provider, limits(request_max_limit=4, request_reset_duration="1h"))
    first = governed_by(conf)
    for _ in range(2):
        assert first.post(CHAT_PATH, chat(), headers=VK).status == 200
    first.kill()
    second = governed_by(conf)
    assert [second.post(CHAT_PATH, chat(), headers=VK).status for _ in range(3)] == [200, 200, 429]


def test_a_kill_gives_back_what_was_reserved(governed_by, provider_of):
    p = provider_of(lambda call: call.wait_closed())
    conf = governed(p, limits(request_max_limit=2, request_reset_duration="1h"))
    first = governed_by(conf)
    with first.connect() as c:
        c.send_request("POST", CHAT_PATH, chat(), headers=VK)
        p.call()
        first.kill()
    second = governed_by(conf)
    assert quota(second)["rate_limit"]["request_current_usage"] == 0


# ---- Money ---------------------------------------------------------------------------------------

def budget(dollars, **members):
    return {"budgets": [{"id": "b", "max_limit": dollars, "reset_duration": "1d",
                         "virtual_key_id": "vk-1"}],
            "virtual_keys": [key(**members)]}


# gpt-4o: for a million tokens $2.50 in, $1.25 of what the cache had, $10.00 out.
IN, CACHED, OUT = 2.5e-6, 1.25e-6, 1e-5
# Of CHAT: 9 in, 4 of them cached, 2 out.
CHAT_COST = 5 * IN + 4 * CACHED + 2 * OUT


def test_cost(governed_by, provider):
    g = governed_by(governed(provider, budget(1)))
    assert g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=VK).status == 200
    b = quota(g)["budgets"][0]
    assert b["current_usage"] == pytest.approx(CHAT_COST, abs=1e-12)
    assert b["max_limit"] == 1 and b["reset_duration"] == "1d" and b["id"] == "b"


def test_what_the_provider_says_it_costs(governed_by, provider_of):
    for cost, dollars in ((0.25, 0.25), ({"total_cost": 0.125}, 0.125), (0, CHAT_COST)):
        p = provider_of(lambda call: call.reply(200, dict(CHAT, usage=dict(CHAT["usage"],
                                                                           cost=cost))))
        conf = governed(p, budget(1))
        conf["governance"]["budgets"][0]["id"] = "b-%s" % dollars
        g = governed_by(conf)
        assert g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=VK).status == 200
        assert quota(g)["budgets"][0]["current_usage"] == pytest.approx(dollars)
        g.stop()


def test_a_price_of_ones_own(governed_by, provider):
    g = budget(1)
    g["pricing_overrides"] = [{
        "id": "o", "name": "ours", "scope_kind": "provider", "provider_id": "openai",
        "match_type": "wildcard", "pattern": "in-house-*", "request_types": ["chat_completion"],
        "pricing_patch": json.dumps({"input_cost_per_token": 0.01, "output_cost_per_token": 0.02})}]
    gateway = governed_by(governed(provider, g))
    assert gateway.post(CHAT_PATH, chat("openai/in-house-1", max_tokens=5),
                        headers=VK).status == 200
    assert quota(gateway)["budgets"][0]["current_usage"] == pytest.approx(9 * 0.01 + 2 * 0.02)


def test_no_price_no_budget(governed_by, provider):
    conf = governed(provider, budget(1))
    g = governed_by(conf)
    a = g.post(CHAT_PATH, chat("openai/nobody-knows"), headers=VK)
    assert error(a) == (402, "budget_exceeded") and b"no price" in a.body
    g.stop()
    g = governed_by(dict(conf, server={"allow_unpriced": True}))
    assert g.post(CHAT_PATH, chat("openai/nobody-knows"), headers=VK).status == 200
    assert quota(g)["budgets"][0]["current_usage"] == 0


def test_every_level_is_asked(governed_by, provider):
    tiny, wide = {"reset_duration": "1d", "max_limit": 1e-7}, {"reset_duration": "1d",
                                                               "max_limit": 100}
    for level in ("team", "business unit", "customer", "virtual key", "provider config", "provider",
                  "model"):
        of = lambda name: tiny if name == level else wide
        g = governed_by(governed(provider, {
            "budgets": [dict(of("team"), id="bt", team_id="t"),
                        dict(of("virtual key"), id="bv", virtual_key_id="vk-1"),
                        dict(of("provider config"), id="bg", provider_config_id=7),
                        dict(of("provider"), id="bp"), dict(of("model"), id="bm"),
                        dict(of("business unit"), id="bu")],
            "business_units": [{"id": "u", "name": "U", "budget_id": "bu", "team_ids": ["t"]}],
            "customers": [{"id": "c", "name": "C", "budgets": [dict(of("customer"), id="bc")]}],
            "teams": [{"id": "t", "name": "T", "customer_id": "c"}],
            "providers": [{"name": "openai", "budget_id": "bp"}],
            "model_configs": [{"id": "m", "model_name": "gpt-4o", "budget_ids": ["bm"]}],
            "virtual_keys": [key(team_id="t", provider_configs=[
                {"id": 7, "provider": "openai", "allowed_models": ["*"], "key_ids": ["*"]}])]}))
        a = g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=VK)
        assert error(a) == (402, "budget_exceeded")
        assert json.loads(a.body)["error"]["message"].startswith(level + " budget exceeded")
        g.stop()
    assert provider.seen == []


def crowd(gateway, n, body, provider):
    """n requests at once, before any is answered by its provider, whose script is a Hold: it lets
    go when it has seen all that were not refused. Their statuses."""
    before = len(provider.seen)
    clients = [gateway.connect() for _ in range(n)]
    waiting = selectors.DefaultSelector()
    for c in clients:
        waiting.register(c.sock, selectors.EVENT_READ, c)
        c.send_request("POST", CHAT_PATH, body, headers=VK)
    got = []
    end = time.monotonic() + DEADLINE_S
    while len(got) < n and time.monotonic() < end:
        for found, _ in waiting.select(1):
            waiting.unregister(found.fileobj)
            got.append(found.data.answer().status)
        if len(got) + len(provider.seen) - before == n:
            provider.script.go.set()
    for c in clients:
        c.close()
    return got


class Hold:
    """A provider that holds every answer until it is told to go."""

    def __init__(self, usage):
        self.go = threading.Event()
        self.usage = usage

    def __call__(self, call):
        self.go.wait(DEADLINE_S)
        call.reply(200, dict(CHAT, usage=self.usage))


def usage(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion}


@pytest.mark.parametrize("unit", ["money", "requests", "tokens"])
def test_a_limit_for_a_hundred_of_a_thousand(governed_by, provider_of, unit):
    body = chat("openai/gpt-4o", max_tokens=50)
    one = len(json.dumps(body).encode()) // 3 + 1  # what the gateway reserves
    p = provider_of(Hold(usage(one, 50)))
    if unit == "money":
        g = budget(100 * (one * IN + 50 * OUT))
    elif unit == "requests":
        g = limits(request_max_limit=100, request_reset_duration="1h")
    else:
        g = limits(token_max_limit=100 * (one + 50), token_reset_duration="1h")
    gateway = governed_by(governed(p, g), flags=["-cores", "4"])
    got = crowd(gateway, 1000, body, p)
    assert 95 <= got.count(200) <= 100
    assert got.count(200) + got.count(402 if unit == "money" else 429) == 1000
    assert len(p.seen) == got.count(200)
    if unit == "money":
        assert quota(gateway)["budgets"][0]["current_usage"] <= 100 * (one * IN + 50 * OUT) + 1e-9


def test_the_overspend_is_what_was_in_flight(governed_by, provider_of):
    """Answers of thrice the estimate: at most the difference for each that was under way."""
    body = chat("openai/gpt-4o", max_tokens=50)
    one = len(json.dumps(body).encode()) // 3 + 1
    p = provider_of(Hold(usage(3 * one, 150)))
    estimate = one * IN + 50 * OUT
    gateway = governed_by(governed(p, budget(20 * estimate)), flags=["-cores", "4"])
    got = crowd(gateway, 60, body, p)
    assert got.count(200) == 20 and got.count(402) == 40
    used = quota(gateway)["budgets"][0]["current_usage"]
    assert used == pytest.approx(20 * estimate + 20 * 2 * estimate, abs=1e-9)
    assert gateway.post(CHAT_PATH, body, headers=VK).status == 402


def test_a_window_that_ends_in_the_middle_of_a_stream(governed_by, provider_of):
    """What was reserved before is charged to the window it ends in; nothing goes below zero."""
    hold = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        hold.wait(DEADLINE_S)
        for e in CHAT_EVENTS[1:] + [USAGE_EVENT, DONE]:
            call.chunk(e)
        call.stream_end()

    p = provider_of(script)
    g = governed_by(governed(p, limits(token_max_limit=10000, token_reset_duration="1s",
                                       request_max_limit=5, request_reset_duration="1s")))
    body = chat("openai/gpt-4o", stream=True, max_tokens=50)
    with g.connect() as c:
        c.send_request("POST", CHAT_PATH, body, headers=VK)
        c.head()
        first = c.chunk()
        assert b"data: " in first
        begun = quota(g)["rate_limit"]["token_last_reset"]
        while quota(g)["rate_limit"]["token_last_reset"] == begun:
            used = quota(g)["rate_limit"]
            assert used["token_current_usage"] >= 0 and used["request_current_usage"] >= 0
        hold.set()
        while c.chunk():
            pass
    used = quota(g)["rate_limit"]
    assert used["token_current_usage"] in (0, 11) and used["request_current_usage"] in (0, 1)


# ---- Streams -------------------------------------------------------------------------------------

def used_in_the_end(gateway):
    """The exchange ends beside us."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        used = quota(gateway)["budgets"][0]["current_usage"]
        if used:
            return used
    return None


def leaves_after(events, gateway, path, body, count):
    """Reads `count` of the events a provider sends, then leaves."""
    with gateway.connect() as c:
        c.send_request("POST", path, body, headers=VK)
        c.head()
        seen = c.events()
        for _ in range(count):
            next(seen)
    return events


@pytest.mark.parametrize("sent", range(1, len(CHAT_EVENTS) + 2))
def test_a_client_that_leaves_at_each_event(governed_by, provider_of, sent):
    """The provider's usage when it was told, else what was reserved; once."""
    events = CHAT_EVENTS + [USAGE_EVENT]
    left = []

    def script(call):
        call.stream_head()
        for e in events[:sent]:
            call.chunk(e)
        left.append(call.wait_closed())

    p = provider_of(script)
    g = governed_by(governed(p, budget(1)))
    body = chat("openai/gpt-4o", stream=True, max_tokens=50, stream_options={"include_usage": True})
    leaves_after(events, g, CHAT_PATH, body, sent)
    reserved = (len(json.dumps(body).encode()) // 3 + 1) * IN + 50 * OUT
    told = 9 * IN + 2 * OUT
    expected = told if sent > len(CHAT_EVENTS) else reserved
    assert used_in_the_end(g) == pytest.approx(expected, abs=1e-12)


MESSAGE_EVENTS = message_events()


@pytest.mark.parametrize("sent", range(1, len(MESSAGE_EVENTS)))
def test_a_client_of_messages_that_leaves_at_each_event(governed_by, provider_of, sent):
    """What a message's beginning tells is not yet what it used."""
    def script(call):
        call.stream_head()
        for e in MESSAGE_EVENTS[:sent]:
            call.chunk(e)
        call.wait_closed()

    p = provider_of(script)
    conf = governed(p, budget(1), name="anthropic")
    conf["governance"]["virtual_keys"][0]["provider_configs"][0]["provider"] = "anthropic"
    g = governed_by(conf)
    body = {"model": "claude-sonnet-4-5", "max_tokens": 50, "stream": True,
            "messages": [{"role": "user", "content": "Hi"}]}
    leaves_after(MESSAGE_EVENTS, g, "/anthropic/v1/messages", body, sent)
    # $3 in, $0.30 of the cache, $15 out: 5 in, 4 of the cache, and what the delta told.
    delta = [json.loads(e.split(b"data: ")[1]) for e in MESSAGE_EVENTS if b"message_delta" in e][0]
    told = 5 * 3e-6 + 4 * 0.3e-6 + delta["usage"]["output_tokens"] * 15e-6
    reserved = (len(json.dumps(body).encode()) // 3 + 1) * 3e-6 + 50 * 15e-6
    was_told = any(b"message_delta" in e for e in MESSAGE_EVENTS[:sent])
    assert used_in_the_end(g) == pytest.approx(told if was_told else reserved, abs=1e-12)


def test_a_stream_that_breaks_off_costs_what_was_reserved(governed_by, provider_of):
    def script(call):
        call.stream_head()
        call.chunk(CHAT_EVENTS[0])
        call.chunk(CHAT_EVENTS[1])
        call.sock.close()

    p = provider_of(script)
    g = governed_by(governed(p, budget(1)))
    body = chat("openai/gpt-4o", stream=True, max_tokens=50)
    a = g.post(CHAT_PATH, body, headers=VK)
    assert b"error" in a.body
    reserved = (len(json.dumps(body).encode()) // 3 + 1) * IN + 50 * OUT
    assert used_in_the_end(g) == pytest.approx(reserved, abs=1e-12)


# ---- A key's own choice --------------------------------------------------------------------------

def test_a_bare_model_goes_by_weight(governed_by, provider_of):
    one, two = provider_of(), provider_of()
    conf = governed(one, {"virtual_keys": [key(provider_configs=[
        {"provider": "openai", "allowed_models": ["*"], "key_ids": ["*"], "weight": 0.8},
        {"provider": "groq", "allowed_models": ["m"], "key_ids": ["*"], "weight": 0.2},
        {"provider": "mistral", "allowed_models": ["*"], "key_ids": ["*"]}])]})
    third = provider_of()
    for name, p in (("openai", one), ("groq", two), ("mistral", third)):
        conf["providers"][name] = {
            "keys": [{"name": name, "value": "sk", "weight": 1, "models": ["m"]}],
            "network_config": {"base_url": p.url}}
    g = governed_by(conf)
    with g.connect() as c:
        for _ in range(200):
            assert c.request("POST", CHAT_PATH, chat("m"), headers=VK).status == 200
    assert third.seen == []
    assert 100 < len(one.seen) < 200 and len(one.seen) + len(two.seen) == 200
    # A provider that was named is not drawn for.
    before = len(two.seen)
    for _ in range(5):
        assert g.post(CHAT_PATH, chat("groq/m"), headers=VK).status == 200
    assert len(two.seen) == before + 5


def test_the_others_stand_behind(governed_by, provider_of):
    bad = provider_of(lambda call: call.reply(500, {"error": {"message": "no"}}))
    good = provider_of()
    conf = governed(bad, {"virtual_keys": [key(provider_configs=[
        {"provider": "openai", "allowed_models": ["*"], "key_ids": ["*"], "weight": 1},
        {"provider": "groq", "allowed_models": ["*"], "key_ids": ["*"], "weight": 0}])]})
    for name, p in (("openai", bad), ("groq", good)):
        conf["providers"][name] = {
            "keys": [{"name": name, "value": "sk", "weight": 1, "models": ["m"]}],
            "network_config": {"base_url": p.url, "max_retries": 0}}
    g = governed_by(conf)
    assert g.post(CHAT_PATH, chat("m"), headers=VK).status == 200
    assert len(bad.seen) == 1 and len(good.seen) == 1
    # The request's own list counts instead.
    assert g.post(CHAT_PATH, chat("m", fallbacks=[]), headers=VK).status == 500
    assert len(good.seen) == 1


def test_a_provider_without_room_does_not_draw(governed_by, provider_of):
    one, two = provider_of(), provider_of()
    conf = governed(one, {
        "rate_limits": [{"id": "r", "request_max_limit": 2, "request_reset_duration": "1h"}],
        "virtual_keys": [key(provider_configs=[
            {"provider": "openai", "allowed_models": ["*"], "key_ids": ["*"], "weight": 1,
             "rate_limit_id": "r"},
            {"provider": "groq", "allowed_models": ["*"], "key_ids": ["*"], "weight": 0}])]})
    for name, p in (("openai", one), ("groq", two)):
        conf["providers"][name] = {
            "keys": [{"name": name, "value": "sk", "weight": 1, "models": ["m"]}],
            "network_config": {"base_url": p.url}}
    g = governed_by(conf)
    for _ in range(5):
        assert g.post(CHAT_PATH, chat("m"), headers=VK).status == 200
    assert (len(one.seen), len(two.seen)) == (2, 3)


# ---- Models --------------------------------------------------------------------------------------

def test_a_key_sees_the_models_it_may_use(governed_by, provider_of):
    def script(call):
        call.reply(200, {"object": "list", "data": [
            {"id": m, "object": "model", "created": 1, "owned_by": "x"} for m in ("a", "b", "c")]})

    one, two = provider_of(script), provider_of(script)
    conf = governed(one, {"virtual_keys": [key(provider_configs=[
        {"provider": "openai", "allowed_models": ["a", "c"], "blacklisted_models": ["c"],
         "key_ids": ["*"]}])]}, client={"enforce_auth_on_inference": True})
    conf["providers"]["groq"] = {"keys": [{"name": "g", "value": "sk", "models": ["*"]}],
                                 "network_config": {"base_url": two.url}}
    g = governed_by(conf)
    assert error(g.request("GET", "/v1/models")) == (401, "virtual_key_required")
    a = g.request("GET", "/v1/models", headers=VK)
    assert [m["id"] for m in json.loads(a.body)["data"]] == ["openai/a"]
    assert two.seen == []
    assert error(g.request("GET", "/v1/models?provider=groq", headers=VK)) == (
        403, "provider_blocked")


# ---- Metrics -------------------------------------------------------------------------------------

def test_metrics_say_whose_it_was_and_what_it_cost(governed_by, provider):
    g = governed_by(governed(provider, {
        "customers": [{"id": "c", "name": "Acme"}],
        "teams": [{"id": "t", "name": "Search", "customer_id": "c"}],
        "virtual_keys": [key(team_id="t")]}))
    assert g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=VK).status == 200
    lines = [l for l in g.request("GET", "/metrics").body.decode().split("\n")
             if l.startswith("bifrost_cost_total")]
    assert len(lines) == 1
    labels, cost = lines[0].rsplit(" ", 1)
    assert float(cost) == pytest.approx(CHAT_COST)
    for label in ('virtual_key_id="vk-1"', 'virtual_key_name="alpha"', 'team_id="t"',
                  'team_name="Search"', 'customer_id="c"', 'customer_name="Acme"'):
        assert label in labels
    assert KEY not in g.request("GET", "/metrics").body.decode()


# ---- Quota ---------------------------------------------------------------------------------------

def test_quota_is_for_the_key_itself(governed_by, provider):
    g = governed_by(governed(provider, budget(1)))
    path = "/api/governance/virtual-keys/quota"
    for headers in ((), [("x-bf-vk", "sk-bf-wrong")]):
        a = g.request("GET", path, headers=headers)
        assert a.status == 401 and list(json.loads(a.body)) == ["error"]
    a = g.request("GET", path, headers=[("authorization", "Bearer " + KEY)])
    assert json.loads(a.body) == {
        "virtual_key_name": "alpha", "is_active": True,
        "budgets": [{"id": "b", "max_limit": 1, "current_usage": 0, "reset_duration": "1d",
                     "last_reset": json.loads(a.body)["budgets"][0]["last_reset"],
                     "calendar_aligned": False}]}


# ---- Reload --------------------------------------------------------------------------------------

def test_a_reload_changes_limits_and_forgets_nothing(governed_by, provider):
    conf = governed(provider, limits(request_max_limit=2, request_reset_duration="1h"))
    g = governed_by(conf)
    assert [g.post(CHAT_PATH, chat(), headers=VK).status for _ in range(3)] == [200, 200, 429]
    conf["governance"]["rate_limits"][0]["request_max_limit"] = 3
    g.write(conf)
    g.process.send_signal(signal.SIGHUP)
    g.wait_log("configuration reloaded")
    assert [g.post(CHAT_PATH, chat(), headers=VK).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("name", ["GPT-4o", "gpt-4O"])
def test_letter_case_dodges_no_limit_of_a_model(governed_by, provider, name):
    g = governed_by(governed(provider, {
        "rate_limits": [{"id": "r", "request_max_limit": 1, "request_reset_duration": "1d"}],
        "model_configs": [{"id": "m", "model_name": "gpt-4o", "rate_limit_id": "r"}],
        "virtual_keys": [key()]}))
    assert g.post(CHAT_PATH, chat("openai/gpt-4o"), headers=VK).status == 200
    assert error(g.post(CHAT_PATH, chat("openai/" + name), headers=VK)) == (
        429, "request_limited")
