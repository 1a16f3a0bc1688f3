// SPDX-License-Identifier: Apache-2.0
//
// The conversation of world.mjs, held by each official SDK with each provider, whole and streamed:
// every final message, tool call, usage and stop reason is looked at.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import Anthropic from '@anthropic-ai/sdk';
import { generateText, jsonSchema, streamText, tool } from 'ai';
import OpenAI from 'openai';
import {
  ANSWERS,
  MODELS,
  QUESTION,
  RESULTS,
  SCHEMA,
  SYSTEM,
  THANKS,
  TOOL,
  USAGE,
  startWorld,
} from './world.mjs';

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.stop());

// ---- The clients: one turn each, in the SDK's own words ----------------------------------------
//
// client(model, stream) → { turn() → { text, calls: [{ id, name, args }], stop, usage },
// results(…) and say(…) go on with the history, stops: how each turn is to end }.

const openaiChat = (mount) => (model, stream) => {
  const client = new OpenAI({
    baseURL: `${world.gateway.url}${mount}`,
    apiKey: 'x',
    maxRetries: 0,
  });
  const history = [
    { role: 'system', content: SYSTEM },
    { role: 'user', content: QUESTION },
  ];
  return {
    async turn() {
      const request = { model, messages: history, tools: [{ type: 'function', function: TOOL }] };
      const c = stream
        ? await client.chat.completions
            .stream({ ...request, stream_options: { include_usage: true } })
            .finalChatCompletion()
        : await client.chat.completions.create(request);
      const { message, finish_reason: stop } = c.choices[0];
      history.push(message);
      return {
        text: message.content,
        calls: (message.tool_calls ?? []).map((t) => ({
          id: t.id,
          name: t.function.name,
          args: JSON.parse(t.function.arguments),
        })),
        stop,
        usage: {
          input: c.usage.prompt_tokens,
          cached: c.usage.prompt_tokens_details?.cached_tokens ?? 0,
          output: c.usage.completion_tokens,
        },
      };
    },
    results: (all) =>
      history.push(...all.map(([id, content]) => ({ role: 'tool', tool_call_id: id, content }))),
    say: (content) => history.push({ role: 'user', content }),
    stops: ['tool_calls', 'stop', 'stop'],
  };
};

const openaiResponses = (mount) => (model, stream) => {
  const client = new OpenAI({
    baseURL: `${world.gateway.url}${mount}`,
    apiKey: 'x',
    maxRetries: 0,
  });
  const history = [{ role: 'user', content: QUESTION }];
  return {
    async turn() {
      const request = {
        model,
        instructions: SYSTEM,
        input: history,
        tools: [{ type: 'function', strict: false, ...TOOL }],
      };
      const r = stream
        ? await client.responses.stream(request).finalResponse()
        : await client.responses.create(request);
      history.push(...r.output);
      return {
        text: r.output_text,
        calls: r.output
          .filter((i) => i.type === 'function_call')
          .map((i) => ({ id: i.call_id, name: i.name, args: JSON.parse(i.arguments) })),
        stop: r.status,
        usage: {
          input: r.usage.input_tokens,
          cached: r.usage.input_tokens_details.cached_tokens,
          output: r.usage.output_tokens,
        },
      };
    },
    results: (all) =>
      history.push(
        ...all.map(([id, output]) => ({ type: 'function_call_output', call_id: id, output })),
      ),
    say: (content) => history.push({ role: 'user', content }),
    stops: ['completed', 'completed', 'completed'],
  };
};

const anthropic = (mount) => (model, stream) => {
  const client = new Anthropic({
    baseURL: `${world.gateway.url}${mount}`,
    apiKey: 'x',
    maxRetries: 0,
  });
  const history = [{ role: 'user', content: QUESTION }];
  const { parameters, ...rest } = TOOL;
  return {
    async turn() {
      const request = {
        model,
        max_tokens: 1000,
        system: SYSTEM,
        messages: history,
        tools: [{ ...rest, input_schema: parameters }],
      };
      const m = stream
        ? await client.messages.stream(request).finalMessage()
        : await client.messages.create(request);
      history.push({ role: 'assistant', content: m.content });
      return {
        text: m.content
          .filter((b) => b.type === 'text')
          .map((b) => b.text)
          .join(''),
        calls: m.content
          .filter((b) => b.type === 'tool_use')
          .map((b) => ({ id: b.id, name: b.name, args: b.input })),
        stop: m.stop_reason,
        usage: {
          input: m.usage.input_tokens + (m.usage.cache_read_input_tokens ?? 0),
          cached: m.usage.cache_read_input_tokens ?? 0,
          output: m.usage.output_tokens,
        },
      };
    },
    results: (all) =>
      history.push({
        role: 'user',
        content: all.map(([id, content]) => ({ type: 'tool_result', tool_use_id: id, content })),
      }),
    say: (content) => history.push({ role: 'user', content }),
    stops: ['tool_use', 'end_turn', 'end_turn'],
  };
};

// Unless it is told not to, this SDK refers to stored items by id, which no other vendor has.
const vercel = (make, providerOptions) => (model, stream) => {
  const languageModel = make(model);
  const messages = [{ role: 'user', content: QUESTION }];
  const tools = {
    weather: tool({ description: TOOL.description, inputSchema: jsonSchema(SCHEMA) }),
  };
  return {
    async turn() {
      const request = {
        model: languageModel,
        system: SYSTEM,
        messages,
        tools,
        maxRetries: 0,
        providerOptions,
      };
      let failed;
      const r = stream
        ? streamText({ ...request, onError: ({ error }) => (failed = error) })
        : await generateText(request);
      if (stream) await r.consumeStream();
      if (failed) throw failed;
      messages.push(...(await r.response).messages);
      const usage = await r.usage;
      return {
        text: await r.text,
        calls: (await r.toolCalls).map((c) => ({
          id: c.toolCallId,
          name: c.toolName,
          args: c.input,
        })),
        stop: await r.finishReason,
        usage: {
          input: usage.inputTokens,
          cached: usage.cachedInputTokens ?? 0,
          output: usage.outputTokens,
        },
      };
    },
    results: (all) =>
      messages.push({
        role: 'tool',
        content: all.map(([id, value]) => ({
          type: 'tool-result',
          toolCallId: id,
          toolName: TOOL.name,
          output: { type: 'text', value },
        })),
      }),
    say: (content) => messages.push({ role: 'user', content }),
    stops: ['tool-calls', 'stop', 'stop'],
  };
};

const openaiOf = (mount) => createOpenAI({ baseURL: `${world.gateway.url}${mount}`, apiKey: 'x' });
const anthropicOf = () =>
  createAnthropic({ baseURL: `${world.gateway.url}/anthropic/v1`, apiKey: 'x' });

const clients = {
  'openai chat on /v1': openaiChat('/v1'),
  'openai chat on /openai/v1': openaiChat('/openai/v1'),
  'openai responses on /v1': openaiResponses('/v1'),
  'openai responses on /openai/v1': openaiResponses('/openai/v1'),
  'openai chat on /litellm/v1': openaiChat('/litellm/v1'),
  'anthropic on /anthropic': anthropic('/anthropic'),
  'anthropic on /langchain/anthropic': anthropic('/langchain/anthropic'),
  'ai-sdk openai chat': vercel((m) => openaiOf('/openai/v1').chat(m)),
  'ai-sdk openai responses': vercel((m) => openaiOf('/openai/v1').responses(m), {
    openai: { store: false },
  }),
  'ai-sdk anthropic': vercel((m) => anthropicOf()(m)),
};

// ---- The conversation --------------------------------------------------------------------------

async function hold(client, model, stream) {
  const talk = client(model, stream);
  const seen = [];
  const first = await talk.turn();
  seen.push(first);
  assert.deepEqual(
    first.calls.map(({ name, args }) => ({ name, args })),
    ['Paris', 'Oslo'].map((city) => ({ name: 'weather', args: { city, unit: 'c' } })),
  );
  assert.equal(new Set(first.calls.map((c) => c.id)).size, 2);
  talk.results(first.calls.map((c) => [c.id, RESULTS[c.args.city]]));
  seen.push(await talk.turn());
  talk.say(THANKS);
  seen.push(await talk.turn());
  for (const [n, s] of seen.entries()) {
    assert.equal(s.text, ANSWERS[n]);
    assert.equal(s.stop, talk.stops[n]);
    assert.deepEqual(s.usage, USAGE[n]);
    if (n > 0) assert.deepEqual(s.calls, []);
  }
}

for (const [name, client] of Object.entries(clients))
  for (const [provider, model] of Object.entries(MODELS))
    for (const stream of [false, true])
      test(`${name} with ${provider}, ${stream ? 'streamed' : 'whole'}`, () =>
        hold(client, model, stream));
