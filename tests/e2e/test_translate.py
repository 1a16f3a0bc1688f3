# SPDX-License-Identifier: Apache-2.0
"""A client speaks one dialect, its provider another: requests, answers, streams, errors between.

What each member becomes is the golden files' affair (tests/golden); here it is whether the gateway
takes the right road, holds nothing back, and ends well whatever a provider does.
"""
import json
import threading

import pytest

from harness import (CHAT, CHAT_EVENTS, DEADLINE_S, DONE, MESSAGE, RESPONSE, RESPONSE_EVENTS,
                     USAGE_EVENT, Hangup, anthropic_error, anthropic_script, both, chat, chat_chunk,
                     config, default_script, event, message_events, messages, reset)

CHAT_TOOL = {"type": "function", "function": {
    "name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}}}
FLAT_TOOL = dict({"type": "function"}, **CHAT_TOOL["function"])
CLAUDE_TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {}}}}


def responses(model, **members):
    return dict({"model": model, "input": "Say hello."}, **members)


@pytest.fixture
def claude(provider_of):
    return provider_of(anthropic_script)


@pytest.fixture
def groq(provider_of):
    """A provider with chat only."""
    return provider_of()


@pytest.fixture
def gateway(gateway_of, provider, claude, groq):
    return gateway_of(both(provider, claude, groq=config(groq, "cerebras")))


def events_of(raw):
    """[(name or None, data or "[DONE]")] of a stream's bytes."""
    out = []
    for block in raw.decode().split("\n\n"):
        if not block:
            continue
        name = [l[7:] for l in block.split("\n") if l.startswith("event: ")]
        data = [l[6:] for l in block.split("\n") if l.startswith("data: ")]
        assert len(data) == 1, block
        out.append((name[0] if name else None,
                    data[0] if data[0] == "[DONE]" else json.loads(data[0])))
    return out


def stream(gateway, path, body, headers=()):
    with gateway.connect() as c:
        c.send_request("POST", path, body, headers)
        status, fields, _ = c.head()
        assert status == 200, c.answer
        assert fields["content-type"].startswith("text/event-stream")
        return events_of(b"".join(c.events()))


# ---- Every direction ----------------------------------------------------------------------------
# A road: where the client asks, its body, the provider that is asked, and where.

CHAT_TO_CLAUDE = ("/v1/chat/completions", chat("anthropic/claude-x"), "claude", "/v1/messages")
RESPONSES_TO_CLAUDE = ("/v1/responses", responses("anthropic/claude-x"), "claude", "/v1/messages")
CLAUDE_TO_RESPONSES = ("/anthropic/v1/messages", messages("openai/gpt-x"), "provider",
                       "/v1/responses")
CLAUDE_TO_CHAT = ("/anthropic/v1/messages", messages("cerebras/llama"), "groq",
                  "/v1/chat/completions")
RESPONSES_TO_CHAT = ("/openai/v1/responses", responses("cerebras/llama"), "groq",
                     "/v1/chat/completions")
ROADS = [CHAT_TO_CLAUDE, RESPONSES_TO_CLAUDE, CLAUDE_TO_RESPONSES, CLAUDE_TO_CHAT,
         RESPONSES_TO_CHAT]
NAMES = ["chat-claude", "responses-claude", "claude-responses", "claude-chat", "responses-chat"]
EVERY_ROAD = pytest.mark.parametrize("road", ROADS, ids=NAMES)


def tools_for(path):
    if path.endswith("/messages"):
        return [CLAUDE_TOOL]
    return [FLAT_TOOL] if path.endswith("/responses") else [CHAT_TOOL]


def text_of(path, answer):
    if path.endswith("/messages"):
        return "".join(b["text"] for b in answer["content"] if b["type"] == "text")
    if path.endswith("/responses"):
        return "".join(p["text"] for i in answer["output"] if i["type"] == "message"
                       for p in i["content"])
    return answer["choices"][0]["message"]["content"]


def calls_of(path, answer):
    """[(id, name, arguments)]"""
    if path.endswith("/messages"):
        return [(b["id"], b["name"], b["input"]) for b in answer["content"]
                if b["type"] == "tool_use"]
    if path.endswith("/responses"):
        return [(i["call_id"], i["name"], json.loads(i["arguments"])) for i in answer["output"]
                if i["type"] == "function_call"]
    return [(t["id"], t["function"]["name"], json.loads(t["function"]["arguments"]))
            for t in answer["choices"][0]["message"].get("tool_calls", [])]


def counts_of(path, answer):
    """(input, output) as the client's dialect counts them."""
    usage = answer["usage"]
    if path.endswith("/messages"):
        return (usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)
                + usage.get("cache_creation_input_tokens", 0), usage["output_tokens"])
    if path.endswith("/responses"):
        return usage["input_tokens"], usage["output_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"]


@EVERY_ROAD
def test_an_answer(gateway, request, road):
    path, body, who, where = road
    a = gateway.post(path, body)
    assert a.status == 200, a.body
    got = a.json()
    assert text_of(path, got) == "Hello." and counts_of(path, got) == (9, 2)
    sent = request.getfixturevalue(who).call()
    assert sent.path == where and sent.json()["model"] == body["model"].split("/")[1]
    assert int(a.headers["content-length"]) == len(a.body)
    assert a.headers["content-type"] == "application/json"
    assert ("extra_fields" in got) == path.startswith("/v1/")
    if path.startswith("/v1/"):
        assert got["extra_fields"]["provider"] == "anthropic"
        assert "dropped_params" not in got["extra_fields"]


@EVERY_ROAD
def test_a_call_of_a_tool(gateway, road):
    path, body, _, _ = road
    a = gateway.post(path, dict(body, tools=tools_for(path)))
    assert a.status == 200, a.body
    (ident, name, arguments), = calls_of(path, a.json())
    assert ident in ("toolu_1", "call_1") and name == "weather" and arguments == {"city": "Oslo"}


def collect_messages(events):
    """The message that a stream of the Messages API tells."""
    kinds = [n for n, _ in events]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert all(n == d["type"] for n, d in events)
    message = dict(events[0][1]["message"], content=[])
    for _, d in events[1:]:
        if d["type"] == "content_block_start":
            assert d["index"] == len(message["content"])
            message["content"].append(dict(d["content_block"]))
        elif d["type"] == "content_block_delta":
            block = message["content"][d["index"]]
            if d["delta"]["type"] == "text_delta":
                block["text"] += d["delta"]["text"]
            elif d["delta"]["type"] == "input_json_delta":
                block["json"] = block.get("json", "") + d["delta"]["partial_json"]
        elif d["type"] == "message_delta":
            message.update(d["delta"])
            message["usage"] = dict(message["usage"], **d["usage"])
    for block in message["content"]:
        if "json" in block:
            block["input"] = json.loads(block.pop("json"))
    return message


def collect_chat(events):
    assert events[-1] == (None, "[DONE]") and all(n is None for n, _ in events)
    message = {"content": "", "tool_calls": []}
    answer = {"choices": [{"message": message, "finish_reason": None}]}
    for _, d in events[:-1]:
        if d.get("usage"):
            answer["usage"] = d["usage"]
        for choice in d["choices"]:
            message["content"] += choice["delta"].get("content") or ""
            for t in choice["delta"].get("tool_calls", []):
                if t["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append(json.loads(json.dumps(t)))
                else:
                    call = message["tool_calls"][t["index"]]["function"]
                    call["arguments"] += t["function"]["arguments"]
            if choice["finish_reason"]:
                answer["choices"][0]["finish_reason"] = choice["finish_reason"]
    return answer


def collect_responses(events):
    assert [d["sequence_number"] for _, d in events] == list(range(len(events)))
    assert events[0][0] == "response.created" and events[-1][0] == "response.completed"
    text = "".join(d["delta"] for n, d in events if n == "response.output_text.delta")
    assert text == text_of("/responses", events[-1][1]["response"])
    return events[-1][1]["response"]


def collect(path, events):
    if path.endswith("/messages"):
        return collect_messages(events)
    return (collect_responses if path.endswith("/responses") else collect_chat)(events)


@EVERY_ROAD
def test_a_stream(gateway, request, road):
    path, body, who, where = road
    events = stream(gateway, path, dict(body, stream=True))
    got = collect(path, events)
    assert text_of(path, got) == "Hello." and counts_of(path, got) == (9, 2)
    sent = request.getfixturevalue(who).call()
    assert sent.path == where and sent.json()["stream"] is True
    assert sent.headers["accept"] == "text/event-stream"
    if path.startswith("/v1/"):
        told = [d["extra_fields"] for _, d in events if d != "[DONE]"]
        assert [t["chunk_index"] for t in told] == list(range(len(told)))
        assert {t["provider"] for t in told} == {"anthropic"}
    else:
        assert all("extra_fields" not in d for _, d in events)


@EVERY_ROAD
def test_a_streamed_call_of_a_tool(gateway, road):
    path, body, _, _ = road
    events = stream(gateway, path, dict(body, stream=True, tools=tools_for(path)))
    got = collect(path, events)
    (ident, name, arguments), = calls_of(path, got)
    assert ident in ("toolu_1", "call_1") and name == "weather" and arguments == {"city": "Oslo"}


def test_text_completions_cross(gateway, provider, claude):
    a = gateway.post("/v1/completions", {"model": "anthropic/claude-2", "prompt": "hi"})
    assert a.json()["choices"][0]["text"] == " Hi"
    sent = claude.call()
    assert sent.path == "/v1/complete"
    assert sent.json()["prompt"] == "\n\nHuman: hi\n\nAssistant:"
    a = gateway.post("/anthropic/v1/complete", {
        "model": "openai/davinci", "max_tokens_to_sample": 5,
        "prompt": "\n\nHuman: hi\n\nAssistant:"})
    assert a.json()["completion"] == "Hi"
    sent = provider.call()
    assert sent.path == "/v1/completions" and sent.json()["prompt"] == "hi"


def test_a_stream_of_completions_whose_client_hears_of_no_usage(gateway_of, provider_of):
    def piece(text, finish=None, **members):
        choices = [{"index": 0, "text": text, "finish_reason": finish, "logprobs": None}]
        return event(dict({"id": "cmpl-1", "object": "text_completion", "created": 1,
                           "model": "davinci", "choices": choices}, **members))

    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}

    def script(call):
        assert call.json()["stream_options"] == {"include_usage": True}
        call.stream_head()
        for e in (piece("Hel"), piece("lo"), piece("", "stop"),
                  event({"id": "cmpl-1", "object": "text_completion", "created": 1,
                         "model": "davinci", "choices": [], "usage": usage}), DONE):
            call.chunk(e)
        call.stream_end()

    g = gateway_of(config(provider_of(script)))
    got = stream(g, "/anthropic/v1/complete", {
        "model": "openai/davinci", "max_tokens_to_sample": 5, "stream": True,
        "prompt": "\n\nHuman: hi\n\nAssistant:"})
    assert {n for n, _ in got} == {"completion"}
    assert "".join(d["completion"] for _, d in got) == "Hello"
    assert got[-1][1]["stop_reason"] == "stop_sequence"
    text = g.request("GET", "/metrics").body.decode().split("\n")
    totals = {l.split("{")[0]: float(l.rsplit(" ", 1)[1]) for l in text if "tokens_total{" in l}
    assert totals["bifrost_input_tokens_total"] == 5
    assert totals["bifrost_output_tokens_total"] == 3, "the provider told it all the same"


def test_counts_cross(gateway, provider, claude):
    a = gateway.post("/anthropic/v1/messages/count_tokens", {
        "model": "openai/gpt-x", "messages": [{"role": "user", "content": "x"}]})
    assert a.json() == {"input_tokens": 13}
    assert provider.call().path == "/v1/responses/input_tokens"
    a = gateway.post("/openai/v1/responses/input_tokens", responses("anthropic/claude-x"))
    assert a.json()["input_tokens"] == 17
    assert claude.call().path == "/v1/messages/count_tokens"


# ---- Which road ---------------------------------------------------------------------------------

def test_text_becomes_chat_only_when_asked_to(gateway_of, provider_of):
    def script(call):
        if call.path.endswith("/chat/completions"):
            return default_script(call)
        raise Hangup
    for client, headers, works in (({}, (), False),
                                   ({"compat": {"convert_text_to_chat": True}}, (), True),
                                   ({}, [("x-bf-compat", "true")], True),
                                   ({}, [("x-bf-compat", '["convert_text_to_chat"]')], True),
                                   ({}, [("x-bf-compat", '["other"]')], False)):
        p = provider_of(script)
        g = gateway_of(config(p, "groq", client=client))
        a = g.post("/v1/completions", {"model": "groq/llama", "prompt": "Say hello."}, headers)
        if works:
            assert a.status == 200 and a.json()["choices"][0]["text"] == "Hello."
            assert a.json()["object"] == "text_completion"
            assert p.call().json()["messages"] == [{"role": "user", "content": "Say hello."}]
        else:
            assert a.status == 400
            assert "text_completion is not supported by groq provider" in a.body.decode()
            assert a.json()["error"]["type"] == "unsupported_operation" and not p.seen


def test_a_chat_goes_to_responses_only_when_asked_to(gateway, provider):
    body = chat("openai/o3-pro")
    gateway.post("/v1/chat/completions", body)
    assert provider.call().path == "/v1/chat/completions"
    a = gateway.post("/v1/chat/completions", body, [("x-bf-compat", "true")])
    assert provider.call().path == "/v1/responses"
    assert a.json()["choices"][0]["message"]["content"] == "Hello."


def test_the_clients_type_of_request_must_be_allowed(gateway_of, provider_of):
    p = provider_of()
    g = gateway_of(config(p, "mine", custom_provider_config={
        "base_provider_type": "openai",
        "allowed_requests": {"chat_completion": True}}))
    a = g.post("/anthropic/v1/messages", messages("mine/m"))
    assert a.status == 400 and a.json()["type"] == "error"
    assert "responses is not supported by mine provider" in a.json()["error"]["message"]
    assert g.post("/v1/chat/completions", chat("mine/m")).status == 200


def test_there_is_no_way_for_embeddings(gateway):
    a = gateway.post("/v1/embeddings", {"model": "anthropic/claude-x", "input": "x"})
    assert a.status == 400 and "embedding is not supported by anthropic" in a.body.decode()


# ---- What does not cross ------------------------------------------------------------------------

def test_a_refusal_names_the_member(gateway, claude, groq):
    a = gateway.post("/v1/chat/completions", chat("anthropic/claude-x", n=2))
    assert a.status == 400
    error = a.json()["error"]
    assert error["param"] == "n" and error["type"] == "invalid_request_error"
    assert a.json()["is_bifrost_error"] is False
    a = gateway.post("/anthropic/v1/messages", messages("cerebras/llama", messages=[
        {"role": "user", "content": [{"type": "document", "source": {
            "type": "url", "url": "https://example.com/a.pdf"}}]}]))
    assert a.status == 400 and a.json()["error"]["type"] == "invalid_request_error"
    assert "messages" in a.json()["error"]["message"], a.body
    assert not claude.seen and not groq.seen


def test_what_is_dropped_is_reported(gateway, claude):
    body = chat("anthropic/claude-x", seed=1, logit_bias={"1": 2}, strange=True)
    a = gateway.post("/v1/chat/completions", body)
    assert sorted(a.json()["extra_fields"]["dropped_params"]) == ["logit_bias", "seed", "strange"]
    assert "x-bf-dropped-params" not in a.headers
    sent = claude.call().json()
    assert not set(sent) & {"seed", "logit_bias", "strange"}
    a = gateway.post("/openai/v1/chat/completions", body)
    assert sorted(a.headers["x-bf-dropped-params"].split(", ")) == ["logit_bias", "seed", "strange"]
    assert "extra_fields" not in a.json()
    events = stream(gateway, "/v1/chat/completions", dict(body, stream=True))
    assert sorted(events[0][1]["extra_fields"]["dropped_params"]) == ["logit_bias", "seed",
                                                                      "strange"]


def test_unknown_members_pass_when_asked_to(gateway, claude):
    body = chat("anthropic/claude-x", strange={"a": [1.0]})
    a = gateway.post("/v1/chat/completions", body, [("x-bf-passthrough-extra-params", "true")])
    assert "dropped_params" not in a.json()["extra_fields"]
    assert b'"strange":{"a": [1.0]}' in claude.call().body


def test_a_vendors_edits_apply_to_what_was_written(gateway_of, provider_of):
    p = provider_of()
    g = gateway_of(config(p, "mistral"))
    assert g.post("/anthropic/v1/messages", messages("mistral/m", tools=[CLAUDE_TOOL], tool_choice={
        "type": "tool", "name": "weather"}, stream=True)).status == 200
    sent = p.call().json()
    assert sent["tool_choice"] == "any" and sent["max_tokens"] == 64
    assert "max_completion_tokens" not in sent and "stream_options" not in sent


def test_the_token_limit_has_the_name_the_vendor_knows(gateway_of, provider_of):
    p = provider_of()
    g = gateway_of(config(p, "cerebras"))
    g.post("/anthropic/v1/messages", messages("cerebras/m"))
    sent = p.call().json()
    assert sent["max_tokens"] == 64 and "max_completion_tokens" not in sent
    g.post("/v1/chat/completions", chat("cerebras/m", max_completion_tokens=7))
    assert p.call().json()["max_completion_tokens"] == 7, "a client's own words stay"
    g = gateway_of(config(p, "mine", custom_provider_config={
        "base_provider_type": "openai", "is_key_less": True}))
    g.post("/anthropic/v1/messages", messages("mine/m"))
    sent = p.call().json()
    assert sent["max_tokens"] == 64 and "max_completion_tokens" not in sent


CHAT_MESSAGE_MEMBERS = {"role", "content", "name", "refusal", "audio", "tool_calls", "tool_call_id",
                        "function_call"}


def strict_thinker(call):
    """Thinks aloud, and refuses what OpenAI's reference of a message does not name."""
    unknown = {m for said in call.json()["messages"] for m in set(said) - CHAT_MESSAGE_MEMBERS}
    if unknown:
        call.reply(400, {"error": {"type": "invalid_request_error", "code": "wrong_api_format",
                                   "message": f"property {sorted(unknown)} is unsupported"}})
        return
    message = {"role": "assistant", "content": "Hello.", "reasoning": "They greet me."}
    call.reply(200, dict(CHAT, choices=[{"index": 0, "message": message,
                                         "finish_reason": "stop"}]))


def two_turns(gateway, model):
    """A client of Claude's gives back all that it got."""
    first = gateway.post("/anthropic/v1/messages", messages(model))
    content = first.json()["content"]
    assert [b["type"] for b in content] == ["thinking", "text"]
    body = messages(model)
    body["messages"] += [{"role": "assistant", "content": content},
                         {"role": "user", "content": "And?"}]
    return gateway.post("/anthropic/v1/messages", body)


def test_thoughts_do_not_go_back_to_whom_they_would_offend(gateway_of, provider_of):
    p = provider_of(strict_thinker)
    a = two_turns(gateway_of(config(p, "cerebras")), "cerebras/m")
    assert a.status == 200, a.body
    assert a.json()["content"][-1]["text"] == "Hello."
    assert a.headers["x-bf-dropped-params"] == "reasoning"
    assert p.seen[-1].json()["messages"][-2] == {"role": "assistant", "content": "Hello."}


def test_thoughts_go_back_to_whom_they_help(gateway_of, provider_of):
    p = provider_of(lambda call: call.reply(200, dict(CHAT, choices=[{
        "index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": "Hello.", "reasoning": "They greet me."}}])))
    a = two_turns(gateway_of(config(p, "openrouter")), "openrouter/m")
    assert a.status == 200 and "x-bf-dropped-params" not in a.headers
    assert p.seen[-1].json()["messages"][-2]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "They greet me."}]


def test_usage_is_withheld_from_a_drop_in_that_did_not_ask(gateway):
    body = chat("anthropic/claude-x", stream=True)
    events = stream(gateway, "/openai/v1/chat/completions", body)
    assert not any(d != "[DONE]" and d.get("usage") for _, d in events)
    assert events[-1][1] == "[DONE]"
    asked = stream(gateway, "/openai/v1/chat/completions",
                   dict(body, stream_options={"include_usage": True}))
    assert asked[-2][1]["choices"] == [] and asked[-2][1]["usage"]["total_tokens"] == 11


@EVERY_ROAD
def test_the_providers_usage_is_what_is_settled(gateway, road):
    path, body, _, _ = road
    stream(gateway, path, dict(body, stream=True))
    gateway.post(path, body)
    name = {"anthropic": "anthropic", "openai": "openai"}.get(body["model"].split("/")[0],
                                                              "cerebras")
    text = gateway.request("GET", "/metrics").body.decode().split("\n")
    total = {}
    for line in text:
        if "tokens_total{" in line and 'provider="%s"' % name in line:
            key = line.split("{")[0]
            total[key] = total.get(key, 0) + float(line.rsplit(" ", 1)[1])
    assert total["bifrost_input_tokens_total"] == 18
    assert total["bifrost_output_tokens_total"] == 4


# ---- Streams do not wait ------------------------------------------------------------------------

@pytest.mark.parametrize("road,events,marks", [
    (CHAT_TO_CLAUDE, message_events(("one", "two", "three")), ("one", "two", "three")),
    (CLAUDE_TO_CHAT, [event(chat_chunk({"role": "assistant", "content": ""}))] + [
        event(chat_chunk({"content": w})) for w in ("one", "two", "three")] + [
        event(chat_chunk({}, "stop")), DONE], ("one", "two", "three"))],
    ids=["chat-claude", "claude-chat"])
def test_an_event_is_not_held_for_the_next(gateway_of, provider_of, road, events, marks):
    """The provider says a word only when the client has read the one before."""
    path, body, _, _ = road
    receipt = {m: threading.Event() for m in marks}

    def script(call):
        call.stream_head()
        for e in events:
            call.chunk(e)
            for m in marks:
                if m.encode() in e:
                    assert receipt[m].wait(DEADLINE_S), "the client has not got " + m
        call.stream_end()

    name = body["model"].split("/")[0]
    g = gateway_of(config(provider_of(script), name))
    with g.connect() as c:
        c.send_request("POST", path, dict(body, stream=True))
        c.head()
        for e in c.events():
            for m in marks:
                if m.encode() in e:
                    receipt[m].set()
    assert all(r.is_set() for r in receipt.values())


def test_a_piece_of_arguments_is_not_held_for_the_next(gateway_of, provider_of):
    got = [threading.Event() for _ in range(3)]
    pieces = ['{"a":', '"bc', '"}']

    def script(call):
        call.stream_head()
        for e in message_events((), ("f", ())):
            if b"message_delta" in e:
                for i, p in enumerate(pieces):
                    call.chunk(event({"type": "content_block_delta", "index": 1, "delta": {
                        "type": "input_json_delta", "partial_json": p}}, "content_block_delta"))
                    assert got[i].wait(DEADLINE_S)
                call.chunk(event({"type": "content_block_stop", "index": 1},
                                 "content_block_stop"))
            if not (b"content_block_stop" in e and b'"index": 1' in e):
                call.chunk(e)
        call.stream_end()

    g = gateway_of(config(provider_of(script), "anthropic"))
    seen = ""
    with g.connect() as c:
        c.send_request("POST", "/v1/chat/completions",
                       chat("anthropic/claude-x", stream=True, tools=[CHAT_TOOL]))
        c.head()
        for _, d in (x for e in c.events() for x in events_of(e)):
            if d == "[DONE]":
                continue
            for choice in d["choices"]:
                for t in choice["delta"].get("tool_calls", []):
                    seen += t["function"].get("arguments", "")
            for i in range(3):
                if seen == "".join(pieces[:i + 1]):
                    got[i].set()
    assert seen == "".join(pieces)


# ---- How things go wrong ------------------------------------------------------------------------

def test_a_providers_error_is_told_in_the_clients_words(gateway_of, provider_of):
    claude = provider_of(lambda call: call.reply(
        429, anthropic_error("rate_limit_error", "slow down"), [("retry-after", "0")]))
    openai = provider_of(lambda call: call.reply(
        400, {"error": {"message": "bad n", "type": "invalid_request_error", "param": "n",
                        "code": "x"}}))
    g = gateway_of(both(openai, claude))
    a = g.post("/openai/v1/chat/completions", chat("anthropic/claude-x"))
    assert a.status == 429
    assert a.json()["error"]["type"] == "rate_limit_error"
    assert a.json()["error"]["message"] == "slow down"
    a = g.post("/anthropic/v1/messages", messages("openai/gpt-x"))
    assert a.status == 400
    assert a.json()["error"] == {"type": "invalid_request_error", "message": "bad n"}
    assert a.json()["type"] == "error"


def failing(*events, end="end"):
    def script(call):
        call.stream_head()
        for e in events:
            call.chunk(e)
        if end == "cut":
            raise Hangup
        call.stream_end()
    return script


CLAUDE_ERROR = event(anthropic_error("overloaded_error", "Overloaded"), "error")
BROKEN_CHUNK = b"data: {nonsense\n\n"
BROKEN_MESSAGE = b"event: content_block_delta\ndata: {nonsense\n\n"


@pytest.mark.parametrize("first", [CLAUDE_ERROR, BROKEN_MESSAGE, b""],
                         ids=["error", "malformed", "nothing"])
def test_before_the_first_event_it_is_a_failed_attempt(gateway_of, provider_of, first):
    tries = []

    def script(call):
        tries.append(call)
        if len(tries) == 1:
            call.stream_head()
            if first:
                call.chunk(first)
            call.stream_end()
        else:
            anthropic_script(call)

    claude, other = provider_of(script), provider_of()
    g = gateway_of(both(other, claude))
    body = chat("anthropic/claude-x", stream=True)
    a = g.post("/v1/chat/completions", body)
    assert a.status == (529 if first == CLAUDE_ERROR else 502), a.body
    if first == CLAUDE_ERROR:
        assert a.json()["error"]["message"] == "Overloaded"
        assert a.json()["error"]["type"] == "overloaded_error"
    tries.clear()
    got = stream(g, "/v1/chat/completions", dict(body, fallbacks=["openai/gpt-x"]))
    assert got[0][1]["extra_fields"]["provider"] == "openai" and got[-1][1] == "[DONE]"


def test_a_retry_cures_a_stream_that_ends_before_it_begins(gateway_of, provider_of):
    tries = []

    def script(call):
        tries.append(call)
        failing()(call) if len(tries) == 1 else anthropic_script(call)

    g = gateway_of(config(provider_of(script), "anthropic", network={
        "max_retries": 1, "retry_backoff_initial": 100, "retry_backoff_max": 100}))
    got = stream(g, "/v1/chat/completions", chat("anthropic/claude-x", stream=True))
    assert got[-1][1] == "[DONE]" and len(tries) == 2
    assert tries[0].body == tries[1].body


MIDDLE = message_events()[:5]


@pytest.mark.parametrize("script,words", [
    (failing(*MIDDLE, CLAUDE_ERROR), "Overloaded"),
    (failing(*MIDDLE, BROKEN_MESSAGE), "malformed"),
    (failing(*MIDDLE), "ended early"),
    (failing(*MIDDLE, end="cut"), "ended early")], ids=["error", "malformed", "end", "cut"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions",
                                  "/v1/responses", "/openai/v1/responses"])
def test_after_it_there_is_one_error_event(gateway_of, provider_of, path, script, words):
    g = gateway_of(config(provider_of(script), "anthropic"))
    make = responses if path.endswith("/responses") else chat
    got = stream(g, path, make("anthropic/claude-x", stream=True))
    if path == "/v1/chat/completions":
        assert got.pop()[1] == "[DONE]"
    assert all(d != "[DONE]" for _, d in got)
    name, error = got[-1]
    if path.endswith("/responses"):
        assert name == "error" and error["type"] == "error" and words in error["message"]
        assert [d["sequence_number"] for _, d in got] == list(range(len(got)))
        assert not any(n == "response.completed" for n, _ in got)
    else:
        assert name is None and words in error["error"]["message"]
        assert not any(c.get("finish_reason") for _, d in got[:-1] for c in d["choices"])
    line = g.wait_log("request failed")
    assert words in line


@pytest.mark.parametrize("last", [
    event({"error": {"message": "broke", "type": "server_error"}}), BROKEN_CHUNK, b""],
    ids=["error", "malformed", "end"])
def test_after_it_there_is_one_error_event_of_messages(gateway_of, provider_of, last):
    script = failing(*CHAT_EVENTS[:3], *([last] if last else []))
    g = gateway_of(config(provider_of(script), "cerebras"))
    got = stream(g, "/anthropic/v1/messages", messages("cerebras/m", stream=True))
    name, error = got[-1]
    assert name == "error" and error["type"] == "error" and error["error"]["type"] == "api_error"
    assert not any(n == "message_stop" for n, _ in got)
    g.wait_log("request failed")


def test_a_done_without_its_blank_line_is_an_end(gateway_of, provider_of):
    def script(call):
        call.stream_head()
        for e in CHAT_EVENTS:
            call.chunk(e)
        call.chunk(b"data: [DONE]")
        call.stream_end()
    g = gateway_of(config(provider_of(script), "cerebras"))
    got = collect_messages(stream(g, "/anthropic/v1/messages", messages("cerebras/m", stream=True)))
    assert text_of("/messages", got) == "Hello." and got["stop_reason"] == "end_turn"


def test_what_follows_the_end_does_not_disturb(gateway_of, provider_of):
    g = gateway_of(config(provider_of(failing(*message_events(), *message_events())), "anthropic"))
    got = stream(g, "/v1/chat/completions", chat("anthropic/claude-x", stream=True))
    assert [d for _, d in got].count("[DONE]") == 1 and got[-1][1] == "[DONE]"


def test_a_whole_answer_to_a_request_for_a_stream(gateway_of, provider_of):
    g = gateway_of(config(provider_of(lambda call: call.reply(200, MESSAGE)), "anthropic"))
    a = g.post("/v1/chat/completions", chat("anthropic/claude-x", stream=True))
    assert a.status == 200 and a.json()["choices"][0]["message"]["content"] == "Hello."


def test_a_stream_in_answer_to_a_request_for_a_whole(gateway_of, provider_of):
    g = gateway_of(config(provider_of(failing(*message_events())), "anthropic"))
    a = g.post("/v1/chat/completions", chat("anthropic/claude-x"))
    assert a.status == 200 and a.headers["content-type"] == "application/json", a.body
    message = a.json()["choices"][0]["message"]
    assert message["content"] == "Hello." and a.json()["object"] == "chat.completion"
    assert counts_of("chat", a.json()) == (9, 2)
    g = gateway_of(config(provider_of(failing(*CHAT_EVENTS, DONE)), "cerebras"))
    a = g.post("/anthropic/v1/messages", messages("cerebras/m"))
    assert a.status == 200 and a.json()["content"] == [{"type": "text", "text": "Hello."}], a.body


def test_a_streamed_call_in_answer_to_a_request_for_a_whole(gateway_of, provider_of):
    events = message_events(words=(), tool=("weather", ('{"city":', ' "Oslo"}')))
    g = gateway_of(config(provider_of(failing(*events)), "anthropic"))
    a = g.post("/openai/v1/chat/completions", chat("anthropic/claude-x", tools=[CHAT_TOOL]))
    assert a.status == 200, a.body
    assert [c[1:] for c in calls_of("chat", a.json())] == [("weather", {"city": "Oslo"})]
    assert a.json()["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("events,status,words", [
    (message_events()[:-1], 502, ""),
    (message_events()[:4] + [CLAUDE_ERROR], 529, "Overloaded"),
    (message_events()[:4] + [BROKEN_MESSAGE], 502, ""),
], ids=["cut", "error", "malformed"])
def test_a_stream_that_is_no_whole_answer(gateway_of, provider_of, events, status, words):
    g = gateway_of(config(provider_of(failing(*events)), "anthropic"))
    a = g.post("/openai/v1/chat/completions", chat("anthropic/claude-x"))
    assert a.status == status and words in a.json()["error"]["message"], a.body


@pytest.mark.parametrize("body", [b"{nonsense", b"[]", b"{}", b""])
def test_a_200_that_is_no_answer(gateway_of, provider_of, body):
    g = gateway_of(config(provider_of(lambda call: call.reply(200, body)), "anthropic"))
    a = g.post("/openai/v1/chat/completions", chat("anthropic/claude-x"))
    assert a.status == 502 and a.json()["error"]["message"]


def test_a_client_that_leaves_ends_the_providers_stream(gateway_of, provider_of):
    left = threading.Event()

    def script(call):
        call.stream_head()
        call.chunk(b"".join(message_events()[:4]))
        if call.wait_closed():
            left.set()

    g = gateway_of(config(provider_of(script), "anthropic"))
    with g.connect() as c:
        c.send_request("POST", "/v1/chat/completions", chat("anthropic/claude-x", stream=True))
        c.head()
        next(c.events())
        c.reset()
    assert left.wait(DEADLINE_S)


# ---- Fallbacks ----------------------------------------------------------------------------------

def test_fallbacks_cross_dialects(gateway_of, provider_of, claude):
    down = provider_of(lambda call: call.reply(503, {"error": {"message": "down"}}))
    g = gateway_of(both(down, claude))
    a = g.post("/v1/chat/completions", chat("openai/gpt-x", fallbacks=["anthropic/claude-x"]))
    assert a.status == 200 and a.json()["choices"][0]["message"]["content"] == "Hello."
    assert a.json()["extra_fields"]["provider"] == "anthropic"
    a = g.post("/anthropic/v1/messages", messages("openai/gpt-x", fallbacks=["claude-x"]))
    assert a.status == 200 and a.body == json.dumps(MESSAGE).encode(), "native bytes again"
    sent = [call.json() for call in claude.seen]
    assert "fallbacks" not in sent[1] and sent[1]["messages"] == messages()["messages"]


def test_a_fallback_may_take_what_the_primary_cannot(gateway, claude, provider):
    a = gateway.post("/v1/chat/completions",
                     chat("anthropic/claude-x", n=2, fallbacks=["openai/gpt-x"]))
    assert a.status == 200 and a.json()["extra_fields"]["provider"] == "openai"
    assert provider.call().json()["n"] == 2 and not claude.seen


# ---- Size ---------------------------------------------------------------------------------------

LONG = "The quick brown fox. \u00e9 " * 5000


@pytest.mark.parametrize("kilobytes", [115, 700])
@EVERY_ROAD
def test_long_prompts(gateway, request, road, kilobytes):
    path, body, who, _ = road
    text = (LONG * 8)[:kilobytes * 1000]
    body = (dict(body, input=text) if "input" in body
            else dict(body, messages=[{"role": "user", "content": text}]))
    a = gateway.post(path, body)
    assert a.status == 200, a.body[:300]
    assert text_of(path, a.json()) == "Hello."
    sent = request.getfixturevalue(who).call().json()
    got = sent.get("messages") or sent.get("input")
    if isinstance(got, list):
        got = got[-1]["content"]
    if isinstance(got, list):
        got = got[0]["text"]
    assert got == text
    events = stream(gateway, path, dict(body, stream=True))
    assert text_of(path, collect(path, events)) == "Hello."


@pytest.mark.parametrize("size", [60_000, 300_000, 3_000_000])
def test_long_answers(gateway_of, provider_of, size):
    text = "x" * size
    p = provider_of(lambda call: call.reply(200, dict(MESSAGE, content=[
        {"type": "text", "text": text}])))
    g = gateway_of(config(p, "anthropic"))
    for path in ("/v1/chat/completions", "/openai/v1/chat/completions"):
        a = g.post(path, chat("anthropic/claude-x"))
        assert a.json()["choices"][0]["message"]["content"] == text
        assert int(a.headers["content-length"]) == len(a.body)


def test_an_answer_too_long_to_be_translated(gateway_of, provider_of):
    p = provider_of(lambda call: call.reply(200, dict(MESSAGE, content=[
        {"type": "text", "text": "x" * (33 << 20)}])))
    a = gateway_of(config(p, "anthropic")).post("/v1/chat/completions", chat("anthropic/claude-x"))
    assert a.status == 502 and "too large" in a.json()["error"]["message"]
