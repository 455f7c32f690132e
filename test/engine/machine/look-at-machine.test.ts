import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { lookAtMachine, parseThread } from '../../../engine/machine/look-at-machine.ts';
import type { GuestClient } from '../../../guest/types.ts';
import type { Machine } from '../../../vmm/model/machine.ts';
import { tempDir } from '../../vmm/support.ts';

test('a look at a machine: how it is, whether its agent answers, what its threads do, its last words', async () => {
  const consoleLog = join(tempDir(), 'console');
  await writeFile(consoleLog, 'kestrel: the start of process 7 does not get on\n');
  const exited = Promise.resolve({ reason: 'crashed', detail: 'QEMU was killed by SIGSEGV', lastLines: [] });
  const machine = { exited, record: { process: { pid: process.pid, startTime: '' }, spec: { consoleLog } } } as unknown as Machine;
  const guest = { stats: () => Promise.reject(new HyprError('GUEST_LOST', 'the channel is gone')) } as unknown as GuestClient;
  expect(await lookAtMachine({ machine, guest })).toEqual({
    machine: 'QEMU was killed by SIGSEGV',
    agent: 'the channel is gone',
    threads: expect.arrayContaining([expect.stringMatching(/^.+: [RSD], ran \d+ ms$/)]),
    console: ['kestrel: the start of process 7 does not get on'],
  });
});

test('a thread, whatever its name is', () => {
  const line = '12 (CPU 0) (x) S 1 12 12 0 -1 4194368 5 0 0 0 30 12 0 0 20 0 9 0 7 0 0';
  expect(parseThread(line)).toEqual({ name: 'CPU 0) (x', state: 'S', ticks: 42 });
  expect(parseThread('nonsense')).toBeUndefined();
});
