import { fromJson } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { Service } from '../../../../compose/model/model.ts';
import { RunInputSchema } from '../../../../engine/api/gen/hypr_pb.ts';
import { runJson } from '../../../../engine/api/messages/requests.ts';
import { runStream } from '../../../../engine/api/server/run-stream.ts';
import { RUN_DEFAULTS } from '../../../../engine/model/option-defaults.ts';
import type { RunOptions } from '../../../../engine/model/types.ts';
import type { FakeProcess } from '../../support/fake-guest.ts';
import { openTestStack, shopOf, type TestStack } from '../../support/stack.ts';

const NONE = new AbortController().signal;
const HOOKED: Service = { post_start: [{ command: ['first'] }, { command: ['second'] }], pre_stop: [{ command: ['last'] }] };

/** `compose run` of the service web; gives what the stream said in the end: what failed, and the code. */
const runWeb = async (stack: TestStack, web: Service, options: Partial<RunOptions> = {}) => {
  const start = runJson(shopOf(stack, { web }), { ...RUN_DEFAULTS, service: 'web', name: 'job', ...options });
  const input = (async function* () {
    yield fromJson(RunInputSchema, JSON.parse(JSON.stringify({ start })));
    await new Promise(() => {});
  })();
  const said: { errors: string[]; exitCode: number | undefined } = { errors: [], exitCode: undefined };
  for await (const { output } of runStream(stack.supervisor, input, NONE)) {
    if (output.case === 'event' && output.value.event.case === 'error') {
      said.errors.push(output.value.event.value.message ?? '');
    } else if (output.case === 'exitCode') {
      said.exitCode = output.value;
    }
  }
  return said;
};

/** Ends each hook with its code, and the workload with `workload` once the hook `after` was asked for. */
const follow = (stack: TestStack, wanted: { codes?: Record<string, number>; after: string; workload: number }): string[] => {
  const ran: string[] = [];
  const spawn = ({ args: [name = ''] }: { args: readonly string[] }, process: FakeProcess) => {
    ran.push(name);
    process.end({ code: wanted.codes?.[name] ?? 0, oomKilled: false });
    if (name === wanted.after) {
      stack.platform.guest('job').end(wanted.workload);
    }
  };
  stack.platform.behave('job', { spawn });
  stack.platform.behave('other', { spawn });
  return ran;
};

describe('the post_start hooks of a one-off', () => {
  test('run beside its workload, in their order', async () => {
    const stack = openTestStack();
    const ran = follow(stack, { after: 'second', workload: 0 });
    expect(await runWeb(stack, HOOKED)).toEqual({ errors: [], exitCode: 0 });
    expect(ran).toEqual(['first', 'second']);
  });

  test('one that fails fails a run whose workload ends with 0', async () => {
    const stack = openTestStack();
    const ran = follow(stack, { codes: { first: 3 }, after: 'first', workload: 0 });
    expect(await runWeb(stack, HOOKED)).toEqual({
      errors: ['web hook exited with status 3: the post_start hook "first" of job'],
      exitCode: 1,
    });
    expect(ran).toEqual(['first']);
  });

  test('one that fails is not what is told of a run whose workload failed', async () => {
    const stack = openTestStack();
    follow(stack, { codes: { first: 3 }, after: 'first', workload: 9 });
    expect(await runWeb(stack, HOOKED)).toEqual({ errors: [], exitCode: 9 });
  });

  test('one that the end of the workload cut off fails the run', async () => {
    const stack = openTestStack();
    stack.platform.behave('job', { spawn: () => stack.platform.guest('job').end(0) });
    const { errors, exitCode } = await runWeb(stack, HOOKED, { remove: 'replica' });
    expect(errors).toEqual([expect.stringContaining('the post_start hook "first" of job')]);
    expect(exitCode).toBe(1);
    expect(stack.states()).toEqual({});
  });

  test('run -d waits for them, and fails with them while the one-off runs on', async () => {
    const stack = openTestStack();
    const ran = follow(stack, { after: '', workload: 0 });
    expect(await runWeb(stack, HOOKED, { detach: true })).toEqual({ errors: [], exitCode: undefined });
    expect(ran).toEqual(['first', 'second']);
    await stack.verb('kill', { replicas: ['job'], signal: 'SIGKILL' });
    await stack.reach('job', 'exited');
    await stack.down({ removeOrphans: true });
    follow(stack, { codes: { second: 4 }, after: '', workload: 0 });
    expect(await runWeb(stack, HOOKED, { detach: true })).toMatchObject({ errors: [expect.stringContaining('"second"')], exitCode: 1 });
    expect(stack.states()).toEqual({ job: 'running' });
  });
});

describe('the pre_stop hooks of a one-off', () => {
  test('are run by down, and by no stop of it by its name', async () => {
    const stack = openTestStack();
    const ran = follow(stack, { after: '', workload: 0 });
    await runWeb(stack, HOOKED, { detach: true });
    await stack.verb('stop', { replicas: ['job'] });
    expect(ran).toEqual(['first', 'second']);
    await runWeb(stack, HOOKED, { detach: true, name: 'other' });
    ran.length = 0;
    await stack.down({ removeOrphans: true });
    expect(ran).toEqual(['last']);
    expect(stack.states()).toEqual({});
  });
});

describe('down without --remove-orphans', () => {
  test('leaves one-offs, and the network of what runs', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { web: {} });
    await stack.up(project);
    await runWeb(stack, {}, { detach: true });
    await stack.down({ volumes: true }, project);
    expect(stack.states()).toEqual({ job: 'running' });
    expect(stack.store.networks('shop').map(({ key }) => key)).toEqual(['default']);
    await stack.verb('kill', { replicas: ['job'], signal: 'SIGKILL' });
    await stack.reach('job', 'exited');
    await stack.down({}, project);
    expect(stack.states()).toEqual({ job: 'exited' });
    expect(stack.store.networks('shop')).toEqual([]);
    await stack.down({ removeOrphans: true }, project);
    expect(stack.states()).toEqual({});
  });
});
