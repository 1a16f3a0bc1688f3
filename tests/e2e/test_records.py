# SPDX-License-Identifier: Apache-2.0
"""Rows of requests: one for each target that was tried, kept whatever becomes of the process."""
import json
import pathlib
import random
import threading
import urllib.parse

import pytest

from harness import (CHAT, CHAT_EVENTS, DEADLINE_S, DONE, USAGE_EVENT, Hangup, anthropic_script,
                     both, chat, chat_chunk, config, event, message_events, messages, send_stream)

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
    """The rows of what has ended, once there are so many: when the drain has written them."""
    parameters = dict({"status": "success,error"}, **parameters)
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
    g = recording(config(provider, client={"enable_logging": False}))
    assert g.request("GET", "/health").json()["components"] == {"gateway": "ok"}
    assert b"ringgate_store" not in g.request("GET", "/metrics").body


# ---- Content -----------------------------------------------------------------------------------

TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}}
CONTENT = {"raw_request", "raw_response", "input_history", "output_message", "params", "tools"}


def responses(model, **members):
    return dict({"model": model, "input": "Say hello."}, **members)


# Where the client asks, and its body: native to each provider, and across.
ROADS = {
    "chat": (CHAT_PATH, chat()),
    "messages": ("/anthropic/v1/messages", messages()),
    "responses": ("/v1/responses", responses("openai/gpt-x")),
    "chat-messages": (CHAT_PATH, chat("anthropic/claude-x")),
    "messages-responses": ("/anthropic/v1/messages", messages("openai/gpt-x")),
    "messages-chat": ("/anthropic/v1/messages", messages("cerebras/llama")),
    "responses-messages": ("/v1/responses", responses("anthropic/claude-x")),
    "responses-chat": ("/openai/v1/responses", responses("cerebras/llama")),
}
EVERY_ROAD = pytest.mark.parametrize("road", ROADS.values(), ids=ROADS.keys())
STREAM_OR_NOT = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture
def everywhere(recording, provider_of):
    conf = both(provider_of(), provider_of(anthropic_script), client={"enable_logging": True},
                cerebras=config(provider_of(), "cerebras"))
    return recording(dict(conf, version=2))


def said(one):
    """The text of an answer as its row tells it, and its tool calls."""
    if one["object"].startswith("chat"):
        assert "responses_output" not in one
        message = one["output_message"]
        assert message.get("tool_calls", []) == one.get("tool_calls", [])
        return message["content"] or "", [(c["function"]["name"], c["function"]["arguments"])
                                          for c in one.get("tool_calls", [])]
    assert "output_message" not in one
    output = one["responses_output"]
    return ("".join(p["text"] for i in output if i["type"] == "message" for p in i["content"]),
            [(i["name"], i["arguments"]) for i in output if i["type"] == "function_call"])


def asked(one):
    if one["object"].startswith("chat"):
        return one["input_history"]
    return one["responses_input_history"]


@EVERY_ROAD
@STREAM_OR_NOT
def test_what_was_asked_and_answered(everywhere, road, stream):
    path, body = road
    assert everywhere.post(path, dict(body, stream=stream, temperature=0.5)).status == 200
    one = entry(everywhere, rows(everywhere, 1)[0])
    assert said(one) == ("Hello.", [])
    (message,) = asked(one)
    assert message["role"] == "user" and "Say hello." in json.dumps(message["content"])
    assert one["params"]["temperature"] == 0.5 and "model" not in one["params"]
    assert one["stream"] is stream and one["token_usage"]["completion_tokens"] == 2
    assert json.loads(one["raw_request"])["temperature"] == 0.5
    assert "content_cut" not in one


@EVERY_ROAD
@STREAM_OR_NOT
def test_tool_calls(everywhere, road, stream):
    path, body = road
    tool = (dict(name=TOOL["name"], input_schema=TOOL["parameters"]) if "messages" in path
            else dict(TOOL, type="function") if "responses" in path
            else dict(type="function", function=TOOL))
    assert everywhere.post(path, dict(body, stream=stream, tools=[tool])).status == 200
    one = entry(everywhere, rows(everywhere, 1)[0])
    (call,) = said(one)[1]
    assert (call[0], json.loads(call[1])) == ("weather", {"city": "Oslo"})
    assert "weather" in json.dumps(one["tools"])


def test_a_native_stream_is_kept_as_it_came(recording, provider):
    g = recording(logged(provider))
    assert g.post("/openai/v1/chat/completions", chat("gpt-x", stream=True)).status == 200
    kept = entry(g, rows(g, 1)[0])["raw_response"].encode()
    # The client did not ask for usage: it was told the gateway, and is kept.
    assert kept == b"".join(CHAT_EVENTS) + USAGE_EVENT + DONE


# The client goes behind each event: the row tells what had been said until then.
@pytest.mark.parametrize("count", range(1, len(CHAT_EVENTS) + 1))
def test_a_stream_that_is_left(recording, provider_of, count):
    def script(call):
        call.stream_head()
        for e in CHAT_EVENTS[:count]:
            call.chunk(e)
        call.wait_closed()
    g = recording(logged(provider_of(script)))
    with g.connect() as c:
        c.send_request("POST", CHAT_PATH, chat(stream=True))
        assert c.head()[0] == 200
        events = c.events()
        for _ in range(count):
            next(events)
    row = rows(g, 1)[0]
    assert row["status"] == "error" and row["error_details"]["status_code"] == 499
    one = entry(g, row)
    assert one["raw_response"].encode() == b"".join(CHAT_EVENTS[:count])
    told = one.get("output_message", {}).get("content") or ""
    assert told == "".join(["", "Hel", "lo", ".", ""][:count])


def test_a_provider_breaks_off(recording, provider_of):
    def script(call):
        call.stream_head()
        for e in message_events()[:5]:
            call.chunk(e)
        raise Hangup
    conf = both(provider_of(), provider_of(script), client={"enable_logging": True})
    g = recording(dict(conf, version=2))
    g.post("/anthropic/v1/messages", messages(stream=True))
    row = rows(g, 1)[0]
    assert row["status"] == "error"
    assert said(entry(g, row))[0] == "Hello"


def test_an_error_has_the_providers_body(recording, provider_of):
    body = {"error": {"message": "no such thing", "type": "invalid_request_error", "more": [1]}}
    g = recording(logged(provider_of(lambda call: call.reply(400, body))))
    assert g.post(CHAT_PATH, chat()).status == 400
    one = entry(g, rows(g, 1)[0])
    assert json.loads(one["raw_response"]) == body and "output_message" not in one
    assert json.loads(one["raw_request"])["messages"] == one["input_history"]


def test_a_long_answer_is_kept_whole_and_a_longer_one_cut(recording, provider_of):
    def script(call):
        n = int(call.json()["model"])
        choice = dict(CHAT["choices"][0], message={"role": "assistant", "content": "x" * n})
        call.reply(200, dict(CHAT, choices=[choice]))
    g = recording(logged(provider_of(script)))
    for n in (300_000, 600_000):
        assert g.post(CHAT_PATH, chat("openai/%d" % n)).status == 200
    longer, whole = [entry(g, r) for r in rows(g, 2)]
    assert whole["output_message"]["content"] == "x" * 300_000 and "content_cut" not in whole
    # Half of what a record may hold; what is no JSON any more is not told as a message.
    assert longer["content_cut"] is True and "output_message" not in longer
    assert len(longer["raw_response"]) == 512 * 1024


def test_a_stream_beyond_the_ceiling_is_cut_behind_an_event(recording, provider_of):
    # Longer than what is compared: nothing folds.
    words = [chr(ord("a") + i % 26) * 20_000 for i in range(40)]

    def script(call):
        call.stream_head()
        for w in words:
            call.chunk(event(chat_chunk({"content": w})))
        call.chunk(DONE)
        call.stream_end()
    g = recording(logged(provider_of(script)))
    assert g.post(CHAT_PATH, chat(stream=True)).status == 200
    one = entry(g, rows(g, 1)[0])
    assert one["content_cut"] is True and one["status"] == "success"
    # Of 20,000 bytes and what is around them 25 fit into 512 kB.
    assert one["output_message"]["content"] == "".join(words[:25])


def test_embeddings(recording, provider):
    g = recording(logged(provider))
    body = {"model": "openai/text-embedding-3", "input": ["a", "b"], "dimensions": 2}
    assert g.post("/v1/embeddings", body).status == 200
    one = entry(g, rows(g, 1)[0])
    assert one["embedding_output"] == [[0.5, -0.25]] and one["params"]["dimensions"] == 2


def test_keys_are_in_no_record(recording, provider_of):
    sent = []
    p = provider_of(lambda call: (sent.append(call.headers["authorization"]),
                                  call.reply(200, CHAT)))
    g = recording(logged(p, client={"logging_headers": ["Authorization", "x-api-key", "x-a"]}))
    assert g.post(CHAT_PATH, chat(), headers=[("authorization", "Bearer sk-mine-1"), ("x-a", "b"),
                                              ("x-api-key", "sk-mine-2")]).status == 200
    assert sent == ["Bearer sk-secret-1"]
    one = entry(g, rows(g, 1)[0])
    assert one["metadata"]["x-a"] == "b"
    assert "sk-secret-1" not in json.dumps(one) and "sk-mine" not in json.dumps(one)


def test_a_stream_has_its_usage_and_its_question(recording, provider):
    g = recording(logged(provider))
    assert g.post(CHAT_PATH, chat(stream=True)).status == 200
    (row,) = rows(g, 1)
    assert row["stream"] is True and row["status"] == "success"
    assert row["token_usage"]["prompt_tokens"] > 0
    assert json.loads(entry(g, row)["raw_request"])["stream"] is True


def conversation(turns):
    """The bodies of an agent's turns: each has all that was said before, and no two words in a row
    that another place of it has."""
    rng = random.Random(7)
    said = lambda size: " ".join("%x" % rng.getrandbits(40) for _ in range(size // 11))
    tools = [{"type": "function", "function": {"name": "f%d" % i, "description": said(2000)}}
             for i in range(20)]
    history = [{"role": "system", "content": said(20_000)}]
    for turn in range(turns):
        history.append({"role": "user", "content": "turn %d: %s" % (turn, said(1500))})
        yield json.dumps(chat(messages=history, tools=tools, stream=turn % 2 == 0)).encode()
        history.append({"role": "assistant", "content": "Hello."})


def test_a_conversation_is_told_whole_turn_by_turn(recording, provider, tmp_path):
    g = recording(logged(provider))
    sent = list(conversation(12))
    for body in sent[:6]:
        assert g.post(CHAT_PATH, body).status == 200
    rows(g, 6)
    for body in sent[6:]:  # some of these are in the rings when it ends
        assert g.post(CHAT_PATH, body).status == 200
    g.kill()
    first = g
    g = recording(logged(provider), flags=["-app-dir", first.dir.name])
    found = rows(g, 12, order="asc", sort_by="timestamp")
    told = [entry(g, row) for row in found]
    assert [one["raw_request"].encode() for one in told] == sent
    assert all(one["output_message"] for one in told)
    # Three times that of one turn would hold four turns that know nothing of each other.
    kept = sum(f.stat().st_size for f in pathlib.Path(first.dir.name).glob("**/content-*"))
    assert len(sent[-1]) / 3 < kept < 3 * len(sent[-1])


def test_a_search_finds_what_was_said(recording, provider_of):
    pieces = ("The mount Ev", "erest is \"hi", "gh\" at caf\u00e9s.")
    events = [event(chat_chunk({"content": text})) for text in pieces]
    g = recording(logged(provider_of(lambda call: send_stream(
        call, [*events, event(chat_chunk({}, "stop")), DONE]))))
    assert g.post(CHAT_PATH, chat(stream=True, messages=[
        {"role": "user", "content": "Where is\nJos\u00e9?"}])).status == 200
    rows(g, 1)
    span = {"start_time": "2020-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"}
    for words, count in (("mount everest", 1), ("is \"high\" at caf\u00e9s", 1),
                         ("is\njos\u00e9?", 1), ("everest at", 0)):
        found = search(g, content_search=words, status="success", **span)
        assert found["pagination"]["total_count"] == count, words


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


def test_a_refused_request_has_a_row(recording, provider):
    g = recording(dict(logged(provider), governance={"virtual_keys": [{
        "id": "v", "name": "V", "value": "sk-bf-alpha", "is_active": True, "provider_configs": [
            {"provider": "openai", "allowed_models": ["other"]}]}]}))
    a = g.post(CHAT_PATH, chat(), headers=VK)
    assert a.status >= 400
    (row,) = rows(g, 1, status="error", virtual_key_ids="v")
    assert row["model"] == "gpt-4o-mini" and row["error_details"]["status_code"] == a.status
    assert row["error_details"]["error"]["message"] == a.json()["error"]["message"]
    assert not CONTENT & set(entry(g, row))
    # What names no target leaves none.
    assert g.post(CHAT_PATH, chat("nobody/x"), headers=VK).status == 400
    assert g.post(CHAT_PATH, b"{", headers=VK).status == 400
    rows(g, 1)


def test_content_off(recording, provider):
    g = recording(logged(provider, client={"disable_content_logging": True}))
    assert g.post(CHAT_PATH, chat()).status == 200
    assert g.post(CHAT_PATH, chat(stream=True)).status == 200
    for row in rows(g, 2):
        assert not CONTENT & set(entry(g, row))


@STREAM_OR_NOT
@pytest.mark.parametrize("off,header,kept", [(False, "true", False), (True, "false", True)])
def test_content_by_request(recording, provider, stream, off, header, kept):
    g = recording(logged(provider, client={"allow_per_request_content_storage_override": True,
                                           "disable_content_logging": off}))
    assert g.post(CHAT_PATH, chat(stream=stream),
                  headers=[("x-bf-disable-content-logging", header)]).status == 200
    one = entry(g, rows(g, 1)[0])
    assert bool(CONTENT & set(one)) is kept
    if kept:
        assert said(one)[0] == "Hello."


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


# ---- In flight ---------------------------------------------------------------------------------

@pytest.fixture
def halfway(recording, provider_of):
    """A gateway of four cores, streams that have said two words, and what lets them go on."""
    go = threading.Event()

    def script(call):
        if not call.json().get("stream"):
            return call.reply(200, CHAT)
        call.stream_head()
        for e in CHAT_EVENTS[:3]:
            call.chunk(e)
        assert go.wait(DEADLINE_S)
        for e in [*CHAT_EVENTS[3:], USAGE_EVENT, DONE]:
            call.chunk(e)
        call.stream_end()
    g = recording(logged(provider_of(script)), flags=["--cores", "4"])
    clients = []

    def begin(name):
        c = g.connect()
        clients.append(c)
        c.send_request("POST", CHAT_PATH, chat("openai/" + name, stream=True),
                       [("x-request-id", name)])
        assert c.head()[0] == 200
        events = c.events()
        for _ in range(3):
            next(events)
        return events

    yield g, begin, go
    go.set()
    for c in clients:
        c.close()


def test_what_has_not_ended_is_told_from_memory(halfway):
    g, begin, go = halfway
    assert g.post(CHAT_PATH, chat("openai/whole")).status == 200
    rows(g, 1)
    streams = [begin("live-%d" % i) for i in range(8)]
    page = search(g)
    assert page["pagination"]["total_count"] == 9
    live, whole = page["logs"][:8], page["logs"][8]
    assert [r["status"] for r in live] == ["processing"] * 8 and whole["status"] == "success"
    assert [r["model"] for r in live] == ["live-%d" % i for i in reversed(range(8))]
    assert all(r["stream"] is True and "cost" not in r and "latency" not in r for r in live)
    assert live[0]["metadata"]["request_id"] == "live-7" and live[0]["selected_key_name"] == "k1"
    assert entry(g, live[0])["model"] == "live-7"
    assert [r["model"] for r in search(g, status="success")["logs"]] == ["whole"]
    assert len(search(g, status="processing")["logs"]) == 8
    assert search(g, status="processing", models="live-3")["pagination"]["total_count"] == 1
    assert search(g, status="processing", providers="anthropic")["logs"] == []
    # As one list: two pages around the border, from either end.
    assert [r["model"] for r in search(g, limit=2, offset=7)["logs"]] == ["live-0", "whole"]
    assert [r["model"] for r in search(g, limit=2, order="asc")["logs"]] == ["whole", "live-0"]
    assert [r["model"] for r in search(g, limit=3, offset=7, order="asc")["logs"]] == [
        "live-6", "live-7"]
    go.set()
    for events in streams:
        for _ in events:
            pass
    ended = rows(g, 9)
    assert {r["status"] for r in ended} == {"success"}
    assert g.request("GET", "/api/logs/" + live[0]["id"]).status == 404


def test_a_page_of_a_thousand(recording, provider):
    g = recording(logged(provider))
    with g.connect() as c:
        for _ in range(1000):
            assert c.request("POST", CHAT_PATH, json.dumps(chat()).encode()).status == 200
    rows(g, 1000, limit=1)
    assert len({r["id"] for r in search(g, limit=1000)["logs"]}) == 1000


@pytest.mark.parametrize("name,value", [
    ("limit", "1001"), ("limit", "0"), ("offset", "x"), ("sort_by", "size"), ("order", "up"),
    ("start_time", "yesterday"), ("status", "fine"), ("min_cost", "-1"), ("nonsense", "1")])
def test_bad_parameters_are_named(recording, provider, name, value):
    g = recording(logged(provider))
    a = g.request("GET", "/api/logs?%s=%s" % (name, value))
    assert a.status == 400 and name in json.loads(a.body)["error"]["message"]


@pytest.mark.parametrize("members,kept", [
    ({}, True), ({"logs_store": {"enabled": True}}, True), ({"logs_store": {}}, True),
    ({"logs_store": {"enabled": False}}, False),
    ({"client": {"enable_logging": False}}, False),
    ({"client": {"enable_logging": False}, "logs_store": {"enabled": True}}, False),
    ({"client": {"enable_logging": True}, "logs_store": {"enabled": False}}, False)])
def test_kept_unless_switched_off(gateway_of, provider, members, kept):
    g = gateway_of(dict(config(provider), **members))
    assert g.request("GET", "/api/logs").status == (200 if kept else 404)


def test_an_answer_that_was_received_has_its_row_after_a_kill(recording, provider):
    g = first = recording(logged(provider))
    for n in range(20):
        name = "round-%d" % n
        assert g.post(CHAT_PATH, chat(), headers=[("x-request-id", name)]).status == 200
        g.kill()
        g = recording(logged(provider), flags=["-app-dir", first.dir.name])
        assert [r["metadata"]["request_id"] for r in rows(g, n + 1)][0] == name


def test_a_stream_that_was_received_has_its_content_after_a_kill(recording, provider):
    g = first = recording(logged(provider))
    for n in range(10):
        with g.connect() as c:
            c.send_request("POST", CHAT_PATH, chat(stream=True), [("x-request-id", "s-%d" % n)])
            assert c.head()[0] == 200
            for e in c.events():
                if e == DONE:
                    break
            g.kill()
        g = recording(logged(provider), flags=["-app-dir", first.dir.name])
        row = rows(g, n + 1)[0]
        assert row["metadata"]["request_id"] == "s-%d" % n and row["status"] == "success"
        assert said(entry(g, row)) == ("Hello.", [])
