#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_types.py: are the golden files what the vendors' SDKs call a request, an answer, an event?

Every file of every pair, both sides, is parsed with the types of the official Python SDKs. Those
types tolerate what they do not know, so that a client survives a newer server; here nothing is
tolerated: pydantic makes its schema of an SDK's type, and `harden` forbids unknown members in it,
at every depth, and takes iterables for lists (pydantic looks into an iterable only when it is
read). A number in a string, a missing member, a wrong literal: all are errors.

What Bifrost adds to a dialect is taken out first, and checked by itself: ADDITIONS is the one list,
each with where it is documented. A member that is not there and not the vendor's is an error.

Prints TAP, a test a file; exits 1 when a file is wrong, and names the file and the member.

    check_types.py [FOLDER]     default: the folder this script lies in
"""
import json
import os
import pathlib
import sys
from typing import Any, List, Literal, Optional, Sequence, Union

os.environ["DEFER_PYDANTIC_BUILD"] = "false"  # the SDKs': a schema that is not built cannot be read

import anthropic
import anthropic.types.beta
import anthropic.types.beta.message_create_params
import openai
import openai.types.chat
import openai.types.completion_create_params
import openai.types.responses
import openai.types.responses.response_create_params
from pydantic import TypeAdapter
from pydantic_core import SchemaValidator, ValidationError
from typing_extensions import NotRequired, TypedDict

# ---- Bifrost's additions -----------------------------------------------------------------------

OPENAPI = "Bifrost's OpenAPI document, "


class ReasoningDetail(TypedDict):
    """ChatMessage.reasoning_details; `index` is missing in what goes to a provider."""

    type: Literal["reasoning.text", "reasoning.encrypted", "reasoning.summary"]
    index: NotRequired[int]
    id: NotRequired[str]
    text: NotRequired[str]
    summary: NotRequired[str]
    signature: NotRequired[str]
    data: NotRequired[str]


class Reasoning(TypedDict):
    effort: NotRequired[Literal["none", "minimal", "low", "medium", "high", "xhigh"]]
    max_tokens: NotRequired[int]


class CacheControl(TypedDict):
    type: Literal["ephemeral"]
    ttl: NotRequired[Literal["5m", "1h"]]


class McpServer(TypedDict):
    type: Literal["url"]
    url: str
    name: str


# dialect, what it is an addition to, path (`*`: every element), type, source
ADDITIONS = [
    ("chat", "request", "fallbacks", List[str], OPENAPI + "ChatCompletionRequest"),
    ("chat", "request", "reasoning", Reasoning, OPENAPI + "ChatCompletionRequest"),
    ("chat", "request", "top_k", int, "Bifrost: docs/providers/supported-providers/anthropic"),
    ("chat", "request", "messages/*/reasoning", str, OPENAPI + "ChatMessage"),
    ("chat", "request", "messages/*/reasoning_details", List[ReasoningDetail],
     OPENAPI + "ChatMessage"),
    ("chat", "request", "messages/*/content/*/cache_control", CacheControl,
     OPENAPI + "ChatMessage, content blocks"),
    ("chat", "answer", "choices/*/message/reasoning", str, OPENAPI + "ChatMessage"),
    ("chat", "answer", "choices/*/message/reasoning_details", List[ReasoningDetail],
     OPENAPI + "ChatMessage"),
    ("chat", "event", "choices/*/delta/reasoning", Optional[str],
     OPENAPI + "ChatStreamResponse"),
    ("chat", "event", "choices/*/delta/reasoning_details", List[ReasoningDetail],
     OPENAPI + "ChatStreamResponse"),
    ("chat", "request", "frobnicate", Any, "nobody's: stands for what nobody knows"),
    ("chat", "request", "zeal", Any, "nobody's: stands for what nobody knows"),
    ("responses", "request", "fallbacks", List[str], OPENAPI + "ResponsesRequest"),
    ("responses", "request", "reasoning/max_tokens", int, OPENAPI + "ResponsesRequest"),
    ("messages", "request", "fallbacks", List[str], OPENAPI + "AnthropicMessageRequest"),
    ("text", "request", "fallbacks", List[str], OPENAPI + "TextCompletionRequest"),
]

# ---- The vendors' types ------------------------------------------------------------------------


class Ping(TypedDict):
    """An event the SDK skips before it parses: claude docs, streaming, ping events."""

    type: Literal["ping"]


class OpenAIError(TypedDict):
    message: str
    type: str
    param: Optional[str]
    code: Optional[str]


class OpenAIErrorEvent(TypedDict):
    """What the SDK's stream raises from (openai._streaming looks for `error`)."""

    error: OpenAIError


class TextChunkChoice(openai.types.CompletionChoice):
    """The SDK has one type for answers and chunks; before the last chunk the reference has null."""

    finish_reason: Optional[Literal["stop", "length", "content_filter"]]


class TextChunk(openai.types.Completion):
    choices: List[TextChunkChoice]


TYPES = {
    ("chat", "request"): openai.types.chat.CompletionCreateParams,
    ("chat", "answer"): openai.types.chat.ChatCompletion,
    ("chat", "event"): Union[openai.types.chat.ChatCompletionChunk, OpenAIErrorEvent],
    ("responses", "request"): openai.types.responses.ResponseCreateParams,
    ("responses", "answer"): openai.types.responses.Response,
    ("responses", "event"): openai.types.responses.ResponseStreamEvent,
    ("text", "request"): openai.types.CompletionCreateParams,
    ("text", "answer"): openai.types.Completion,
    ("text", "event"): Union[TextChunk, OpenAIErrorEvent],
    # The beta has more (context_management, mcp_servers), and the other has what the beta shed.
    ("messages", "request"): Union[
        anthropic.types.MessageCreateParams,
        anthropic.types.beta.MessageCreateParams,
    ],
    ("messages", "answer"): anthropic.types.Message,
    ("messages", "event"): Union[
        anthropic.types.RawMessageStreamEvent, Ping, anthropic.types.ErrorResponse
    ],
    ("complete", "request"): anthropic.types.CompletionCreateParams,
    ("complete", "answer"): anthropic.types.Completion,
    ("complete", "event"): Union[anthropic.types.Completion, Ping, anthropic.types.ErrorResponse],
}
DIALECTS = sorted({dialect for dialect, _ in TYPES})
# Dialects whose events bear names, and those whose stream ends with a marker.
NAMED = {"responses", "messages", "complete"}
MARKED = {"chat", "text"}


def use_plain_sequences():
    """SequenceNotStr is a protocol, which pydantic cannot check: a list of JSON is a Sequence."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("openai", "anthropic")) and "SequenceNotStr" in vars(module):
            module.SequenceNotStr = Sequence


def label(choice):
    """A branch's own name, for complaints to tell the branches apart."""
    if "cls" in choice:
        return choice["cls"].__name__
    return choice.get("schema_ref", "").rpartition(":")[0].rpartition(".")[2] or choice["type"]


def harden(node):
    """Forbids what the schema does not name. Changes it in place."""
    if isinstance(node, (list, tuple)):
        for item in node:
            harden(item)
    if not isinstance(node, dict):
        return
    if node.get("type") == "union":
        node["choices"] = [c if isinstance(c, tuple) else (c, label(c)) for c in node["choices"]]
    if node.get("type") == "model":
        # A model inside another is validated by what its class was built with, whatever the schema
        # says: only its fields are left.
        fields, ref = node["schema"], node.get("ref")
        node.clear()
        node.update(fields)
        if ref is not None:
            node["ref"] = ref
    if node.get("type") in ("typed-dict", "model-fields"):
        node["extra_behavior"] = "forbid"
        node.pop("config", None)
        node.pop("extras_schema", None)
    if node.get("type") == "generator":
        node["type"] = "list"
    for value in node.values():
        harden(value)


_validators = {}


def validator(key, type_):
    if key not in _validators:
        schema = TypeAdapter(type_).core_schema
        harden(schema)
        _validators[key] = SchemaValidator(schema)
    return _validators[key]


def errors_of(key, type_, value):
    """Of a union that does not fit, the complaints of the branch that was meant: not of those whose
    own name differs; and the deepest, because a branch that nearly fits says the most."""
    try:
        validator(key, type_).validate_json(json.dumps(value), strict=True)
        return
    except ValidationError as error:
        found = [(e["loc"], e["msg"], e["type"]) for e in error.errors(include_url=False)]
    others = {loc[:-1] for loc, _, type_ in found
              if type_ == "literal_error" and loc[-1] in ("type", "role", "object")}
    meant = [e for e in found if not any(e[0][: len(other)] == other for other in others)] or found
    deepest = max(len(loc) for loc, _, _ in meant)
    for loc, message, _ in [e for e in meant if len(e[0]) == deepest][:3]:
        yield f"{'/'.join(str(part) for part in loc)}: {message}"


def take(value, path):
    """Removes and yields what lies at a path."""
    if not path or not isinstance(value, (dict, list)):
        return
    head, rest = path[0], path[1:]
    if head == "*":
        if isinstance(value, list):
            for item in value:
                yield from take(item, rest)
    elif isinstance(value, dict) and head in value:
        if rest:
            yield from take(value[head], rest)
        else:
            yield value.pop(head)


def check(dialect, what, value):
    """Complaints about one parsed text."""
    for of, kind, path, type_, _ in ADDITIONS:
        if (of, kind) == (dialect, what):
            for addition in take(value, path.split("/")):
                for complaint in errors_of((of, kind, path), type_, addition):
                    yield f"{path}: {complaint}"
    yield from errors_of((dialect, what), TYPES[dialect, what], value)


# ---- Files -------------------------------------------------------------------------------------


def events(text):
    """(type or None, data or None) of each event."""
    for block in text.split("\n\n"):
        name, data = None, []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if name is not None or data:
            yield name, "\n".join(data) if data else None


def check_stream(dialect, text, may_be_broken):
    ended = False
    for index, (name, data) in enumerate(events(text)):
        at = f"event {index}"
        if ended:
            yield f"{at}: behind the end"
        if data == "[DONE]":
            if dialect not in MARKED:
                yield f"{at}: [DONE] in a dialect without it"
            ended = True
            continue
        if (name is not None) != (dialect in NAMED):
            yield f"{at}: event line {name!r}"
        try:
            value = json.loads(data or "")
        except ValueError as error:
            if not may_be_broken:
                yield f"{at}: {error}"
            continue
        if dialect in NAMED and value.get("type", name) != name:
            yield f"{at}: named {name}, but it is {value.get('type')}"
        for complaint in check(dialect, "event", value):
            yield f"{at}: {complaint}"


def check_file(path, client, provider):
    part, side, kind = path.name.split(".")
    dialect = client if side == "client" else provider
    text = path.read_text(encoding="utf-8")
    if kind == "sse":
        broken = path.with_name("broken")
        malformed = broken.exists() and broken.read_text().strip() == "malformed"
        yield from check_stream(dialect, text, malformed and side == "provider")
        return
    try:
        value = json.loads(text)
    except ValueError as error:
        yield str(error)
        return
    yield from check(dialect, part, value)


# Every case: what may lie in it, and what must lie beside what.
FILES = {
    "SOURCE", "dropped", "refused", "broken", "verbatim", "keeps_thoughts",
    "request.client.json", "request.provider.json", "answer.provider.json", "answer.client.json",
    "stream.provider.sse", "stream.client.sse",
}
TOGETHER = [
    ("request.provider.json", "request.client.json"),
    ("refused", "request.client.json"),
    ("dropped", "request.provider.json"),
    ("answer.provider.json", "answer.client.json"),
    ("answer.client.json", "answer.provider.json"),
    ("stream.provider.sse", "stream.client.sse"),
    ("stream.client.sse", "stream.provider.sse"),
    ("broken", "stream.provider.sse"),
]


def check_case(folder):
    names = {path.name for path in folder.iterdir()}
    for name in sorted(names - FILES):
        yield f"{name}: nobody reads it"
    for one, other in TOGETHER:
        if one in names and other not in names:
            yield f"{one} without {other}"
    if "request.client.json" in names and not names & {"refused", "request.provider.json"}:
        yield "request.client.json without what becomes of it"
    if "SOURCE" not in names or "https://" not in (folder / "SOURCE").read_text(encoding="utf-8"):
        yield "SOURCE: names no documentation"


# What the SDKs would let pass, or what only a part of them forbids: dialect, what, text, the member
# that must be named. They are checked before the files, so that silence means something.
WRONG = [
    ("chat", "request", '{"model": "m", "messages": [], "no": 1}', "no"),
    ("chat", "request", '{"model": "m", "messages": [{"role": "user", "content": "x", "no": 1}]}',
     "messages/0"),
    ("chat", "request", '{"model": "m", "messages": [], "max_completion_tokens": "7"}',
     "max_completion_tokens"),
    ("chat", "request", '{"model": "m", "messages": [{"role": "assistant", "content": "x",'
     ' "reasoning_details": [{"type": "reasoning.text", "no": 1}]}]}', "reasoning_details: 0/no"),
    ("chat", "event", '{"id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m",'
     ' "choices": [{"index": 0, "delta": {"no": 1}, "finish_reason": null}]}', "choices/0/delta/no"),
    ("chat", "answer", '{"id": "i", "object": "chat.completion", "created": 1, "model": "m",'
     ' "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}]}',
     "choices/0/finish_reason"),
    ("messages", "request", '{"model": "m", "max_tokens": 1, "messages": [{"role": "user",'
     ' "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA==",'
     ' "no": 1}}]}]}', "/no"),
    ("messages", "request", '{"model": "m", "messages": []}', "max_tokens"),
    ("messages", "answer", '{"id": "i", "type": "message", "role": "assistant", "model": "m",'
     ' "content": [], "stop_reason": "end", "stop_sequence": null,'
     ' "usage": {"input_tokens": 1, "output_tokens": 1}}', "stop_reason"),
    ("messages", "event", '{"type": "content_block_delta", "index": 0,'
     ' "delta": {"type": "text_delta", "text": "x", "no": 1}}', "/no"),
    ("responses", "request", '{"model": "m", "input": [{"type": "function_call_output",'
     ' "call_id": "c", "output": "x", "no": 1}]}', "/no"),
    ("responses", "event", '{"type": "response.output_text.delta", "sequence_number": 1,'
     ' "item_id": "i", "output_index": 0, "content_index": 0, "delta": "x"}', "logprobs"),
    ("text", "answer", '{"id": "i", "object": "text_completion", "created": 1, "model": "m",'
     ' "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}], "no": 1}', "no"),
    ("complete", "request", '{"model": "m", "prompt": "p"}', "max_tokens_to_sample"),
]


def check_wrong(dialect, what, text, member):
    complaints = list(check(dialect, what, json.loads(text)))
    if not any(member in complaint.rpartition(": ")[0] for complaint in complaints):
        yield f"passes, or is not named: {complaints}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    use_plain_sequences()
    count = failed = 0

    def report(name, complaints):
        nonlocal count, failed
        count += 1
        complaints = list(complaints)
        failed += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {count} - {name}")
        for complaint in complaints:
            print(f"# {name}: {complaint}")

    print("TAP version 13")
    for dialect, what, text, member in WRONG:
        report(f"what is wrong is seen: {dialect} {what} {member}",
               check_wrong(dialect, what, text, member))
    for pair in sorted(path for path in root.iterdir() if path.is_dir()):
        if pair.name == "__pycache__":
            continue
        client, _, provider = pair.name.partition("-")
        if client not in DIALECTS or provider not in DIALECTS:
            report(pair.name, [f"a pair of {', '.join(DIALECTS)} is wanted"])
            continue
        for folder in sorted(pair.iterdir()):
            report(f"{pair.name}/{folder.name}", check_case(folder))
            for path in sorted(folder.glob("*.*.*")):
                if path.name in FILES:
                    report(f"{pair.name}/{folder.name}/{path.name}",
                           check_file(path, client, provider))
    if count == len(WRONG):
        report("golden files", ["there are none"])
    print(f"1..{count}")
    print(f"# pass {count - failed}")
    print(f"# fail {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
