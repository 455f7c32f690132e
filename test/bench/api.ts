import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { serveFixtures } from '../../scripts/serve-fixtures.mjs';
import { reportRow } from './measure.ts';

const FOLLOWERS = 100;
const LINES = 200;
const ROUNDS = 5;
const MIXED_REQUESTS = 10_000;
/** What clients that watch ask for again and again. */
const MIXED = [
  ...['/_ping', '/version', '/info', '/containers/json?all=1', '/images/json', '/networks', '/volumes', '/images/busybox/json'],
  ...['/containers/nobody/json', '/events?since=1&until=2', '/system/df', '/images/busybox/history'],
];
/** V8 gives memory back some seconds after the last work. */
const REST_MS = 20_000;
/** Of docker's framing: a byte for the stream, three of nothing, four for the length. */
const FRAME = 8;

type Ask = (method: string, path: string, body?: object) => Promise<http.IncomingMessage>;

/** `bench api`: docker's Engine API of `hypr serve`, by plain requests. Memory counts on a busy host, too; times do not. */
export const benchApi = async (hypr: string, makeHome: () => Promise<string>): Promise<void> => {
  const home = await makeHome();
  const folder = await mkdtemp(join(tmpdir(), 'hypr-bench-api-'));
  const registry = await serveFixtures(['busybox']);
  const env = { ...process.env, HYPR_HOME: home, HYPR_RUNTIME_DIR: join(folder, 'run'), HYPR_REGISTRY_MIRRORS: registry.mirrors };
  const socket = join(folder, 'docker.sock');
  const ask = askOver(socket);
  try {
    let server = await serve(hypr, socket, env);
    try {
      await benchServer(ask, server);
      server = await benchKill(ask, server, () => serve(hypr, socket, env));
    } finally {
      server.kill('SIGTERM');
    }
    await benchFirstConnection(hypr, join(folder, 'first.sock'), env);
  } finally {
    await registry.close();
    await Promise.all([home, folder].map((each) => rm(each, { recursive: true, force: true })));
  }
};

const benchServer = async (ask: Ask, server: ChildProcess): Promise<void> => {
  const pid = server.pid ?? 0;
  const row = (name: string, unit: string, values: readonly number[]): void => reportRow({ name: `api-${name}`, unit, ...spread(values) });
  row('memory-at-rest', 'MiB', [await residentMiB(pid)]);
  await text(await ask('POST', '/images/create?fromImage=busybox&tag=latest'));
  row('run-wait-remove', 's', await times(ROUNDS, () => runOnce(ask)));
  const id = await create(ask, ['sh', '-c', `i=0; while [ $i -lt ${LINES} ]; do echo line-$i; i=$((i+1)); done; exec sleep 1000`]);
  await must(ask('POST', `/containers/${id}/start`));
  try {
    row('containers-json', 'ms', (await times(100, () => must(ask('GET', '/containers/json?all=1')))).map(milliseconds));
    row('exec-true', 's', await times(ROUNDS, () => exec(ask, id)));
    const [followed] = await times(1, () => follow(ask, id));
    row(`${FOLLOWERS}-log-followers`, 's', [followed ?? 0]);
    row('memory-after', 'MiB', [await residentMiB(pid)]);
    for (let index = 0; index < MIXED_REQUESTS; index++) {
      // Some are errors, as they are in life.
      await buffer(await ask('GET', MIXED[index % MIXED.length] ?? '/_ping'));
    }
    row(`memory-after-${MIXED_REQUESTS}-requests`, 'MiB', [await residentMiB(pid)]);
    await sleep(REST_MS);
    row('memory-at-rest-again', 'MiB', [await residentMiB(pid)]);
  } finally {
    await must(ask('DELETE', `/containers/${id}?force=1`));
  }
};

/** One machine goes on while its server is killed: from the start of the next until it has told of it. */
const benchKill = async (ask: Ask, server: ChildProcess, again: () => Promise<ChildProcess>): Promise<ChildProcess> => {
  const id = await create(ask, ['sleep', '1000']);
  await must(ask('POST', `/containers/${id}/start`));
  server.kill('SIGKILL');
  await once(server, 'exit');
  const begun = performance.now();
  const next = await again();
  const { State } = JSON.parse((await must(ask('GET', `/containers/${id}/json`))).toString()) as { State: { Running: boolean } };
  reportRow({ name: 'api-next-server-sees-it', unit: 's', ...spread([seconds(begun)]), running: State.Running });
  await must(ask('DELETE', `/containers/${id}?force=1`));
  return next;
};

/** With a socket from systemd, the first connection starts it: from there to its first answer. */
const benchFirstConnection = async (hypr: string, socket: string, env: NodeJS.ProcessEnv): Promise<void> => {
  const values: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    const server = await serve(hypr, socket, env);
    await must(askOver(socket)('GET', '/_ping'));
    values.push(seconds(begun));
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  reportRow({ name: 'api-start-to-first-answer', unit: 's', ...spread(values) });
};

const serve = async (hypr: string, socket: string, env: NodeJS.ProcessEnv): Promise<ChildProcess> => {
  const server = spawn(hypr, ['serve', '--socket', socket], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  for await (const chunk of server.stderr as AsyncIterable<Buffer>) {
    if (chunk.includes('DOCKER_HOST')) {
      break;
    }
  }
  return server;
};

const askOver =
  (socketPath: string): Ask =>
  async (method, path, body) => {
    const request = http.request({ socketPath, method, path, agent: false, headers: body && { 'content-type': 'application/json' } });
    request.end(body && JSON.stringify(body));
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return response;
  };

/** The body of an answer that is no error. */
const must = async (asked: Promise<http.IncomingMessage>): Promise<Buffer> => {
  const response = await asked;
  const body = await buffer(response);
  if ((response.statusCode ?? 500) >= 400) {
    throw new Error(`${response.statusCode}: ${body}`);
  }
  return body;
};

const create = async (ask: Ask, command: readonly string[]): Promise<string> => {
  const made = await must(ask('POST', '/containers/create', { Image: 'busybox', Cmd: command, StopTimeout: 0 }));
  return (JSON.parse(made.toString()) as { Id: string }).Id;
};

const runOnce = async (ask: Ask): Promise<void> => {
  const id = await create(ask, ['true']);
  await must(ask('POST', `/containers/${id}/start`));
  await must(ask('POST', `/containers/${id}/wait`));
  await must(ask('DELETE', `/containers/${id}`));
};

const exec = async (ask: Ask, id: string): Promise<void> => {
  const made = await must(ask('POST', `/containers/${id}/exec`, { Cmd: ['true'], AttachStdout: true }));
  const { Id } = JSON.parse(made.toString()) as { Id: string };
  await must(ask('POST', `/exec/${Id}/start`, {}));
};

/** Everybody has all lines, then goes. */
const follow = async (ask: Ask, id: string): Promise<void> => {
  const bytes = Array.from({ length: LINES }, (_, line) => `line-${line}\n`.length + FRAME).reduce((sum, each) => sum + each);
  await Promise.all(
    Array.from({ length: FOLLOWERS }, async () => {
      const response = await ask('GET', `/containers/${id}/logs?follow=1&stdout=1`);
      let got = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        got += chunk.length;
        if (got >= bytes) {
          break;
        }
      }
      response.destroy();
      if (got !== bytes) {
        throw new Error(`a follower had ${got} bytes, not ${bytes}`);
      }
    }),
  );
};

const times = async (rounds: number, work: () => Promise<unknown>): Promise<number[]> => {
  const values: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now();
    await work();
    values.push(seconds(begun));
  }
  return values;
};

const seconds = (begun: number): number => (performance.now() - begun) / 1000;
const milliseconds = (value: number): number => value * 1000;

const spread = (values: readonly number[]): object => {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)], min: sorted[0], max: sorted.at(-1), runs: sorted.length };
};

/** What belongs to it alone, as `Pss` says; Node's program is shared with other processes of hypr. */
const residentMiB = async (pid: number): Promise<number> =>
  Number(/^Pss:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024;
