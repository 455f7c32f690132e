import { randomBytes } from 'node:crypto';
import type { Writable } from 'node:stream';
import { orAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { connectGuest } from '../../guest/client/client.ts';
import type { GuestClient, MachineConfig, ProcessSpec } from '../../guest/types.ts';
import type { MachineSpec } from '../model/machine.ts';
import { machineSockets } from '../qemu/command.ts';

const ANSWER_MS = 60_000;

/**
 * A trial start: a running guest does once what its copies will do, so that QEMU has translated that code. It is prepared, gets
 * names and packets, starts a program and writes to its disk; then it waits to be prepared again. `wire` is the other end of its
 * NIC. Throws GUEST_REFUSED, GUEST_BOOT, HYPR_TIMEOUT.
 */
export const rehearse = async (spec: MachineSpec, wire: Writable, signal?: AbortSignal): Promise<void> => {
  const { agent } = machineSockets(spec.runDir);
  const guest = await connectGuest(agent, { timeout: ANSWER_MS, ...(signal ? { signal } : {}) });
  try {
    await guest.prepare(config(spec), signal);
    await guest.setNames({ zygote: [ADDRESS.address] }, signal);
    wire.write(arp('answer'));
    wire.write(arp('question'));
    await runSomething(guest, signal);
    await guest.sync(signal);
    await guest.forget(signal);
  } finally {
    await guest.close();
  }
};

/** A network reserved for documentation (RFC 5737). */
const ADDRESS = { address: '192.0.2.2', prefix: 24, gateway: '192.0.2.1' };

const config = ({ disks, nics }: MachineSpec): MachineConfig => ({
  hostname: 'zygote',
  machineId: randomBytes(16).toString('hex'),
  entropy: randomBytes(64),
  clock: Date.now(),
  root: { disk: disks[0]?.serial ?? '', upper: disks[1]?.serial ?? '', readOnly: false },
  mounts: [],
  nics: nics.map(({ mac, mtu }) => ({ ...ADDRESS, mac, name: 'eth0', mtu })),
  resolver: { names: {}, search: [], upstreams: [], options: [] },
  hosts: [],
  files: [],
  sysctls: {},
});

/**
 * The ARP packets that machines of a network send each other (RFC 826): an announcement, which each sends when it starts, and a
 * question. Framed as QEMU does on a stream.
 */
const arp = (kind: 'question' | 'answer'): Buffer => {
  const gateway = Buffer.from([...OTHER_MAC, ...octets(ADDRESS.gateway)]);
  const wanted = Buffer.from([0, 0, 0, 0, 0, 0, ...octets(kind === 'question' ? ADDRESS.address : ADDRESS.gateway)]);
  const frame = Buffer.concat([
    Buffer.from([...BROADCAST, ...OTHER_MAC, 0x08, 0x06]),
    Buffer.from([0, 1, 0x08, 0x00, 6, 4, 0, kind === 'question' ? 1 : 2]),
    gateway,
    wanted,
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  return Buffer.concat([length, frame]);
};

const BROADCAST = [255, 255, 255, 255, 255, 255];
const OTHER_MAC = [0x02, 0, 0, 0, 0, 1];
const octets = (address: string): number[] => address.split('.').map(Number);

/** A program of nearly every image that does nothing. In an image without a shell the attempt to start it is enough. */
const NOTHING: ProcessSpec = {
  args: ['/bin/sh', '-c', ':'],
  env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  cwd: '/',
  user: '',
  groups: [],
  tty: false,
  stdin: false,
};

const runSomething = async (guest: GuestClient, signal?: AbortSignal): Promise<void> => {
  try {
    const { exited } = await guest.spawn(NOTHING, signal);
    await orAbort(exited, signal);
  } catch (error) {
    if (!(error instanceof HyprError) || error.code !== 'GUEST_EXEC') {
      throw error;
    }
  }
};
