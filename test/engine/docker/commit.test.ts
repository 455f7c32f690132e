import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type ErrorCode, HyprError } from '../../../base/errors.ts';
import { Query } from '../../../engine/docker/http/query.ts';
import type { Call } from '../../../engine/docker/http/router.ts';
import type { Host } from '../../../engine/docker/machines/host.ts';
import { containerRoutes } from '../../../engine/docker/routes/containers.ts';

/** Commits a machine whose guest goes at the first try; `after` is its state then. Gives the answer and how often it was tried. */
const commit = async (
  before: string,
  after: string,
  code: ErrorCode = 'GUEST_LOST',
  reason?: string,
): Promise<{ answer: unknown; tries: number; leftOut: readonly string[] }> => {
  let tries = 0;
  let leftOut: readonly string[] = [];
  const file = (source: object, path: string) => ({ source, path, mode: 0o644, uid: 0, gid: 0 });
  const files = [file({ file: '/run/my-secret' }, '/run/secrets/own')];
  const machine = () => ({
    stack: 's',
    requestLabels: {},
    status: { id: 'b', name: 'web', service: 'web', number: 1, state: tries === 0 ? before : after, imageId: 'i' },
    spec: { process: { args: ['true'], env: [], cwd: '/', user: '' }, mounts: [], files, labels: {}, exposed: [] },
  });
  const images = {
    inspect: async () => ({ config: {} }),
    commit: async ({ leaveOut }: { leaveOut: readonly string[] }) => {
      leftOut = leaveOut;
      tries++;
      if (tries === 1) {
        throw new HyprError(code, 'the channel to the guest is gone', reason === undefined ? {} : { reason });
      }
      return { id: 'sha256:made' };
    },
  };
  const host = {
    find: machine,
    images: async () => images,
    withStack: (_: string, use: (stack: object) => unknown) =>
      use({
        copyFrom: () => {},
      }),
    objects: { replicas: () => [machine()] },
    events: { tell: () => {} },
  } as unknown as Host;
  let answer: unknown;
  const call = {
    params: {},
    query: new Query(new URLSearchParams('container=web')),
    reply: { json: (value: unknown) => (answer = value) },
    signal: new AbortController().signal,
  } as unknown as Call;
  await containerRoutes(host)['POST /commit']?.(call);
  return { answer, tries, leftOut };
};

describe('a commit', () => {
  test('is made of the disk when the machine ends while its files are read', async () => {
    expect(await commit('running', 'exited')).toMatchObject({ answer: { Id: 'sha256:made' }, tries: 2 });
  });

  test('has no secrets', async () => {
    const { leftOut } = await commit('running', 'exited');
    expect(leftOut).toContain('/run/secrets/own');
  });

  test('fails at once for what has nothing to do with its end', async () => {
    await expect(commit('running', 'exited', 'IMAGE_REFERENCE')).rejects.toMatchObject({ code: 'IMAGE_REFERENCE' });
  });

  test('is made of the disk, too, when the machine’s power-off took the guest’s helper along', async () => {
    expect(await commit('running', 'exited', 'GUEST_REFUSED')).toMatchObject({ answer: { Id: 'sha256:made' }, tries: 2 });
    for (const reason of ['machine', 'archive'] as const) {
      expect(await commit('running', 'exited', 'GUEST_REFUSED', reason)).toMatchObject({ tries: 2 });
    }
    await expect(commit('running', 'exited', 'GUEST_REFUSED', 'notFound')).rejects.toMatchObject({ code: 'GUEST_REFUSED' });
  });

  test('fails with what the guest says when its machine goes on', async () => {
    const signal = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(AbortSignal.abort());
    onTestFinished(() => signal.mockRestore());
    await expect(commit('running', 'running', 'GUEST_REFUSED', 'machine')).rejects.toMatchObject({
      code: 'GUEST_REFUSED',
      reason: 'machine',
    });
  });

  test('is a conflict when the machine neither ends nor answers', async () => {
    const signal = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(AbortSignal.abort());
    onTestFinished(() => signal.mockRestore());
    await expect(commit('running', 'running')).rejects.toMatchObject({ status: 409, message: expect.stringContaining('try again') });
  });

  test('is tried again with the next supervisor when the one of a machine that is off was just ending', async () => {
    expect(await commit('exited', 'exited', 'SUPERVISOR_GONE')).toMatchObject({ answer: { Id: 'sha256:made' }, tries: 2 });
  });

  test('fails when the machine did not run before', async () => {
    await expect(commit('exited', 'exited')).rejects.toThrow('the channel to the guest is gone');
  });
});
