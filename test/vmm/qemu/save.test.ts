import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import * as files from '../../../base/host/files.ts';
import { QemuMachine } from '../../../vmm/qemu/machine.ts';
import type { Qmp, QmpEvent } from '../../../vmm/qemu/qmp.ts';
import { spec, tempDir } from '../support.ts';

vi.mock('../../../base/host/files.ts', async (original) => {
  const all = await original<typeof files>();
  return { ...all, syncFile: vi.fn(all.syncFile), syncFolder: vi.fn(all.syncFolder) };
});

it('a machine that is saved has its memory and its disks on disk, whatever happens to the host then', async () => {
  const dir = tempDir();
  const disks = ['root', 'upper'].map((serial) => ({
    serial,
    path: join(dir, serial),
    format: 'raw' as const,
    readOnly: serial === 'root',
  }));
  await Promise.all([...disks.map(({ path }) => path), join(dir, 'console')].map((path) => writeFile(path, '')));
  const listeners: Array<(event: QmpEvent) => void> = [];
  const run = async (command: string) => {
    if (command === 'migrate') {
      setImmediate(() => {
        for (const listener of listeners) {
          listener({ event: 'MIGRATION', data: { status: 'completed' } });
        }
      });
    }
    return command === 'query-status' ? { status: 'paused', running: false } : {};
  };
  const qmp = { run, onEvent: (listener) => void listeners.push(listener), closed: new Promise(() => {}), close: () => {} } as Partial<Qmp>;
  const record = {
    backend: 'qemu-tcg',
    spec: spec({ runDir: dir, consoleLog: join(dir, 'console'), disks }),
    process: { pid: 0, startTime: '' },
    helpers: [],
    agentSocket: '',
    layout: 'cold' as const,
    programs: '',
    controlSocket: '',
  };
  const machine = new QemuMachine(record, qmp as Qmp, { child: undefined, freePorts: [], launcher: '/none' });
  const state = join(dir, 'saved');
  await machine.save(state);
  expect(vi.mocked(files.syncFile).mock.calls.map(([path]) => path)).toEqual([state, join(dir, 'upper')]);
  expect(vi.mocked(files.syncFolder)).toHaveBeenCalledWith(dir);
  machine.release();
});
