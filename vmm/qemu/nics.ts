import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError } from '../../base/errors.ts';
import { withoutInherited } from '../../base/host/inherited.ts';
import { childEnv } from '../model/environment.ts';
import type { MachineRecord, NicPlace, NicSpec } from '../model/machine.ts';
import { nicDevice } from './command.ts';
import { bootedPorts, firstNicPort, PREPARED_DISKS, PREPARED_NICS, SLOTS, slotsOf } from './machine-class.ts';
import type { Ports } from './ports.ts';
import { childEnd } from './process-end.ts';
import { type Qmp, unlessUnknown } from './qmp.ts';

const PASS_MS = 10_000;

type Placed = Pick<MachineRecord, 'spec' | 'nics' | 'plugged' | 'layout'>;

/** Pure: whether NICs can be plugged in and out: those of a machine that an older hypr booted are on the root bus, where nothing can. */
export const takesNics = ({ layout, spec }: Placed): boolean => layout === 'clone' || spec.nicPorts !== undefined;

/** Pure: the NICs that a machine has now, and the ports that they are in. */
export const nicPlaces = ({ spec, nics, layout }: Placed): readonly NicPlace[] => {
  if (layout === 'cold') {
    return nics ?? spec.nics.map(({ id, mac }, index) => ({ id, mac, port: firstNicPort(spec) + index }));
  }
  const further = PREPARED_NICS + Math.max(spec.disks.length, PREPARED_DISKS);
  return nics ?? spec.nics.map(({ id, mac }, index) => ({ id, mac, port: index === 0 ? PREPARED_DISKS : further + index - 1 }));
};

/** Pure: the ports of a machine that nothing is in. Its disks, and the NIC that a template has, stay in theirs. */
export const unusedPorts = (record: Placed): number[] => {
  const used = new Set([...nicPlaces(record), ...(record.plugged ?? [])].map(({ port }) => port));
  const [first, end] = record.layout === 'clone' ? [slotsOf(record.spec), SLOTS] : [0, bootedPorts(record.spec)];
  return Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index).filter((port) => !used.has(port));
};

export interface NicInput {
  readonly qmp: Qmp;
  readonly ports: Ports;
  /** The fence's program, which passes descriptors. */
  readonly launcher: string;
}

/** Plugs in a NIC whose frames go over the socket; takes that over in every outcome. Throws VMM_START. */
export const plugNic = async (nic: Omit<NicSpec, 'id'>, socket: Socket, input: NicInput, signal?: AbortSignal): Promise<NicPlace> => {
  const { qmp, ports, launcher } = input;
  const port = ports.take();
  const id = `h${port}`;
  try {
    await qmp.passDescriptor(id, (monitor, command) => pass({ launcher, monitor, socket, command }, signal), signal);
    // `stream` would look the name up in another thread, where it has no meaning.
    // No signal from here on: what QEMU may have done is not to be left half done. Whoever gave up takes the card out again.
    await qmp.run('netdev_add', { type: 'socket', id, fd: id });
    try {
      await qmp.run('device_add', { ...nicDevice({ ...nic, id }), id: `s${port}`, bus: `p${port}` });
    } catch (error) {
      await qmp.run('netdev_del', { id }).catch(() => {});
      throw error;
    }
    return { id, mac: nic.mac, port };
  } catch (error) {
    ports.giveBack(port);
    throw error;
  } finally {
    socket.destroy();
  }
};

/** The guest lets go of it in its own time; until then nothing goes over it any more. If it does not, it may be tried again. */
export const unplugNic = async (
  { id, port }: NicPlace,
  { qmp, ports }: Omit<NicInput, 'launcher'>,
  signal?: AbortSignal,
): Promise<void> => {
  await qmp.run('set_link', { name: id, up: false }, signal).catch(unlessUnknown);
  try {
    await ports.remove(port, 'a network card', signal);
  } catch (error) {
    await qmp.run('set_link', { name: id, up: true }).catch(() => {});
    throw error;
  }
  await qmp.run('netdev_del', { id }).catch(unlessUnknown);
  ports.giveBack(port);
};

const pass = async (
  { launcher, monitor, socket, command }: { launcher: string; monitor: Socket; socket: Socket; command: string },
  signal: AbortSignal | undefined,
): Promise<void> => {
  const { stdio, done } = withoutInherited(['ignore', 'ignore', 'ignore', monitor, socket] as const);
  try {
    const child = spawn(launcher, ['--pass', command], { cwd: '/', env: childEnv(), stdio });
    const failed = new Promise<never>((_, reject) => child.once('error', (error) => reject(noCard(error))));
    failed.catch(() => {});
    // Node stops reading from what it lends to a child.
    monitor.resume();
    try {
      await withDeadline({ ms: PASS_MS, what: 'a descriptor for QEMU', signal }, () => Promise.race([childEnd(child), failed]));
    } finally {
      child.kill('SIGKILL');
    }
    if (child.exitCode !== 0) {
      throw noCard();
    }
  } finally {
    done();
  }
};

const noCard = (cause?: unknown): HyprError =>
  new HyprError('VMM_START', 'QEMU takes no further network card', { hint: 'hypr setup prepares the programs again', cause });
