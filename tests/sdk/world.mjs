// SPDX-License-Identifier: Apache-2.0
//
// One conversation of three turns, and two providers that hold it, each in its own dialect.
//
//   1  user: what is the weather in Paris and Oslo?   assistant: a word, and two tools at once
//   2  the two results                                assistant: an answer
//   3  user: thank you                                assistant: a farewell
//
// A provider answers only when what it was sent is exactly the conversation so far, whatever road
// it took; anything else is a 400 that says what was wrong. So a test that sees the right answers
// has also seen that system prompt, history, tools, calls and results arrived whole.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { startGateway, startProvider } from './harness.mjs';

export const SYSTEM = 'Be brief.';
export const QUESTION = 'What is the weather in Paris and Oslo?';
export const RESULTS = {
  Paris: '{"sky":"sunny","celsius":21}',
  Oslo: '{"sky":"snow","celsius":-3}',
};
export const THANKS = 'Thank you \u00e9 \u{1F30D} "quoted" \\ and\nmore';
export const ANSWERS = [
  'Let me look.',
  'Paris: sunny, 21. Oslo: snow, -3.',
  "You're welcome \u{1F31E}",
];
// Of each turn: all of the prompt, of it cached, and the answer.
export const USAGE = [
  { input: 30, cached: 0, output: 25 },
  { input: 80, cached: 16, output: 12 },
  { input: 110, cached: 64, output: 5 },
];
export const SCHEMA = {
  type: 'object',
  properties: {
    city: { type: 'string', description: 'A city' },
    unit: { type: 'string', enum: ['c', 'f'] },
  },
  required: ['city'],
};
export const TOOL = { name: 'weather', description: 'The weather somewhere', parameters: SCHEMA };
const CITIES = ['Paris', 'Oslo'];

// ---- What a request says, whatever its dialect -------------------------------------------------

const texts = (content) =>
  typeof content === 'string'
    ? content
    : (content ?? [])
        .filter((p) => ['text', 'input_text', 'output_text'].includes(p.type))
        .map((p) => p.text)
        .join('');

const call = (id, name, args) => ({
  id,
  name,
  args: typeof args === 'string' ? JSON.parse(args) : args,
});

const readers = {
  chat(body) {
    const said = { system: '', turns: [], tools: body.tools?.map((t) => t.function) };
    for (const m of body.messages) {
      if (m.role === 'system' || m.role === 'developer') said.system += texts(m.content);
      else if (m.role === 'tool')
        said.turns.push({ result: m.tool_call_id, text: texts(m.content) });
      else {
        const turn = { role: m.role, text: texts(m.content) };
        if (m.tool_calls)
          turn.calls = m.tool_calls.map((c) => call(c.id, c.function.name, c.function.arguments));
        said.turns.push(turn);
      }
    }
    return said;
  },
  responses(body) {
    const said = { system: texts(body.instructions), turns: [], tools: body.tools };
    const items =
      typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : body.input;
    for (const i of items) {
      const last = said.turns.at(-1);
      if (i.type === 'function_call') {
        const turn = last?.role === 'assistant' ? last : { role: 'assistant', text: '' };
        if (turn !== last) said.turns.push(turn);
        (turn.calls ??= []).push(call(i.call_id, i.name, i.arguments));
      } else if (i.type === 'function_call_output') {
        said.turns.push({ result: i.call_id, text: texts(i.output) });
      } else if (i.role === 'system' || i.role === 'developer') said.system += texts(i.content);
      else said.turns.push({ role: i.role, text: texts(i.content) });
    }
    return said;
  },
  messages(body) {
    const said = {
      system: texts(body.system),
      turns: [],
      tools: body.tools?.map((t) => ({ ...t, parameters: t.input_schema })),
    };
    for (const m of body.messages) {
      const parts = typeof m.content === 'string' ? [{ type: 'text', text: m.content }] : m.content;
      const calls = parts
        .filter((p) => p.type === 'tool_use')
        .map((p) => call(p.id, p.name, p.input));
      for (const p of parts.filter((q) => q.type === 'tool_result'))
        said.turns.push({ result: p.tool_use_id, text: texts(p.content) });
      const text = texts(parts);
      if (calls.length > 0) said.turns.push({ role: m.role, text, calls });
      else if (text) said.turns.push({ role: m.role, text });
    }
    return said;
  },
};

// The conversation up to turn `n` (0..2) as the provider must be told it.
function expected(n) {
  const turns = [{ role: 'user', text: QUESTION }];
  if (n > 0) {
    turns.push({
      role: 'assistant',
      text: ANSWERS[0],
      calls: CITIES.map((city) => ({ name: TOOL.name, args: { city, unit: 'c' } })),
    });
    for (const city of CITIES) turns.push({ text: RESULTS[city], result: city });
  }
  if (n > 1) turns.push({ role: 'assistant', text: ANSWERS[1] }, { role: 'user', text: THANKS });
  return turns;
}

// Ids are the provider's own choice: what counts is that a result names the call it answers.
function check(said) {
  const n = said.turns.length < 2 ? 0 : said.turns.length < 5 ? 1 : 2;
  const ids = {};
  const plain = said.turns.map((t) => ({
    ...t,
    calls: t.calls?.map((c) => ({ name: c.name, args: c.args })),
  }));
  for (const t of said.turns) for (const c of t.calls ?? []) ids[c.id] = c.args.city;
  for (const t of plain) {
    if (t.result) t.result = ids[t.result];
    if (!t.calls) delete t.calls;
  }
  assert.deepEqual(plain, expected(n));
  assert.equal(said.system, SYSTEM);
  assert.deepEqual(
    said.tools?.map((t) => [
      t.name,
      t.description,
      JSON.stringify({ ...t.parameters, $schema: undefined, additionalProperties: undefined }),
    ]),
    [[TOOL.name, TOOL.description, JSON.stringify(SCHEMA)]],
  );
  return n;
}

// ---- What a provider says ----------------------------------------------------------------------

const argument = (city) => JSON.stringify({ city, unit: 'c' });
// In pieces, as models write them.
const pieces = (text) => text.match(/[^]{1,7}/gu);

const openaiUsage = (u) => ({
  prompt_tokens: u.input,
  completion_tokens: u.output,
  total_tokens: u.input + u.output,
  prompt_tokens_details: { cached_tokens: u.cached },
});
const responsesUsage = (u) => ({
  input_tokens: u.input,
  input_tokens_details: { cached_tokens: u.cached },
  output_tokens: u.output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: u.input + u.output,
});
const anthropicUsage = (u) => ({
  input_tokens: u.input - u.cached,
  cache_read_input_tokens: u.cached,
  cache_creation_input_tokens: 0,
  output_tokens: u.output,
});

const makers = {
  chat: {
    answer(n, model) {
      const message = { role: 'assistant', content: ANSWERS[n], refusal: null };
      if (n === 0)
        message.tool_calls = CITIES.map((c, i) => ({
          id: `call_${i}`,
          type: 'function',
          function: { name: TOOL.name, arguments: argument(c) },
        }));
      return {
        id: `chatcmpl-${n}`,
        object: 'chat.completion',
        created: 1700000000,
        model,
        choices: [
          { index: 0, message, logprobs: null, finish_reason: n === 0 ? 'tool_calls' : 'stop' },
        ],
        usage: openaiUsage(USAGE[n]),
      };
    },
    events(n, model) {
      const chunk = (delta, finish = null) => ({
        id: `chatcmpl-${n}`,
        object: 'chat.completion.chunk',
        created: 1700000000,
        model,
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
      });
      const out = [chunk({ role: 'assistant', content: '' })];
      for (const p of pieces(ANSWERS[n])) out.push(chunk({ content: p }));
      for (const [i, c] of n === 0 ? CITIES.entries() : []) {
        const open = {
          index: i,
          id: `call_${i}`,
          type: 'function',
          function: { name: TOOL.name, arguments: '' },
        };
        out.push(chunk({ tool_calls: [open] }));
        for (const p of pieces(argument(c)))
          out.push(chunk({ tool_calls: [{ index: i, function: { arguments: p } }] }));
      }
      out.push(chunk({}, n === 0 ? 'tool_calls' : 'stop'));
      out.push({ ...chunk({}), choices: [], usage: openaiUsage(USAGE[n]) });
      return [...out.map((e) => [null, e]), [null, '[DONE]']];
    },
  },
  responses: {
    answer(n, model) {
      const output = [
        {
          id: `msg_${n}`,
          type: 'message',
          status: 'completed',
          role: 'assistant',
          content: [{ type: 'output_text', text: ANSWERS[n], annotations: [], logprobs: [] }],
        },
      ];
      for (const [i, c] of n === 0 ? CITIES.entries() : [])
        output.push({
          id: `fc_${i}`,
          type: 'function_call',
          status: 'completed',
          call_id: `call_${i}`,
          name: TOOL.name,
          arguments: argument(c),
        });
      return {
        id: `resp_${n}`,
        object: 'response',
        created_at: 1700000000,
        status: 'completed',
        error: null,
        incomplete_details: null,
        instructions: null,
        metadata: {},
        model,
        output,
        parallel_tool_calls: true,
        temperature: 1,
        tool_choice: 'auto',
        tools: [],
        top_p: 1,
        usage: responsesUsage(USAGE[n]),
      };
    },
    events(n, model) {
      const whole = this.answer(n, model);
      const begun = { ...whole, status: 'in_progress', output: [], usage: null };
      const out = [
        { type: 'response.created', response: begun },
        { type: 'response.in_progress', response: begun },
      ];
      for (const [index, item] of whole.output.entries()) {
        const at = { item_id: item.id, output_index: index };
        const added =
          item.type === 'message' ? { ...item, content: [] } : { ...item, arguments: '' };
        out.push({
          type: 'response.output_item.added',
          output_index: index,
          item: { ...added, status: 'in_progress' },
        });
        if (item.type === 'message') {
          const part = item.content[0];
          const place = { ...at, content_index: 0 };
          out.push({ type: 'response.content_part.added', ...place, part: { ...part, text: '' } });
          for (const p of pieces(part.text))
            out.push({ type: 'response.output_text.delta', ...place, delta: p, logprobs: [] });
          out.push({ type: 'response.output_text.done', ...place, text: part.text, logprobs: [] });
          out.push({ type: 'response.content_part.done', ...place, part });
        } else {
          for (const p of pieces(item.arguments))
            out.push({ type: 'response.function_call_arguments.delta', ...at, delta: p });
          out.push({
            type: 'response.function_call_arguments.done',
            ...at,
            name: item.name,
            arguments: item.arguments,
          });
        }
        out.push({ type: 'response.output_item.done', output_index: index, item });
      }
      out.push({ type: 'response.completed', response: whole });
      return out.map((e, i) => [e.type, { ...e, sequence_number: i }]);
    },
  },
  messages: {
    answer(n, model) {
      const content = [{ type: 'text', text: ANSWERS[n] }];
      for (const [i, c] of n === 0 ? CITIES.entries() : [])
        content.push({
          type: 'tool_use',
          id: `toolu_${i}`,
          name: TOOL.name,
          input: { city: c, unit: 'c' },
        });
      return {
        id: `msg_${n}`,
        type: 'message',
        role: 'assistant',
        model,
        content,
        stop_reason: n === 0 ? 'tool_use' : 'end_turn',
        stop_sequence: null,
        usage: anthropicUsage(USAGE[n]),
      };
    },
    events(n, model) {
      const whole = this.answer(n, model);
      const out = [
        {
          type: 'message_start',
          message: {
            ...whole,
            content: [],
            stop_reason: null,
            usage: { ...whole.usage, output_tokens: 1 },
          },
        },
        { type: 'ping' },
      ];
      for (const [index, block] of whole.content.entries()) {
        const text = block.type === 'text';
        out.push({
          type: 'content_block_start',
          index,
          content_block: text ? { type: 'text', text: '' } : { ...block, input: {} },
        });
        for (const p of pieces(text ? block.text : JSON.stringify(block.input)))
          out.push({
            type: 'content_block_delta',
            index,
            delta: text
              ? { type: 'text_delta', text: p }
              : { type: 'input_json_delta', partial_json: p },
          });
        out.push({ type: 'content_block_stop', index });
      }
      out.push({
        type: 'message_delta',
        delta: { stop_reason: whole.stop_reason, stop_sequence: null },
        usage: { output_tokens: USAGE[n].output },
      });
      out.push({ type: 'message_stop' });
      return out.map((e) => [e.type, e]);
    },
  },
};

function answer(dialect, body, response) {
  const json = (status, value) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  let n;
  try {
    n = check(readers[dialect](body));
  } catch (e) {
    const error = { type: 'invalid_request_error', message: `not the conversation: ${e.message}` };
    return json(400, { type: 'error', error });
  }
  if (!body.stream) return json(200, makers[dialect].answer(n, body.model));
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const [type, data] of makers[dialect].events(n, body.model)) {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    response.write(`${type ? `event: ${type}\n` : ''}data: ${text}\n\n`);
  }
  return response.end();
}

// ---- The world ---------------------------------------------------------------------------------

const paths = {
  '/v1/chat/completions': 'chat',
  '/v1/responses': 'responses',
  '/v1/messages': 'messages',
};

export const MODELS = {
  openai: 'openai/gpt-4o-mini',
  anthropic: 'anthropic/claude-sonnet-4-5',
  cerebras: 'cerebras/llama',
};

export async function startWorld() {
  const script = (request, body, response) => {
    const dialect = paths[request.url.split('?')[0]];
    if (dialect) return answer(dialect, body, response);
    response.writeHead(404).end();
    return undefined;
  };
  const provider = await startProvider(script);
  const entry = () => ({
    keys: [{ name: 'k', value: 'sk-provider', weight: 1, models: ['*'] }],
    network_config: { base_url: provider.url },
  });
  const gateway = await startGateway({
    providers: {
      openai: entry(),
      anthropic: entry(),
      cerebras: entry(), // has chat, and no responses
    },
  });
  return {
    provider,
    gateway,
    stop: async () => {
      await gateway.stop();
      await provider.stop();
    },
  };
}

// Run by itself it is the world of another process: it says where it is and lives as long as its
// standard input.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const world = await startWorld();
  console.log(JSON.stringify({ gateway: world.gateway.url }));
  process.stdin.resume();
  process.stdin.on('end', () => world.stop());
}
