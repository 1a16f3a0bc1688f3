// SPDX-License-Identifier: Apache-2.0
//
// A scripted provider and the real binary, for conversations held by official SDKs.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = process.env.RINGGATE_BIN ?? path.join(root, 'build', 'ringgate');
const flags = (process.env.RINGGATE_FLAGS ?? '').split(' ').filter(Boolean);

// `script(request, body, response)` answers; the provider remembers what it was asked.
export async function startProvider(script) {
  const seen = [];
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (d) => parts.push(d));
    request.on('end', () => {
      const text = Buffer.concat(parts).toString();
      const body = text ? JSON.parse(text) : undefined;
      seen.push({ method: request.method, url: request.url, headers: request.headers, body });
      script(request, body, response);
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    seen,
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () =>
      new Promise((done) => {
        server.closeAllConnections();
        server.close(done);
      }),
  };
}

export async function startGateway(config) {
  const home = mkdtempSync(path.join(tmpdir(), 'ringgate-sdk-'));
  // The SDKs' agents keep connections that nobody will use again: a stop does not wait for them.
  const whole = { server: { drain_timeout_s: 0 }, ...config };
  writeFileSync(path.join(home, 'config.json'), JSON.stringify(whole));
  const place = ['-app-dir', home, '-shared-dir', path.join(home, 'shared')];
  const child = spawn(binary, ['-port', '0', '-host', '127.0.0.1', ...place, ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  const port = await new Promise((done, fail) => {
    child.stderr.on('data', (d) => {
      log += d;
      const started = /successfully started.*?http:\/\/[^\s"]*?:(\d+)/.exec(log);
      if (started) done(Number(started[1]));
    });
    child.on('exit', (code) => fail(new Error(`the gateway ended with ${code}:\n${log}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    log: () => log,
    stop: () =>
      new Promise((done, fail) => {
        child.removeAllListeners('exit');
        child.on('exit', (code) => {
          rmSync(home, { recursive: true, force: true });
          if (code === 0) done();
          else fail(new Error(`exit ${code}:\n${log}`));
        });
        child.kill('SIGTERM');
      }),
  };
}

export function providerConfig(url, members = {}) {
  return {
    providers: {
      openai: {
        keys: [{ name: 'k', value: 'sk-provider', weight: 1, models: ['*'] }],
        network_config: { base_url: url },
        ...members,
      },
    },
  };
}
