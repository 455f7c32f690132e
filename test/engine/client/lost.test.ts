import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { BYTES_TYPE } from '../../../engine/api/byte-codec.ts';
import { CallError, fromCallError } from '../../../engine/api/call-error.ts';
import { END, envelope } from '../../../engine/api/envelope.ts';
import { checkSupervisors, tellOtherVersions } from '../../../engine/client/check-supervisors.ts';
import { SupervisorLink } from '../../../engine/client/link/supervisor-link.ts';
import { StackClient } from '../../../engine/client/stack-client.ts';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { stackPaths } from '../../../engine/model/stack-paths.ts';
import type { ExecSession, RunOptions } from '../../../engine/model/types.ts';
import { API_VERSION, VERSION } from '../../../engine/model/version.ts';
import { openStateStore } from '../../../engine/state/store.ts';
import { projectOf } from '../support/project.ts';

/** Supervisors that say something, and then nothing more: every command has to notice. */

afterEach(() => vi.unstubAllEnvs());

/** How its stream stops: the connection breaks, as when the supervisor is killed, or it ends as if all were well. */
type Ending = 'cut' | 'end';

const INFO = { version: '1', stack: 'shop', pid: process.pid, api: API_VERSION };

const serve = async (
  messages: readonly object[],
  ending: Ending,
  info: object = INFO,
  answer?: object,
  onNotice: (message: string) => void = () => {},
): Promise<StackClient> => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-lost-'));
  vi.stubEnv('HYPR_HOME', join(dir, 'home'));
  vi.stubEnv('HYPR_RUNTIME_DIR', join(dir, 'r'));
  const { apiSocket } = stackPaths('shop');
  await mkdir(dirname(apiSocket), { recursive: true });
  const server = http.createServer((request, response) => {
    request.resume();
    const whole = request.url?.endsWith('/Info') ? info : answer;
    if (whole !== undefined) {
      response.end(JSON.stringify(whole));
      return;
    }
    response.writeHead(200, { 'content-type': request.headers['content-type'] ?? BYTES_TYPE });
    response.write(Buffer.concat(messages.map((message) => envelope(0, Buffer.from(JSON.stringify(message))))), () => {
      if (ending === 'cut') {
        response.destroy();
      } else {
        response.end(envelope(END, Buffer.from('{}')));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(apiSocket, resolve));
  const client = new StackClient('shop', onNotice);
  onTestFinished(async () => {
    await client.close();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return client;
};

const EXEC = {
  service: 'web',
  index: undefined,
  args: ['sh'],
  env: [],
  user: undefined,
  workdir: undefined,
  tty: false,
  stdin: true,
  detach: false,
  privileged: false,
  size: undefined,
};
const PLACE = { service: 'web', index: undefined, path: '/' };
const project = projectOf({ web: {} });
const run = (client: StackClient, more: object = {}) =>
  client.run(
    project,
    { service: 'web', args: [], detach: false, remove: 'no', pull: 'policy', ...more } as unknown as RunOptions,
    () => {},
  );
const created = { created: { id: 'ab', name: 'shop-web-run-ab' } };

/** What a command learns: the failure of the output, and that of the exit code. */
const learn = async (session: Promise<ExecSession>) => {
  try {
    const opened = await session;
    for await (const _ of opened.output) {
      // To the end.
    }
    return await opened.exitCode;
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
};

describe.each(['cut', 'end'] as const)('a stream that stops (%s) without an exit code', (ending) => {
  test.each([
    ['before it starts', []],
    ['when it runs', [{ started: 7 }]],
  ])('exec %s is SUPERVISOR_LOST', async (_, messages) => {
    expect(await learn((await serve(messages, ending)).exec(EXEC))).toBe('SUPERVISOR_LOST');
  });

  test.each([
    ['before it is attached', []],
    ['when it is', [{ attached: { replica: 'shop-web-1' } }, { started: 7 }]],
  ])('attach %s is SUPERVISOR_LOST', async (_, messages) => {
    const client = await serve(messages, ending);
    expect(await learn(client.attach({ service: 'web', index: undefined }))).toBe('SUPERVISOR_LOST');
  });

  test.each([
    ['before it exists', [{ event: { progress: { id: 'Network n' } } }], {}],
    ['before it starts', [created], {}],
    ['when it runs', [created, { started: 7 }], {}],
    ['before it starts, detached', [created], { detach: true }],
  ])('run %s is SUPERVISOR_LOST', async (_, messages, more) => {
    expect(await learn(run(await serve(messages, ending), more))).toBe('SUPERVISOR_LOST');
  });

  test('up, events and copies fail', async () => {
    const client = await serve([], ending);
    const code = (work: Promise<unknown>) =>
      work.then(
        () => 'nothing',
        (error) => error.code,
      );
    expect(await code(client.up(project, UP_DEFAULTS, () => {}))).toBe('SUPERVISOR_GONE');
    expect(await code(client.events({ logs: true, usage: false })[Symbol.asyncIterator]().next())).toBe('SUPERVISOR_GONE');
    expect(await code(client.copyTo(PLACE, (async function* () {})()))).toMatch(/^SUPERVISOR_/);
    if (ending === 'cut') {
      expect(await code(client.copyFrom(PLACE).next())).toBe('SUPERVISOR_GONE');
      expect(await code(client.wait(['web']))).toBe('SUPERVISOR_GONE');
    }
  });
});

test('an exit code is one whatever ends the stream, and a detached program needs none', async () => {
  expect(await learn((await serve([{ started: 7 }, { exitCode: 0 }], 'end')).exec(EXEC))).toBe(0);
  expect(await learn(run(await serve([created, { started: 7 }], 'end'), { detach: true }))).toBe(0);
  expect(await learn((await serve([{ started: 7 }], 'end')).exec({ ...EXEC, detach: true }))).toBe(0);
});

/** What `ls` and `doctor` find stacks by. */
const recordStack = (): void => {
  const store = openStateStore(homePaths().database);
  store.putStack({ name: 'shop', workingDir: '/', files: [], project, supervisor: undefined, createdAt: 1 });
  store.close();
};

test('doctor’s check of supervisors fails, and throws nothing, where the database is damaged', async () => {
  await serve([], 'end');
  recordStack();
  const database = new Database(homePaths().database);
  database.prepare("UPDATE stacks SET project_json = '{'").run();
  database.close();
  expect(await checkSupervisors()).toMatchObject({
    id: 'supervisors',
    status: 'fail',
    detail: expect.stringContaining('damaged'),
    fix: expect.stringContaining('hypr system check --repair'),
  });
});

test('doctor’s check of supervisors ends with its signal', async () => {
  await serve([], 'end');
  recordStack();
  await expect(checkSupervisors(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
});

describe('a supervisor of another version', () => {
  test.each([
    ['older, from before versions were told', { version: '0.0.9', stack: 'shop', pid: 77 }, /is of an older hypr \(0\.0\.9, API 0\)/],
    ['newer', { ...INFO, version: '9', pid: 77, api: API_VERSION + 1 }, /is of a newer hypr/],
  ])('%s, is told of with what to do', async (_, info, message) => {
    const client = await serve([], 'end', info);
    await expect(client.ps()).rejects.toMatchObject({
      code: 'SUPERVISOR_VERSION',
      message: expect.stringMatching(message),
      hint: expect.stringContaining('kill 77'),
    });
  });

  test('that is understood is told of once, by ps and up, with what to do', async () => {
    const told: string[] = [];
    const client = await serve([], 'end', { ...INFO, version: '0.0.9', pid: 77 }, { replicas: [] }, (message) => told.push(message));
    recordStack();
    await client.ps();
    await client.ps();
    expect(told).toEqual([
      `the supervisor of shop is of hypr 0.0.9, this command of ${VERSION}, which both understand; end it: kill 77. Its machines run on, and the next command starts a supervisor that takes them over`,
    ]);
    expect(await checkSupervisors()).toMatchObject({
      status: 'warn',
      detail: `that of shop is of hypr 0.0.9; this is ${VERSION}`,
      fix: expect.stringContaining('kill 77'),
    });
    const notices: string[] = [];
    await tellOtherVersions((message) => notices.push(message));
    expect(notices).toEqual([
      expect.stringMatching(/^events of older supervisors may be missing: that of shop is of hypr 0\.0\.9; this is \S+; kill 77 /),
    ]);
    const same = await serve([], 'end', { ...INFO, version: VERSION }, { replicas: [] }, (message) => told.push(message));
    recordStack();
    await same.ps();
    expect(told).toHaveLength(1);
    await tellOtherVersions((message) => notices.push(message));
    expect(notices).toHaveLength(1);
    expect(await checkSupervisors()).toMatchObject({ status: 'ok', detail: `1 runs, of this hypr (${VERSION})` });
  });

  test('that lacks a call is told of with what to do', async () => {
    const error = fromCallError(new CallError('unimplemented', 'hypr.v1.Supervisor.UpdateReplica is not implemented'));
    expect(error).toMatchObject({
      code: 'SUPERVISOR_VERSION',
      message: expect.stringContaining('UpdateReplica is not implemented'),
      hint: expect.stringContaining('the next command starts a supervisor that takes them over'),
    });
    expect(error.isUserError).toBe(true);
    await serve([], 'end', { ...INFO, pid: 77 });
    const link = new SupervisorLink({ stack: 'shop', paths: homePaths(), isNeeded: async () => false });
    onTestFinished(() => link.close());
    await link.ifRunning(() => {});
    const known = link.failureOf(new CallError('unimplemented', 'UpdateReplica is not implemented'));
    expect(known).toMatchObject({ code: 'SUPERVISOR_VERSION', hint: expect.stringContaining('end it: kill 77.') });
    expect(link.failureOf(new CallError('unavailable', 'cut')).code).toBe('SUPERVISOR_GONE');
  });

  test('that knows more is understood; one that says too little is told of', async () => {
    const more = { replicas: [{ id: 'a', name: 'shop-web-1', service: 'web', state: 'REPLICA_STATE_MOVING', new: [1] }], other: {} };
    const client = await serve([], 'end', INFO, more);
    expect(await client.ps()).toMatchObject([{ name: 'shop-web-1', state: 'moving', exitCode: 0 }]);
    const less = await serve([], 'end', INFO, { replicas: [{ id: 'a', state: 'REPLICA_STATE_RUNNING' }] });
    await expect(less.ps()).rejects.toMatchObject({
      code: 'SUPERVISOR_VERSION',
      message: expect.stringMatching(/without the name of a replica/),
    });
  });
});
