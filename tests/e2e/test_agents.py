# SPDX-License-Identifier: Apache-2.0
"""Coding agents: requests of their shape and size, with providers they know and do not know.

Claude Code says hello with 115 kB: a HEAD of the base, then one streamed POST whose body is mostly
system prompt and tool schemas. Codex sends 39 kB to the Responses API. The bodies are made here, in
the order of members and with the kinds of blocks that these programs send.
"""
import json

import pytest

from harness import anthropic_script, both, message_events

WORDS = ("When the user asks for help, read the file before you change it; say what you did. "
         "Never print a secret \u2014 not even a part of it. ")


def prose(size):
    return (WORDS * (size // len(WORDS.encode()) + 1))[:size]


def schema(i):
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"file_path": {"type": "string", "description": prose(120)},
                           "limit": {"type": "integer", "minimum": 0, "maximum": 2e3},
                           "z%d" % i: {"anyOf": [{"type": "string"}, {"type": "null"}]},
                           "a": {"type": "array", "items": {"type": "object", "properties": {
                               "content": {"type": "string", "minLength": 1}},
                               "required": ["content"], "additionalProperties": False}}},
            "required": ["file_path"], "additionalProperties": False}


def claude_code(model, **members):
    """The members in the order in which the program sends them."""
    cached = {"type": "ephemeral"}
    body = {
        "model": model,
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "<system-reminder>\n" + prose(3000) + "</system-reminder>\n"},
            {"type": "text", "text": "say hello", "cache_control": cached}]}],
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197; x"},
                   {"type": "text", "text": "You are an agent.", "cache_control": cached},
                   {"type": "text", "text": prose(14000), "cache_control": cached}],
        "tools": [{"name": "Tool%d" % i, "description": prose(3200), "input_schema": schema(i)}
                  for i in range(24)],
        "metadata": {"user_id": json.dumps({"device_id": "d" * 64, "session_id": "s"})},
        "max_tokens": 32000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "medium"},
        "stream": True,
    }
    body.update(members)
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    assert 110_000 < len(text) < 125_000
    return text


CLAUDE_CODE_FIELDS = [
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14,"
                       "redact-thinking-2026-02-12,context-management-2025-06-27,"
                       "prompt-caching-scope-2026-01-05,effort-2025-11-24"),
    ("anthropic-dangerous-direct-browser-access", "true"),
    ("anthropic-version", "2023-06-01"),
    ("authorization", "Bearer client-token"),
    ("user-agent", "claude-cli/2.1.197 (external, sdk-cli)"),
    ("x-app", "cli"),
    ("x-claude-code-session-id", "5f0d7a1e-0000-4000-8000-000000000000"),
    ("x-stainless-lang", "js"),
    ("x-stainless-timeout", "600"),
]


def codex(model, **members):
    body = {
        "model": model,
        "instructions": prose(17000),
        "input": [{"type": "message", "role": "developer",
                   "content": [{"type": "input_text", "text": prose(6000)}]},
                  {"type": "message", "role": "user",
                   "content": [{"type": "input_text", "text": "<environment_context>\n"
                                + prose(600)}]},
                  {"type": "message", "role": "user",
                   "content": [{"type": "input_text", "text": "say hello"}]}],
        "tools": [{"type": "function", "name": "exec_command", "description": prose(400),
                   "strict": False, "parameters": schema(i)} for i in range(1)]
        + [{"type": "function", "name": "tool_%d" % i, "description": prose(900),
            "strict": False, "parameters": schema(i)} for i in range(7)]
        + [{"type": "custom", "name": "apply_patch", "description": prose(300),
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
           {"type": "web_search", "external_web_access": True}],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "019a0000-0000-7000-8000-000000000000",
        "client_metadata": {"x-codex-installation-id": "i"},
    }
    body.update(members)
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    assert 36_000 < len(text) < 44_000
    return text


CODEX_FIELDS = [
    ("accept", "text/event-stream"),
    ("authorization", "Bearer client-token"),
    ("originator", "codex_exec"),
    ("session-id", "019a0000"),
    ("x-client-request-id", "019a0000"),
    ("x-codex-beta-features", "none"),
    ("x-codex-turn-metadata", '{"turn_id":"1","sandbox":"none"}'),
    ("x-codex-window-id", "019a0000:0"),
]


@pytest.fixture
def claude(provider_of):
    return provider_of(anthropic_script)


@pytest.fixture
def gateway(gateway_of, provider, claude):
    return gateway_of(both(provider, claude))


def stream(gateway, path, body, fields):
    """The events of a streamed POST, as (name, object)."""
    with gateway.connect() as c:
        c.send_request("POST", path, body, fields)
        status, headers, _ = c.head()
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        raw = b"".join(c.events())
    out = []
    for block in raw.decode().strip().split("\n\n"):
        lines = dict(l.split(": ", 1) for l in block.split("\n"))
        data = lines["data"]
        out.append((lines.get("event"), data if data == "[DONE]" else json.loads(data)))
    return raw, out


# ---- Claude Code --------------------------------------------------------------------------------

def test_claude_code_with_claude_is_untouched(gateway, claude):
    assert gateway.request("HEAD", "/anthropic").status == 200
    body = claude_code("claude-sonnet-4-5")
    raw, _ = stream(gateway, "/anthropic/v1/messages?beta=true", body, CLAUDE_CODE_FIELDS)
    assert raw == b"".join(message_events(tool=("Tool0", ('{"city":', '"Oslo"}'))))
    sent = claude.call()
    assert sent.body == body and sent.path == "/v1/messages?beta=true"
    fields = dict(CLAUDE_CODE_FIELDS)
    for name in ("anthropic-beta", "anthropic-version",
                 "anthropic-dangerous-direct-browser-access"):
        assert sent.headers[name] == fields[name]
    assert "authorization" not in sent.headers and sent.headers["x-api-key"] == "sk-ant-secret"


def test_claude_code_brings_its_own_subscription(gateway, claude):
    own = [(n, "Bearer sk-ant-oat01-mine" if n == "authorization" else v)
           for n, v in CLAUDE_CODE_FIELDS]
    stream(gateway, "/anthropic/v1/messages?beta=true", claude_code("claude-sonnet-4-5"), own)
    sent = claude.call()
    assert sent.headers["authorization"] == "Bearer sk-ant-oat01-mine"
    assert "x-api-key" not in sent.headers
    assert not any("sk-ant-oat01" in l for l in gateway.log)


@pytest.mark.parametrize("provider_name, path", [("openai", "/v1/responses"),
                                                 ("cerebras", "/v1/chat/completions")])
def test_claude_code_with_models_of_others(gateway_of, provider, claude, provider_name, path):
    entry = {"keys": [{"name": "k", "value": "sk-1", "weight": 1, "models": ["*"]}],
             "network_config": {"base_url": provider.url}}
    gateway = gateway_of({"providers": {provider_name: entry}})
    _, events = stream(gateway, "/anthropic/v1/messages?beta=true",
                       claude_code(provider_name + "/gpt-x"), CLAUDE_CODE_FIELDS)
    names = [n for n, _ in events]
    assert names[0] == "message_start" and names[-1] == "message_stop"
    assert names.count("message_start") == 1 and names.count("message_delta") == 1
    deltas = [e["delta"]["partial_json"] for n, e in events
              if n == "content_block_delta" and e["delta"]["type"] == "input_json_delta"]
    assert deltas == ['{"city":', '"Oslo"}'], "deltas pass as deltas"
    assert [e["delta"]["stop_reason"] for n, e in events if n == "message_delta"] == ["tool_use"]
    sent = provider.call()
    assert sent.path == path
    assert not any(n.startswith("anthropic-") for n in sent.headers)
    body = sent.json()
    tools = [t.get("function", t) for t in body["tools"]]
    assert [t["name"] for t in tools] == ["Tool%d" % i for i in range(24)]
    for i, t in enumerate(tools):
        assert json.dumps(t["parameters"]) == json.dumps(schema(i)), "members keep their order"
    assert "2000.0" in sent.body.decode(), "a number keeps its spelling"
    text = json.dumps(body, ensure_ascii=False)
    assert prose(14000)[:200] in text and "say hello" in text
    assert body["model"] == "gpt-x" and body["stream"] is True


# ---- Codex --------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/openai/v1/responses", "/openai/responses"])
def test_codex_with_openai_is_untouched(gateway, provider, path):
    body = codex("gpt-x")
    stream(gateway, path, body, CODEX_FIELDS)
    sent = provider.call()
    assert sent.body == body and sent.path == "/v1/responses"
    assert sent.headers["authorization"] == "Bearer sk-secret-1"


def test_codex_asks_for_a_websocket_once(gateway):
    a = gateway.request("GET", "/openai/v1/responses", headers=[
        ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("openai-beta", "responses_websockets=2026-02-06")])
    assert a.status == 426


def test_codex_with_claude(gateway, claude):
    raw, events = stream(gateway, "/openai/v1/responses", codex("anthropic/claude-sonnet-4-5"),
                         CODEX_FIELDS)
    assert b"[DONE]" not in raw
    names = [n for n, _ in events]
    assert names[:2] == ["response.created", "response.in_progress"]
    assert names[-1] == "response.completed"
    assert [e["sequence_number"] for _, e in events] == list(range(len(events)))
    calls = [e["delta"] for n, e in events if n == "response.function_call_arguments.delta"]
    assert calls == ['{"city":', '"Oslo"}']
    output = events[-1][1]["response"]["output"]
    assert [i["type"] for i in output] == ["message", "function_call"]
    assert output[1]["name"] == "exec_command"
    sent = claude.call().json()
    names = [t["name"] for t in sent["tools"]]
    assert names == ["exec_command"] + ["tool_%d" % i for i in range(7)] + ["apply_patch",
                                                                           "web_search"]
    assert sent["system"][0]["text"] == prose(17000)
    assert sent["thinking"]["type"] == "enabled"


# ---- Both ---------------------------------------------------------------------------------------

def test_a_stream_the_agent_cancels_is_cancelled_at_the_provider(gateway_of, provider_of, provider):
    def endless(call):
        call.stream_head()
        call.chunk(b"".join(message_events()[:4]))
        assert call.wait_closed()
        call.closed.set()

    claude = provider_of(endless)
    gateway = gateway_of(both(provider, claude))
    for path, body in (("/anthropic/v1/messages", claude_code("claude-sonnet-4-5")),
                       ("/openai/v1/responses", codex("anthropic/claude-sonnet-4-5"))):
        with gateway.connect() as c:
            c.send_request("POST", path, body)
            assert c.head()[0] == 200
            next(c.events())
            c.reset()
        assert claude.call().closed.wait(20)
