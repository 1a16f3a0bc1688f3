# SPDX-License-Identifier: Apache-2.0
"""Events too long for a turn of a loop: a worker has them, and nothing overtakes them."""
import json

import pytest

from harness import (CHAT_EVENTS, DONE, anthropic_script, chat, chat_chunk, config, event,
                     message_events, messages, send_stream, workers)

MB = 1_000_000
RESPONSES = "/v1/responses"

# The store has workers of its own.
UNRECORDED = {"enable_logging": False}


def blocks(raw):
    """[(name, data)] of a stream; data is "[DONE]" or read."""
    out = []
    for block in raw.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line)
        if fields:
            data = fields["data"]
            out.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return out


def served(gateway, path, body):
    """The stream's events, and whether a worker was made for it: there was none before."""
    assert workers(gateway) == 0
    a = gateway.post(path, body)
    assert a.status == 200, a.body
    return blocks(a.body), workers(gateway) > 0


@pytest.mark.parametrize("size,worked", [(100_000, False), (300_000, True), (5 * MB, True)])
def test_a_long_event_is_translated_in_its_place(gateway_of, provider_of, size, worked):
    words = ("a" * 10, "b" * size, "c" * 10)
    p = provider_of(lambda call: send_stream(call, message_events(words)))
    g = gateway_of(config(p, "anthropic", client=UNRECORDED))
    events, did = served(g, "/v1/chat/completions", chat("anthropic/claude-x", stream=True))
    said = [e["choices"][0]["delta"].get("content") for _, e in events[:-1] if e["choices"]]
    assert [s for s in said if s] == list(words)
    index = [e["extra_fields"]["chunk_index"] for _, e in events[:-1]]
    assert index == list(range(len(index)))
    assert events[-1] == (None, "[DONE]")
    assert did == worked


@pytest.mark.parametrize("pieces,worked", [(8, False), (40, True), (400, True)])
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_the_end_of_a_long_stream_repeats_it(gateway_of, provider_of, name, pieces, worked):
    words = [chr(97 + i % 26) * 8000 for i in range(pieces)]
    chunks = [CHAT_EVENTS[0]] + [event(chat_chunk({"content": w})) for w in words] + [
        CHAT_EVENTS[-1], DONE]
    p = provider_of(lambda call: send_stream(
        call, message_events(words) if name == "anthropic" else chunks))
    g = gateway_of(config(p, "anthropic" if name == "anthropic" else "cerebras",
                          client=UNRECORDED))
    model = "anthropic/claude-x" if name == "anthropic" else "cerebras/m"
    events, did = served(g, RESPONSES, {"model": model, "input": "Go", "stream": True})
    assert [e["delta"] for n, e in events if n == "response.output_text.delta"] == words
    assert [e["sequence_number"] for _, e in events] == list(range(len(events)))
    last, end = events[-1]
    assert last == "response.completed"
    assert end["response"]["output"][0]["content"][0]["text"] == "".join(words)
    assert did == worked


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions"])
def test_a_long_event_passes_natively(gateway_of, provider_of, path):
    words = ("a" * 10, "b" * 2 * MB, "c" * 10)
    events = [CHAT_EVENTS[0]] + [event(chat_chunk({"content": w})) for w in words] + [
        CHAT_EVENTS[-1], DONE]
    p = provider_of(lambda call: send_stream(call, events))
    g = gateway_of(config(p, client=UNRECORDED))
    got, did = served(g, path, chat("openai/m", stream=True))
    assert [e["choices"][0]["delta"].get("content") for _, e in got[1:4]] == list(words)
    assert got[-1] == (None, "[DONE]") and did


def test_a_long_error_ends_the_stream_all_the_same(gateway_of, provider_of):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "m" * MB}}
    p = provider_of(lambda call: send_stream(call, [event(error, "error")]))
    g = gateway_of(config(p, "anthropic", client=UNRECORDED))
    assert g.post("/v1/chat/completions", chat("anthropic/claude-x", stream=True)).status >= 500
    assert g.post("/anthropic/v1/messages", messages("claude-x", stream=True)).status >= 500


def test_a_client_that_leaves_a_long_event_harms_nobody(gateway_of, provider_of):
    words = ["b" * 3 * MB] * 4
    p = provider_of(lambda call: send_stream(call, message_events(words))
                    if call.json().get("stream") else anthropic_script(call))
    g = gateway_of(config(p, "anthropic", client=UNRECORDED))
    for _ in range(5):
        with g.connect() as c:
            c.send_request("POST", RESPONSES,
                           {"model": "anthropic/claude-x", "input": "Go", "stream": True})
            c.head()
    assert g.post("/v1/chat/completions", chat("anthropic/claude-x")).status == 200
