import { expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { DiskSpec } from '../../../vmm/model/machine.ts';
import { Ports } from '../../../vmm/qemu/ports.ts';
import type { Qmp } from '../../../vmm/qemu/qmp.ts';

const DISK: DiskSpec = { serial: 'd', path: '/d', format: 'raw', readOnly: false };

/** A monitor that has nodes and devices, and hears a signal as the real one does. `meanwhile` runs while it answers a command. */
const fakeQmp = (meanwhile: (command: string) => void) => {
  const has = new Set<string>();
  const names = (args: Record<string, string>) => args['node-name'] ?? args.id ?? '';
  const done: Record<string, (name: string) => void> = {
    'blockdev-add': (name) => {
      if (has.has(name)) {
        throw new HyprError('HYPR_INTERNAL', `Duplicate nodes with node-name='${name}'`);
      }
      has.add(name);
    },
    device_add: (name) => has.add(name),
    'blockdev-del': (name) => {
      if (has.has(name.replace('plug', 's'))) {
        throw new HyprError('HYPR_INTERNAL', `Node ${name} is in use`);
      }
      has.delete(name);
    },
  };
  const qmp = {
    run: async (command: string, args: Record<string, string>, signal?: AbortSignal) => {
      done[command]?.(names(args));
      meanwhile(command);
      signal?.throwIfAborted();
    },
    onEvent: () => {},
  } as unknown as Qmp;
  return { qmp, has };
};

test.each(['blockdev-add', 'device_add'])(
  'a disk is plugged in to its end when it is given up during %s, so that it can be taken out',
  async (during) => {
    const abort = new AbortController();
    const { qmp, has } = fakeQmp((command) => command === during && abort.abort(new Error('given up')));
    const ports = new Ports(qmp, [5, 6]);
    await expect(ports.plug(DISK, abort.signal)).resolves.toEqual({ disk: DISK, port: 5 });
    expect([...has]).toEqual(['plug5', 's5']);
    expect((await ports.plug(DISK)).port).toBe(6);
  },
);

test('a disk that was given up before is not plugged in, and takes no port', async () => {
  const { qmp, has } = fakeQmp(() => {});
  const ports = new Ports(qmp, [5]);
  await expect(ports.plug(DISK, AbortSignal.abort(new Error('given up')))).rejects.toThrow('given up');
  expect([has.size, ports.take()]).toEqual([0, 5]);
});

test('a port whose disk QEMU may still have is not used again', async () => {
  let isMute = true;
  const { qmp } = fakeQmp((command) => {
    if (command === 'device_add' && isMute) {
      throw new HyprError('HYPR_TIMEOUT', 'no answer');
    }
  });
  const ports = new Ports(qmp, [5, 6]);
  await expect(ports.plug(DISK)).rejects.toMatchObject({ code: 'VMM_START' });
  isMute = false;
  expect((await ports.plug(DISK)).port).toBe(6);
});

test('the port of a disk that QEMU refused is the next one', async () => {
  const { qmp, has } = fakeQmp((command) => {
    if (command === 'blockdev-add') {
      has.delete('plug5');
      throw new HyprError('HYPR_INTERNAL', 'no such file');
    }
  });
  const ports = new Ports(qmp, [5, 6]);
  await expect(ports.plug(DISK)).rejects.toMatchObject({ code: 'VMM_START', message: expect.stringContaining('no such file') });
  expect(ports.take()).toBe(5);
});
