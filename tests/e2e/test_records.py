# SPDX-License-Identifier: Apache-2.0
"""Rows of requests: one for each target that was tried, kept whatever becomes of the process."""
import json
import threading
import urllib.parse

import pytest

from harness import CHAT, DEADLINE_S, chat, config

CHAT_PATH = "/v1/chat/completions"
VK = [("x-bf-vk", "sk-bf-alpha")]


def logged(provider, client=None, **members):
    return dict(config(provider, client=dict({"enable_logging": True}, **(client or {})),
                       **members), version=2)


@pytest.fixture
def recording(gateway_of, tmp_path):
    def make(conf, flags=(), **kwargs):
        return gateway_of(conf, flags=["-shared-dir", str(tmp_path / "shared"), *flags], **kwargs)
    return make


def search(g, **parameters):
    a = g.request("GET", "/api/logs?" + urllib.parse.urlencode(parameters))
    assert a.status == 200, a.body
    return json.loads(a.body)


def rows(g, count, **parameters):
    """The rows once there are so many: a row is found when the drain has written it."""
    give_up = threading.Event()
    timer = threading.Timer(DEADLINE_S, give_up.set)
    timer.start()
    try:
        while not give_up.is_set():
            found = search(g, **parameters)
            if found["pagination"]["total_count"] >= count:
                assert found["pagination"]["total_count"] == count
                return found["logs"]
        raise AssertionError("%d rows, not %d" % (found["pagination"]["total_count"], count))
    finally:
        timer.cancel()


def entry(g, row):
    a = g.request("GET", "/api/logs/" + row["id"])
    assert a.status == 200, a.body
    return json.loads(a.body)


def test_a_whole_answer(recording, provider):
    g = recording(logged(provider, client={"logging_headers": ["X-Tenant"]}))
    body = chat()
    a = g.post(CHAT_PATH, body, headers=[("x-request-id", "me-1"), ("x-bf-lh-team", "red"),
                                         ("x-tenant", "t1"), ("x-other", "no")])
    assert a.status == 200
    (row,) = rows(g, 1)
    assert len(row["id"]) == 28 and row["provider"] == "openai" and row["model"] == "gpt-4o-mini"
    assert row["status"] == "success" and row["object"] == "chat_completion"
    assert row["number_of_retries"] == 0 and row["fallback_index"] == 0 and row["stream"] is False
    assert row["metadata"] == {"request_id": "me-1", "team": "red", "x-tenant": "t1"}
    usage = CHAT["usage"]
    assert row["token_usage"]["prompt_tokens"] == usage["prompt_tokens"]
    assert row["token_usage"]["completion_tokens"] == usage["completion_tokens"]
    assert "error_details" not in row and "raw_request" not in row
    one = entry(g, row)
    assert json.loads(one["raw_request"]) == (json.loads(body) if isinstance(body, bytes) else body)
    assert json.loads(one["raw_response"]) == CHAT
    assert g.request("GET", "/api/logs/" + "0" * 28).status == 404
    assert g.request("GET", "/api/logs/nonsense").status == 404


def test_the_stores_health(recording, provider):
    g = recording(logged(provider))
    assert g.request("GET", "/health").json() == {"status": "ok", "components": {
        "gateway": "ok", "config_store": "ok", "log_store": "ok"}}
    assert g.post(CHAT_PATH, chat()).status == 200
    for line in ("ringgate_store_records_total 1", "ringgate_store_queued_bytes 0",
                 'ringgate_store_state{state="ready"} 1', "ringgate_store_writing 1"):
        assert g.wait_metric(line), line
    g = recording(config(provider), flags=["-shared-dir", g.dir.name + "/none"])
    assert g.request("GET", "/health").json()["components"] == {"gateway": "ok"}
    assert b"ringgate_store" not in g.request("GET", "/metrics").body


def test_a_stream_has_its_usage_and_its_question(recording, provider):
    g = recording(logged(provider))
    assert g.post(CHAT_PATH, chat(stream=True)).status == 200
    (row,) = rows(g, 1)
    assert row["stream"] is True and row["status"] == "success"
    assert row["token_usage"]["prompt_tokens"] > 0
    assert json.loads(entry(g, row)["raw_request"])["stream"] is True


def test_a_fallback_has_a_row_and_retries_have_none(recording, provider_of):
    def script(call):
        if b"first" in call.body:
            call.reply(500, {"error": {"message": "out of order", "type": "server_error"}})
        else:
            call.reply(200, CHAT)
    p = provider_of(script)
    g = recording(logged(p, network={"max_retries": 2, "retry_backoff_initial": 100,
                                     "retry_backoff_max": 100}))
    a = g.post(CHAT_PATH, chat("openai/first", fallbacks=["openai/second"]),
               headers=[("x-request-id", "me-2")])
    assert a.status == 200
    second, first = rows(g, 2)
    assert (first["model"], first["status"], first["number_of_retries"]) == ("first", "error", 2)
    assert first["error_details"]["error"]["message"] == "out of order"
    assert first["error_details"]["status_code"] == 500
    assert (second["model"], second["status"], second["fallback_index"]) == (
        "second", "success", 1)
    assert second["parent_request_id"] == "me-2"
    assert rows(g, 1, status="error")[0]["model"] == "first"
    assert rows(g, 1, models="second")[0]["model"] == "second"
    assert search(g, providers="nobody")["logs"] == []


def test_content_off(recording, provider):
    g = recording(logged(provider, client={"disable_content_logging": True}))
    assert g.post(CHAT_PATH, chat()).status == 200
    one = entry(g, rows(g, 1)[0])
    assert "raw_request" not in one and "raw_response" not in one


def test_content_off_for_one_request(recording, provider):
    g = recording(logged(provider, client={"allow_per_request_content_storage_override": True}))
    assert g.post(CHAT_PATH, chat(),
                  headers=[("x-bf-disable-content-logging", "true")]).status == 200
    assert "raw_request" not in entry(g, rows(g, 1)[0])


def test_pages(recording, provider):
    g = recording(logged(provider))
    for _ in range(5):
        assert g.post(CHAT_PATH, chat()).status == 200
    all_rows = rows(g, 5, order="asc")
    page = search(g, limit=2, offset=2, order="asc")
    assert [r["id"] for r in page["logs"]] == [r["id"] for r in all_rows[2:4]]
    assert page["pagination"] == {"limit": 2, "offset": 2, "sort_by": "timestamp", "order": "asc",
                                  "total_count": 5}
    assert page["stats"]["total_requests"] == 5 and page["stats"]["success_rate"] == 100


@pytest.mark.parametrize("name,value", [
    ("limit", "1001"), ("limit", "0"), ("offset", "x"), ("sort_by", "size"), ("order", "up"),
    ("start_time", "yesterday"), ("status", "fine"), ("min_cost", "-1"), ("nonsense", "1")])
def test_bad_parameters_are_named(recording, provider, name, value):
    g = recording(logged(provider))
    a = g.request("GET", "/api/logs?%s=%s" % (name, value))
    assert a.status == 400 and name in json.loads(a.body)["error"]["message"]


def test_not_kept_unless_asked_for(gateway_of, provider):
    g = gateway_of(config(provider))
    assert g.request("GET", "/api/logs").status == 404


def test_an_answer_that_was_received_has_its_row_after_a_kill(recording, provider):
    g = first = recording(logged(provider))
    for n in range(20):
        name = "round-%d" % n
        assert g.post(CHAT_PATH, chat(), headers=[("x-request-id", name)]).status == 200
        g.kill()
        g = recording(logged(provider), flags=["-app-dir", first.dir.name])
        assert [r["metadata"]["request_id"] for r in rows(g, n + 1)][0] == name
