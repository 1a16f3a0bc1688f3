// SPDX-License-Identifier: Apache-2.0
//
// The official openai client in front of ringgate, on both mounts: what applications do in a day.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { providerConfig, startGateway, startProvider } from './harness.mjs';

const usage = { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21 };
const chunk = (delta, finish = null, more = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1700000000,
  model: 'gpt-4o-mini',
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
});
const response = {
  id: 'resp_1',
  object: 'response',
  created_at: 1700000000,
  status: 'completed',
  model: 'gpt-4o-mini',
  error: null,
  incomplete_details: null,
  parallel_tool_calls: true,
  tools: [],
  output: [
    {
      type: 'message',
      id: 'msg_1',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'Hello.', annotations: [] }],
    },
  ],
  usage: { input_tokens: 9, output_tokens: 2, total_tokens: 11 },
};

let closed; // resolves when the provider's side of an aborted stream has closed
let provider;
let gateway;

function send(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_1' });
  res.end(JSON.stringify(body));
}

function stream(res, events, { named = false, done = true } = {}) {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const e of events) {
    res.write(`${named ? `event: ${e.type}\n` : ''}data: ${JSON.stringify(e)}\n\n`);
  }
  if (done) res.write('data: [DONE]\n\n');
  res.end();
}

function chat(body, res) {
  if (body.model === 'nope') {
    return send(res, 404, {
      error: {
        message: 'no such model',
        type: 'invalid_request_error',
        code: 'model_not_found',
        param: 'model',
      },
    });
  }
  if (body.model === 'endless') {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(`data: ${JSON.stringify(chunk({ content: 'one' }))}\n\n`);
    res.on('close', closed);
    return undefined;
  }
  if (body.tools && body.messages.at(-1).role === 'user') {
    const calls = ['Paris', 'Oslo'].map((city, index) => ({
      index,
      id: `call_${index}`,
      type: 'function',
      function: { name: 'weather', arguments: JSON.stringify({ city }) },
    }));
    if (!body.stream) {
      return send(res, 200, {
        id: 'c',
        object: 'chat.completion',
        created: 1,
        model: body.model,
        usage,
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: null, tool_calls: calls },
            finish_reason: 'tool_calls',
          },
        ],
      });
    }
    const deltas = calls.flatMap((c) => [
      chunk({ tool_calls: [{ ...c, function: { name: 'weather', arguments: '' } }] }),
      ...[...c.function.arguments].map((a) =>
        chunk({ tool_calls: [{ index: c.index, function: { arguments: a } }] }),
      ),
    ]);
    return stream(res, [
      chunk({ role: 'assistant' }),
      ...deltas,
      chunk({}, 'tool_calls'),
      { ...chunk({}), choices: [], usage },
    ]);
  }
  const words = ['Sunny ', 'in ', 'Paris.'];
  if (!body.stream) {
    return send(res, 200, {
      id: 'c',
      object: 'chat.completion',
      created: 1,
      model: body.model,
      usage,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: words.join('') },
          finish_reason: 'stop',
        },
      ],
    });
  }
  return stream(res, [
    chunk({ role: 'assistant', content: '' }),
    ...words.map((w) => chunk({ content: w })),
    chunk({}, 'stop'),
    ...(body.stream_options?.include_usage ? [{ ...chunk({}), choices: [], usage }] : []),
  ]);
}

function script(request, body, res) {
  const url = request.url;
  if (url.endsWith('/chat/completions')) return chat(body, res);
  if (url.endsWith('/embeddings')) {
    return send(res, 200, {
      object: 'list',
      model: body.model,
      data: [{ object: 'embedding', index: 0, embedding: [0.5, -0.25] }],
      usage: { prompt_tokens: 1, total_tokens: 1 },
    });
  }
  if (url.endsWith('/models')) {
    return send(res, 200, {
      object: 'list',
      data: [{ id: 'gpt-4o-mini', object: 'model', created: 1, owned_by: 'openai' }],
    });
  }
  if (url.endsWith('/responses')) {
    if (!body.stream) return send(res, 200, response);
    return stream(
      res,
      [
        {
          type: 'response.created',
          sequence_number: 0,
          response: { ...response, status: 'in_progress', output: [] },
        },
        {
          type: 'response.output_text.delta',
          sequence_number: 1,
          item_id: 'msg_1',
          output_index: 0,
          content_index: 0,
          delta: 'Hello.',
          logprobs: [],
        },
        { type: 'response.completed', sequence_number: 2, response },
      ],
      { named: true, done: false },
    );
  }
  return send(res, 404, { error: { message: 'no' } });
}

before(async () => {
  provider = await startProvider(script);
  gateway = await startGateway(providerConfig(provider.url));
});

after(async () => {
  await gateway.stop();
  await provider.stop();
});

const tools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      parameters: { type: 'object', properties: { city: { type: 'string' } } },
    },
  },
];

for (const [mount, prefix] of [
  ['/v1', 'openai/'],
  ['/openai/v1', ''],
  ['/openai', ''],
]) {
  const client = () =>
    new OpenAI({ apiKey: 'sk-client', baseURL: gateway.url + mount, maxRetries: 0 });
  const model = `${prefix}gpt-4o-mini`;

  test(`${mount}: three turns with two parallel tools`, async () => {
    const messages = [{ role: 'user', content: 'Weather in Paris and Oslo?' }];
    const first = await client().chat.completions.create({ model, messages, tools });
    const calls = first.choices[0].message.tool_calls;
    assert.deepEqual(
      calls.map((c) => JSON.parse(c.function.arguments).city),
      ['Paris', 'Oslo'],
    );
    assert.equal(first.choices[0].finish_reason, 'tool_calls');
    messages.push(
      first.choices[0].message,
      ...calls.map((c) => ({ role: 'tool', tool_call_id: c.id, content: 'sunny' })),
    );
    const second = await client().chat.completions.create({ model, messages, tools });
    assert.equal(second.choices[0].message.content, 'Sunny in Paris.');
    messages.push(second.choices[0].message, { role: 'user', content: 'Thanks' });
    const third = await client().chat.completions.create({ model, messages });
    assert.equal(third.usage.total_tokens, 21);
    assert.equal(provider.seen.at(-1).headers.authorization, 'Bearer sk-provider');
  });

  test(`${mount}: a stream`, async () => {
    const s = await client().chat.completions.create({
      model,
      stream: true,
      messages: [{ role: 'user', content: 'hi' }],
    });
    let text = '';
    let finish;
    for await (const c of s) {
      text += c.choices[0]?.delta?.content ?? '';
      finish = c.choices[0]?.finish_reason ?? finish;
    }
    assert.equal(text, 'Sunny in Paris.');
    assert.equal(finish, 'stop');
  });

  test(`${mount}: a stream with tools and usage, gathered by the SDK`, async () => {
    const runner = client().chat.completions.stream({
      model,
      tools,
      stream_options: { include_usage: true },
      messages: [{ role: 'user', content: 'Weather?' }],
    });
    const final = await runner.finalChatCompletion();
    assert.deepEqual(
      final.choices[0].message.tool_calls.map((c) => c.function.arguments),
      ['{"city":"Paris"}', '{"city":"Oslo"}'],
    );
    assert.equal(final.usage.total_tokens, 21);
  });

  test(`${mount}: embeddings`, async () => {
    const got = await client().embeddings.create({
      model,
      input: 'hello',
      encoding_format: 'float',
    });
    assert.deepEqual(got.data[0].embedding, [0.5, -0.25]);
  });

  test(`${mount}: responses, whole and streamed`, async () => {
    assert.equal((await client().responses.create({ model, input: 'hi' })).output_text, 'Hello.');
    const types = [];
    for await (const e of await client().responses.create({ model, input: 'hi', stream: true }))
      types.push(e.type);
    assert.deepEqual(types, [
      'response.created',
      'response.output_text.delta',
      'response.completed',
    ]);
  });

  test(`${mount}: models`, async () => {
    const ids = [];
    for await (const m of client().models.list()) ids.push(m.id);
    assert.ok(
      ids.some((id) => id.endsWith('gpt-4o-mini')),
      ids.join(),
    );
  });

  test(`${mount}: a provider's error arrives as the SDK's own class`, async () => {
    await assert.rejects(
      client().chat.completions.create({
        model: `${prefix}nope`,
        messages: [{ role: 'user', content: 'x' }],
      }),
      (e) =>
        e instanceof OpenAI.NotFoundError &&
        e.code === 'model_not_found' &&
        /no such model/.test(e.message),
    );
    await assert.rejects(
      client().chat.completions.create({ model, messages: 'x' }),
      (e) => e instanceof OpenAI.BadRequestError && /messages/.test(e.message),
    );
  });

  test(`${mount}: abort reaches the provider`, async () => {
    const gone = new Promise((done) => {
      closed = done;
    });
    const s = await client().chat.completions.create({
      model: `${prefix}endless`,
      stream: true,
      messages: [{ role: 'user', content: 'x' }],
    });
    for await (const c of s) {
      assert.equal(c.choices[0].delta.content, 'one');
      s.controller.abort();
    }
    await gone;
  });
}
