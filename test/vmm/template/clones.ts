import { readFile } from 'node:fs/promises';
import { connectGuest } from '../../../guest/client/client.ts';
import type { GuestClient, MachineConfig } from '../../../guest/types.ts';
import type { Machine, NicSpec } from '../../../vmm/model/machine.ts';
import { machineConfig, processSpec, readAll } from '../../guest/host-agent.ts';

const BOOT_MS = 120_000;

/** Lets a machine go on and gives it its configuration. */
export const wake = async (machine: Machine, config: Partial<MachineConfig> = {}): Promise<GuestClient> => {
  await machine.start();
  const guest = await connectGuest(machine.record.agentSocket, { timeout: BOOT_MS });
  const fresh = { machineId: randomHex(), entropy: crypto.getRandomValues(new Uint8Array(64)), clock: Date.now() };
  await guest.prepare(machineConfig({ ...fresh, root: { disk: 'root', readOnly: false }, ...config }));
  return guest;
};

const randomHex = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex');

export const cat = async (guest: GuestClient, path: string): Promise<string> => {
  const program = await guest.spawn(processSpec(['/bin/box', 'cat', path]));
  const { stdout, stderr } = await readAll(program);
  await program.exited;
  return (stdout + stderr).trim();
};

/** Whether the guest of a machine was booted by it: a clone's console begins empty. */
export const wasBooted = async (machine: Machine): Promise<boolean> =>
  (await readFile(machine.record.spec.consoleLog, 'utf8')).includes('waiting for its configuration');

export const makeNic = (id: number): NicSpec => ({ id: `n${id}`, mac: `02:00:00:00:01:0${id}`, mtu: 1400 + id });

export const put = async (guest: GuestClient, path: string, text: string): Promise<void> => {
  await (await guest.spawn(processSpec(['/bin/box', 'put', path, text]))).exited;
};
