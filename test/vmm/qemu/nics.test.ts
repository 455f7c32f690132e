import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { nicPlaces, plugNic, takesNics, unplugNic, unusedPorts } from '../../../vmm/qemu/nics.ts';
import { Ports } from '../../../vmm/qemu/ports.ts';
import type { Qmp, QmpEvent } from '../../../vmm/qemu/qmp.ts';
import { spec, tempDir } from '../support.ts';

/** A socket with a descriptor, as those of a monitor and a network have. */
const openSocket = async (): Promise<net.Socket> => {
  const path = join(tempDir(), 'x.sock');
  const server = net.createServer((far) => far.on('error', () => {})).listen(path);
  await once(server, 'listening');
  const socket = net.connect(path);
  await once(socket, 'connect');
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  return socket;
};

/** A monitor that does what the test says, and QEMU's events. */
const fakeQmp = (run: (command: string, args: { up?: boolean }) => Promise<unknown>) => {
  let hear: (event: QmpEvent) => void = () => {};
  const said: string[] = [];
  const qmp = {
    run: (command: string, args: { up?: boolean }) => {
      said.push(args.up === undefined ? command : `${command} ${args.up ? 'up' : 'down'}`);
      return run(command, args);
    },
    passDescriptor: async (_name: string, pass: (socket: net.Socket, command: string) => Promise<void>) => pass(await openSocket(), '{}'),
    onEvent: (listener: (event: QmpEvent) => void) => {
      hear = listener;
    },
  } as unknown as Qmp;
  return { qmp, said, gone: (device: string) => hear({ event: 'DEVICE_DELETED', data: { device } }) };
};

const NIC = { mac: '02:00:00:00:00:01', mtu: 1500 };
const unknown = () => Promise.reject(new HyprError('HYPR_INTERNAL', 'no such device', { reason: 'DeviceNotFound' }));

test('a program that cannot be started refuses the card, and the port is free again', async () => {
  const { qmp } = fakeQmp(async () => ({}));
  const ports = new Ports(qmp, [7]);
  const socket = await openSocket();
  await expect(plugNic(NIC, socket, { qmp, ports, launcher: '/none' })).rejects.toMatchObject({ code: 'VMM_START' });
  expect(socket.destroyed).toBe(true);
  expect(ports.take()).toBe(7);
});

test('a card that the guest did not let go of works on, and can be taken out again', async () => {
  let refuses = true;
  const { qmp, said, gone } = fakeQmp(async (command) => {
    if (command === 'device_del') {
      if (refuses) {
        throw new Error('busy');
      }
      setImmediate(() => gone('s7'));
    }
    return {};
  });
  const ports = new Ports(qmp, []);
  const place = { id: 'h7', mac: NIC.mac, port: 7 };
  await expect(unplugNic(place, { qmp, ports })).rejects.toThrow('busy');
  refuses = false;
  await unplugNic(place, { qmp, ports });
  expect(said).toEqual(['set_link down', 'device_del', 'set_link up', 'set_link down', 'device_del', 'netdev_del']);
  expect(ports.take()).toBe(7);
});

test('a card that is gone already is taken out', async () => {
  const { qmp } = fakeQmp(unknown);
  const ports = new Ports(qmp, []);
  await unplugNic({ id: 'h7', mac: NIC.mac, port: 7 }, { qmp, ports });
  expect(ports.take()).toBe(7);
});

test('a machine that boots has its cards in ports, after those for disks, and others free; one of an older hypr has none', () => {
  const nics = [0, 1].map((index) => ({ id: `n${index}`, mac: `02:00:00:00:00:0${index}`, mtu: 1500 }));
  const booted = { layout: 'cold' as const, spec: { ...spec(), nics, sparePorts: 3, nicPorts: 2 } };
  expect(nicPlaces(booted).map(({ id, port }) => [id, port])).toEqual([
    ['n0', 3],
    ['n1', 4],
  ]);
  expect(unusedPorts(booted)).toEqual([0, 1, 2, 5, 6]);
  const [, ...rest] = nicPlaces(booted);
  expect(unusedPorts({ ...booted, nics: rest })).toEqual([0, 1, 2, 3, 5, 6]);
  const older = { layout: 'cold' as const, spec: { ...spec(), nics } };
  expect([takesNics(booted), takesNics(older), unusedPorts(older)]).toEqual([true, false, []]);
  const plugged = [{ disk: { serial: 'd', path: '/d', format: 'raw' as const, readOnly: false }, port: 1 }];
  expect(unusedPorts({ ...booted, plugged })).toEqual([0, 2, 5, 6]);
  const [first, ...free] = unusedPorts({ ...booted, layout: 'clone' });
  expect(unusedPorts({ ...booted, layout: 'clone', plugged: plugged.map((each) => ({ ...each, port: first ?? 0 })) })).toEqual(free);
});
