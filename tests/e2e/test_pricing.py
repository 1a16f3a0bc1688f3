# SPDX-License-Identifier: Apache-2.0
"""Prices from outside: fetched, refused, stored, and the same for a request from start to end."""
import gzip
import json
import ssl
import threading

import pytest

from harness import (CHAT, CHAT_EVENTS, DEADLINE_S, DONE, MESSAGE, RESPONSE, Hangup, chat, config,
                     event, message_events)

CHAT_PATH = "/v1/chat/completions"
KEY = "sk-bf-alpha"
VK = [("x-bf-vk", KEY)]
SYNC = "/api/pricing/force-sync"
TOKENS = 11  # of CHAT; its 4 cached ones cost as much as the others here


def sheet(dollars):
    return {"openai/gpt-4o": {"provider": "openai", "mode": "chat",
                              "input_cost_per_token": dollars, "output_cost_per_token": dollars}}


def governed(provider, url=None):
    conf = dict(config(provider), version=2, governance={
        "budgets": [{"id": "b", "max_limit": 1000, "reset_duration": "1d",
                     "virtual_key_id": "vk-1"}],
        "virtual_keys": [{"id": "vk-1", "name": "alpha", "value": KEY,
                          "provider_configs": [{"provider": "openai", "allowed_models": ["*"],
                                                "key_ids": ["*"]}]}]})
    if url:
        conf["framework"] = {"pricing": {"pricing_url": url}}
    return conf


@pytest.fixture
def start(gateway_of, tmp_path):
    def make(conf, home="home", more=(), **kwargs):
        (tmp_path / home).mkdir(exist_ok=True)
        (tmp_path / home / "config.json").write_text(json.dumps(conf))
        return gateway_of(None, flags=["-shared-dir", str(tmp_path / "shared"),
                                       "-app-dir", str(tmp_path / home), *more], **kwargs)
    return make


def cost_of_one(g):
    def used():
        a = g.request("GET", "/api/governance/virtual-keys/quota", headers=VK)
        return json.loads(a.body)["budgets"][0]["current_usage"]
    before = used()
    assert g.post(CHAT_PATH, chat("openai/gpt-4o", max_tokens=9), headers=VK).status == 200
    return used() - before


def test_prices_are_fetched_and_outlive_a_server_that_is_down(start, provider, provider_of):
    down = threading.Event()

    def answer(call):
        if down.is_set():
            raise Hangup
        call.reply(200, sheet(0.001))
    prices = provider_of(answer)
    g = start(governed(provider, prices.url + "/sheet.json"))
    g.wait_log("prices updated")
    assert prices.seen[0].path == "/sheet.json"
    assert cost_of_one(g) == pytest.approx(TOKENS * 0.001)
    g.wait_metric("ringgate_pricing_models 1")
    g.wait_metric('ringgate_pricing_syncs_total{result="succeeded"} 1')
    g.stop()
    down.set()
    g = start(governed(provider, prices.url + "/sheet.json"))
    g.wait_log("prices not fetched")
    assert cost_of_one(g) == pytest.approx(TOKENS * 0.001)


def test_without_a_url_nothing_is_fetched(start, provider):
    g = start(governed(provider))
    assert g.request("POST", SYNC).status == 503
    assert cost_of_one(g) == pytest.approx(5 * 2.5e-6 + 4 * 1.25e-6 + 2 * 1e-5)


# ---- What an answer is billed by -----------------------------------------------------------------

RATES = {"input_cost_per_token": 1, "output_cost_per_token": 10,
         "input_cost_per_token_priority": 2, "output_cost_per_token_priority": 20,
         "input_cost_per_token_flex": 0.5, "output_cost_per_token_flex": 5,
         "cache_read_input_token_cost": 0.1, "cache_creation_input_token_cost": 1.25,
         "cache_creation_input_token_cost_above_1hr": 2,
         "search_context_cost_per_query": {"search_context_size_medium": 7}}
CLAUDE = {"input_tokens": 100, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 30,
          "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
          "output_tokens": 3, "server_tool_use": {"web_search_requests": 2},
          "service_tier": "standard"}
CLAUDE_COSTS = 100 * 1 + 50 * 0.1 + 10 * 1.25 + 20 * 2 + 3 * 10 + 2 * 7


def billed(start, provider_of, vendor, script):
    """A gateway whose one model has RATES, in dollars, and what a request has cost."""
    prices = provider_of(lambda call: call.reply(
        200, {vendor + "/m": dict(RATES, provider=vendor, mode="chat")}))
    conf = governed(provider_of(script), prices.url)
    conf["governance"]["budgets"][0]["max_limit"] = 1e5  # for what is reserved
    conf["providers"] = {vendor: conf["providers"]["openai"]}
    conf["governance"]["virtual_keys"][0]["provider_configs"][0]["provider"] = vendor
    g = start(conf)
    g.wait_log("prices updated")

    def ask(path, body):
        assert g.post(path, body, headers=VK).status == 200
        a = g.request("GET", "/api/governance/virtual-keys/quota", headers=VK)
        return json.loads(a.body)["budgets"][0]["current_usage"]
    return ask


def claude(call):
    if not call.json().get("stream"):
        return call.reply(200, dict(MESSAGE, usage=CLAUDE))
    rest = message_events()[1:]
    head = dict(MESSAGE, content=[], stop_reason=None, usage=dict(CLAUDE, output_tokens=1))
    call.stream_head()
    call.chunk(event({"type": "message_start", "message": head}, "message_start"))
    call.chunk(b"".join(e for e in rest if b"message_delta" not in e and b"message_stop" not in e))
    call.chunk(event({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                      "usage": {"output_tokens": 3}}, "message_delta"))
    call.chunk(event({"type": "message_stop"}, "message_stop"))
    return call.stream_end()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path,more", [("/anthropic/v1/messages", {"max_tokens": 9}),
                                       (CHAT_PATH, {})], ids=["native", "translated"])
def test_what_was_cached_for_an_hour_costs_as_such(start, provider_of, path, more, stream):
    ask = billed(start, provider_of, "anthropic", claude)
    body = dict(chat("anthropic/m" if path == CHAT_PATH else "m", **more))
    if stream:
        body["stream"] = True
    assert ask(path, body) == pytest.approx(CLAUDE_COSTS)


@pytest.mark.parametrize("tier,costs", [("priority", 9 * 2 + 2 * 20), ("flex", 9 * .5 + 2 * 5),
                                        ("default", 9 + 2 * 10), (None, 9 + 2 * 10)])
@pytest.mark.parametrize("what", ["chat", "stream", "responses"])
def test_a_service_tier_costs_what_was_served(start, provider_of, what, tier, costs):
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}

    def script(call):
        if what == "responses":
            return call.reply(200, dict(RESPONSE, service_tier=tier))
        if what == "chat":
            return call.reply(200, dict(CHAT, service_tier=tier, usage=usage))
        call.stream_head()
        call.chunk(b"".join(CHAT_EVENTS) + event(
            {"id": "c", "object": "chat.completion.chunk", "choices": [], "model": "m",
             "service_tier": tier, "usage": usage}) + DONE)
        return call.stream_end()
    ask = billed(start, provider_of, "openai", script)
    if what == "responses":
        assert ask("/openai/v1/responses", {"model": "m", "input": "x"}) == pytest.approx(costs)
    else:
        body = chat("m", **({"stream": True} if what == "stream" else {}))
        assert ask("/openai/v1/chat/completions", body) == pytest.approx(costs)


def half(call):
    call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
    raise Hangup


def huge(call):
    call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
    while True:
        call.send(b" " * (1 << 20))


def bomb(call):
    body = gzip.compress(b" " * (33 << 20))
    call.reply(200, body, headers=[("content-encoding", "gzip")])


@pytest.mark.parametrize("script,why", [
    (lambda call: call.reply(500, {}), "answered 500"),
    (lambda call: call.reply(302, {}, headers=[("location", "/x")]), "redirects"),
    (lambda call: call.reply(200, b"<html>"), "error"),
    (lambda call: call.reply(200, {"a": 1}), "no row"),
    (half, "error"), (huge, "too large"), (bomb, "error"),
], ids=["500", "redirect", "garbage", "no-rows", "half", "huge", "bomb"])
def test_a_failure_takes_nothing_away(start, provider, provider_of, script, why):
    prices = provider_of(script)
    g = start(governed(provider, prices.url))
    assert why in g.wait_log("prices not fetched")
    assert cost_of_one(g) == pytest.approx(5 * 2.5e-6 + 4 * 1.25e-6 + 2 * 1e-5)
    g.wait_metric('ringgate_pricing_syncs_total{result="failed"} 1')


def test_gzip_and_force_sync(start, provider, provider_of):
    dollars = [0.001, 0.002]
    prices = provider_of(lambda call: call.reply(
        200, gzip.compress(json.dumps(sheet(dollars.pop(0))).encode()),
        headers=[("content-encoding", "gzip")]))
    g = start(governed(provider, prices.url))
    g.wait_log("prices updated")
    assert cost_of_one(g) == pytest.approx(TOKENS * 0.001)
    a = g.request("POST", SYNC)
    assert a.status == 200 and json.loads(a.body)["status"] == "success"
    assert cost_of_one(g) == pytest.approx(TOKENS * 0.002)  # at once, on every core


def test_force_sync_answers_when_the_fetch_has_ended(start, provider, provider_of):
    go, count = threading.Semaphore(1), []

    def answer(call):
        assert go.acquire(timeout=DEADLINE_S)
        count.append(call)
        call.reply(200, sheet(0.001 * len(count)))
    prices = provider_of(answer)
    g = start(governed(provider, prices.url), more=["--cores=2"])
    g.wait_log("prices updated")
    prices.call()
    first = g.connect()
    first.send_request("POST", SYNC)
    prices.call()
    others = [g.connect() for _ in range(6)]
    for c in others:
        c.send_request("POST", SYNC)
    for _ in range(8):
        assert g.request("GET", "/health").status == 200
    first.sock.setblocking(False)
    with pytest.raises((BlockingIOError, ssl.SSLWantReadError)):  # it has not ended
        first.sock.recv(1)
    first.sock.settimeout(DEADLINE_S)
    go.release(10)
    assert first.answer().status == 200 and len(count) >= 2
    # Those who asked while it ran share the next, or the one after that: not one each.
    assert [c.answer().status for c in others] == [200] * 6
    assert 3 <= len(count) <= 2 + 6
    assert cost_of_one(g) == pytest.approx(TOKENS * 0.001 * len(count))


def test_force_sync_says_what_went_wrong(start, provider, provider_of):
    bad = []

    def answer(call):
        if bad:
            call.reply(503, {})
        else:
            call.reply(200, sheet(0.001))
    prices = provider_of(answer)
    g = start(governed(provider, prices.url))
    g.wait_log("prices updated")
    bad.append(1)
    a = g.request("POST", SYNC)
    assert a.status == 500
    assert json.loads(a.body)["error"]["message"] == (
        "pricing sync failed: the server answered 503")
    assert cost_of_one(g) == pytest.approx(TOKENS * 0.001)


def test_a_url_that_is_taken_away_leaves_nobody_waiting(start, provider, provider_of, tmp_path):
    go = threading.Event()

    def answer(call):
        if len(prices.seen) > 1:
            assert go.wait(DEADLINE_S)
        call.reply(200, sheet(0.001))
    prices = provider_of(answer)
    g = start(governed(provider, prices.url), more=["--cores=1"])
    g.wait_log("prices updated")
    prices.call()
    first, second = g.connect(), g.connect()
    first.send_request("POST", SYNC)
    prices.call()
    second.send_request("POST", SYNC)
    assert g.request("GET", "/health").status == 200
    (tmp_path / "home" / "config.json").write_text(json.dumps(governed(provider)))
    g.process.send_signal(1)
    g.wait_log("configuration reloaded")
    go.set()
    assert first.answer().status == 200
    a = second.answer()
    assert a.status == 500 and b"there is no URL any more" in a.body


def test_who_leaves_meanwhile_and_a_stop(start, provider, provider_of):
    go = threading.Event()

    def answer(call):
        if len(prices.seen) > 1:
            go.wait(DEADLINE_S)
        call.reply(200, sheet(0.001))
    prices = provider_of(answer)
    g = start(governed(provider, prices.url), more=["--cores=2"])
    g.wait_log("prices updated")
    prices.call()
    with g.connect() as c:
        c.send_request("POST", SYNC)
        prices.call()
    stays = g.connect()
    stays.send_request("POST", SYNC)
    g.process.send_signal(15)
    a = stays.answer()
    assert a.status == 503 and b"shutting down" in a.body
    g.stop()
    go.set()


def test_a_request_keeps_the_price_it_began_with(start, provider_of):
    go, dollars = threading.Event(), [0.001, 0.002]

    def answer(call):
        assert go.wait(DEADLINE_S)
        call.reply(200, CHAT)
    provider = provider_of(answer)
    prices = provider_of(lambda call: call.reply(200, sheet(dollars.pop(0))))
    g = start(governed(provider, prices.url))
    g.wait_log("prices updated")
    with g.connect() as c:
        c.send_request("POST", CHAT_PATH, chat("openai/gpt-4o"), headers=VK)
        provider.call()
        g.request("POST", SYNC)
        g.wait_log("prices updated", 2)
        go.set()
        assert c.answer().status == 200
    a = g.request("GET", "/api/governance/virtual-keys/quota", headers=VK)
    assert json.loads(a.body)["budgets"][0]["current_usage"] == pytest.approx(TOKENS * 0.001)


def test_a_slow_server_holds_no_stop(start, provider, provider_of):
    release = threading.Event()

    def slow(call):
        release.wait(DEADLINE_S)
        raise Hangup
    prices = provider_of(slow)
    g = start(governed(provider, prices.url))
    prices.call()
    g.stop()  # checks the status; the provider still says nothing
    release.set()


def test_management_is_closed_to_the_network(start, provider, provider_of):
    prices = provider_of(lambda call: call.reply(200, sheet(0.001)))
    conf = governed(provider, prices.url)
    conf["server"] = {"allowed_hosts": ["*"]}
    g = start(conf, more=["-host", "0.0.0.0"])
    assert g.request("POST", SYNC).status == 403
    g.stop()
    conf["server"]["allow_open_management"] = True
    g = start(conf, more=["-host", "0.0.0.0"])
    assert g.request("POST", SYNC).status == 200
