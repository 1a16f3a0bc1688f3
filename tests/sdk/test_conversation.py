# SPDX-License-Identifier: Apache-2.0
"""The conversation of world.mjs, held by the official Python SDKs.

The providers there answer only when what reaches them is the conversation so far, so what is left
to look at here is what the SDK makes of the answers.
"""
import json
import os
import subprocess

import anthropic
import openai
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
DEADLINE_S = 30

SYSTEM = "Be brief."
QUESTION = "What is the weather in Paris and Oslo?"
RESULTS = {"Paris": '{"sky":"sunny","celsius":21}', "Oslo": '{"sky":"snow","celsius":-3}'}
THANKS = 'Thank you \u00e9 \U0001F30D "quoted" \\ and\nmore'
ANSWERS = ["Let me look.", "Paris: sunny, 21. Oslo: snow, -3.", "You're welcome \U0001F31E"]
USAGE = [(30, 0, 25), (80, 16, 12), (110, 64, 5)]
SCHEMA = {"type": "object",
          "properties": {"city": {"type": "string", "description": "A city"},
                         "unit": {"type": "string", "enum": ["c", "f"]}},
          "required": ["city"]}
TOOL = {"name": "weather", "description": "The weather somewhere"}


@pytest.fixture(scope="module")
def url():
    world = subprocess.Popen(["node", os.path.join(HERE, "world.mjs")], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    yield json.loads(world.stdout.readline())["gateway"]
    world.stdin.close()
    assert world.wait(DEADLINE_S) == 0


class OpenAIChat:
    stops = ["tool_calls", "stop", "stop"]

    def __init__(self, url, model, stream):
        self.client = openai.OpenAI(base_url=url + "/openai/v1", api_key="x", max_retries=0)
        self.model, self.stream = model, stream
        self.history = [{"role": "system", "content": SYSTEM},
                        {"role": "user", "content": QUESTION}]

    def turn(self):
        request = {"model": self.model, "messages": self.history,
                   "tools": [{"type": "function", "function": dict(TOOL, parameters=SCHEMA)}]}
        if self.stream:
            with self.client.chat.completions.stream(
                    **request, stream_options={"include_usage": True}) as s:
                c = s.get_final_completion()
        else:
            c = self.client.chat.completions.create(**request)
        message = c.choices[0].message
        self.history.append({k: v for k, v in message.model_dump(exclude_none=True).items()
                             if k in ("role", "content", "tool_calls")})
        for t in self.history[-1].get("tool_calls", ()):
            t["function"].pop("parsed_arguments", None)
            t.pop("index", None)
        calls = [(t.id, t.function.name, json.loads(t.function.arguments))
                 for t in message.tool_calls or ()]
        u = c.usage
        cached = u.prompt_tokens_details.cached_tokens if u.prompt_tokens_details else 0
        return message.content, calls, c.choices[0].finish_reason, (
            u.prompt_tokens, cached or 0, u.completion_tokens)

    def results(self, results):
        self.history += [{"role": "tool", "tool_call_id": i, "content": t} for i, t in results]

    def say(self, text):
        self.history.append({"role": "user", "content": text})


class OpenAIResponses(OpenAIChat):
    stops = ["completed"] * 3

    def __init__(self, url, model, stream):
        super().__init__(url, model, stream)
        self.history = [{"role": "user", "content": QUESTION}]

    def turn(self):
        request = {"model": self.model, "instructions": SYSTEM, "input": self.history,
                   "tools": [dict(TOOL, type="function", strict=False, parameters=SCHEMA)]}
        if self.stream:
            with self.client.responses.stream(**request) as s:
                r = s.get_final_response()
        else:
            r = self.client.responses.create(**request)
        for item in r.output:
            kept = item.model_dump(exclude_none=True)
            kept.pop("parsed_arguments", None)
            for part in kept.get("content", ()):
                part.pop("parsed", None)
            self.history.append(kept)
        calls = [(i.call_id, i.name, json.loads(i.arguments))
                 for i in r.output if i.type == "function_call"]
        u = r.usage
        return r.output_text, calls, r.status, (
            u.input_tokens, u.input_tokens_details.cached_tokens, u.output_tokens)

    def results(self, results):
        self.history += [{"type": "function_call_output", "call_id": i, "output": t}
                         for i, t in results]


class AnthropicMessages(OpenAIChat):
    stops = ["tool_use", "end_turn", "end_turn"]

    def __init__(self, url, model, stream):
        self.client = anthropic.Anthropic(base_url=url + "/anthropic", api_key="x", max_retries=0)
        self.model, self.stream = model, stream
        self.history = [{"role": "user", "content": QUESTION}]

    def turn(self):
        request = {"model": self.model, "max_tokens": 1000, "system": SYSTEM,
                   "messages": self.history, "tools": [dict(TOOL, input_schema=SCHEMA)]}
        if self.stream:
            with self.client.messages.stream(**request) as s:
                m = s.get_final_message()
        else:
            m = self.client.messages.create(**request)
        self.history.append({"role": "assistant", "content": m.content})
        calls = [(b.id, b.name, b.input) for b in m.content if b.type == "tool_use"]
        text = "".join(b.text for b in m.content if b.type == "text")
        cached = m.usage.cache_read_input_tokens or 0
        return text, calls, m.stop_reason, (
            m.usage.input_tokens + cached, cached, m.usage.output_tokens)

    def results(self, results):
        self.history.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": i, "content": t} for i, t in results]})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5",
                                   "cerebras/llama"])
@pytest.mark.parametrize("client", [OpenAIChat, OpenAIResponses, AnthropicMessages])
def test_three_turns_with_two_tools(url, client, model, stream):
    talk = client(url, model, stream)
    turns = [talk.turn()]
    calls = turns[0][1]
    assert [c[1:] for c in calls] == [("weather", {"city": c, "unit": "c"}) for c in RESULTS]
    talk.results([(c[0], RESULTS[c[2]["city"]]) for c in calls])
    turns.append(talk.turn())
    talk.say(THANKS)
    turns.append(talk.turn())
    for n, (text, calls, stop, usage) in enumerate(turns):
        assert text == ANSWERS[n]
        assert stop == talk.stops[n]
        assert usage == USAGE[n]
        assert n == 0 or not calls
