import { afterEach, expect, test, vi } from 'vitest';
import { isGone } from '../../../base/host/process.ts';
import type { Launched } from '../../../vmm/qemu/launch.ts';
import { saveAndEnd } from '../../../vmm/template/staging.ts';

const killed: unknown[] = [];
vi.mock('../../../base/host/process.ts', async (original) => ({
  ...(await original<object>()),
  isGone: vi.fn(),
  signalProcess: (...args: unknown[]) => killed.push(args),
}));
afterEach(() => void killed.splice(0));

/** A QEMU that saves at once. */
const launched = (): Launched => {
  let tell: (event: object) => void = () => {};
  const qmp = {
    run: async (command: string) => {
      if (command === 'migrate') {
        tell({ event: 'MIGRATION', data: { status: 'completed' } });
      }
    },
    onEvent: (listener: (event: object) => void) => {
      tell = listener;
    },
    closed: new Promise(() => {}),
  };
  return { qmp, process: { pid: 4711, startTime: '1' }, child: {} } as unknown as Launched;
};

test('a machine that was saved and has ended has left a template', async () => {
  vi.mocked(isGone).mockResolvedValue(true);
  await saveAndEnd(launched(), { ram: '/ram', state: '/state' });
  expect(killed).toEqual([[{ pid: 4711, startTime: '1' }, 'SIGKILL']]);
});

test('one that does not end has not: it may still write', async () => {
  vi.mocked(isGone).mockResolvedValue(false);
  await expect(saveAndEnd(launched(), { ram: '/ram', state: '/state' })).rejects.toMatchObject({ code: 'HYPR_TIMEOUT' });
});
