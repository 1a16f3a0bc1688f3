# SPDX-License-Identifier: Apache-2.0
"""Prices from outside: fetched, refused, stored, and the same for a request from start to end."""
import gzip
import json
import threading

import pytest

from harness import CHAT, DEADLINE_S, Hangup, chat, config

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
    g.wait_log("prices updated", 2)
    assert cost_of_one(g) == pytest.approx(TOKENS * 0.002)


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
