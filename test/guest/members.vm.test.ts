import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GuestClient, ProcessSpec } from '../../guest/types.ts';
import { machineConfig, processSpec, readAll } from './host-agent.ts';
import { openWorkshop, type TestMachine, type Workshop } from './test-machine.ts';

const DEADLINE = { timeout: 60_000, signal: AbortSignal.timeout(600_000) };

/** What a program of the toolbox prints. */
const ask = async (guest: GuestClient, args: readonly string[], more: Partial<ProcessSpec> = {}): Promise<string> => {
  const program = await guest.spawn(processSpec(['box', ...args], { env: ['PATH=/bin'], ...more }));
  const { stdout, stderr } = await readAll(program);
  await program.exited;
  return (stdout + stderr).trimEnd();
};

describe('a further service in a machine', () => {
  let workshop: Workshop;
  let machine: TestMachine;
  let owner: GuestClient;

  const open = (name: string, sharesIpc = false) => owner.openMember(name, { ...DEADLINE, sharesIpc });
  const prepare = (member: GuestClient, name: string) =>
    member.prepare(
      machineConfig({
        hostname: 'not-told',
        machineId: 'f'.repeat(32),
        root: { disk: `${name}root`, upper: `${name}upper`, readOnly: false },
        hosts: [{ address: '10.9.0.8', names: ['web-1'] }],
        files: [{ path: '/run/secrets/own', content: Buffer.from(name), mode: 0o444, uid: 0, gid: 0 }],
      }),
    );

  beforeAll(async () => {
    workshop = await openWorkshop();
    const [one, two] = [join(workshop.folder, 'one.erofs'), join(workshop.folder, 'two.erofs')];
    await copyFile(workshop.root, one);
    await copyFile(workshop.root, two);
    const [upper, oneUpper, twoUpper] = await Promise.all(['upper', 'one', 'two'].map((name) => workshop.makeDisk(name)));
    machine = await workshop.boot({
      name: 'pod',
      disks: { upper: upper ?? '', mb1root: one, mb1upper: oneUpper ?? '', mb2root: two, mb2upper: twoUpper ?? '' },
    });
    owner = await machine.connect();
  });
  afterAll(() => workshop?.close());

  it('waits for the machine to be prepared, and has a name that is one', async () => {
    await expect(open('mb1')).rejects.toMatchObject({ code: 'GUEST_REFUSED' });
    await owner.prepare(machineConfig());
    await expect(open('../mb1')).rejects.toMatchObject({ code: 'GUEST_REFUSED', reason: 'malformed' });
    await expect(open('mb')).rejects.toMatchObject({ code: 'GUEST_REFUSED', reason: 'malformed' });
  });

  it('has root, files, programs and IPC of its own, and the network and name of the machine', async () => {
    const main = await owner.startWorkload(processSpec(['box', 'trap', '3'], { env: ['PATH=/bin'] }));
    const member = await open('mb1');
    expect(member.info.state).toBe('waiting');
    await prepare(member, 'mb1');
    const workload = await member.startWorkload(processSpec(['box', 'trap', '4'], { env: ['PATH=/bin'] }));
    expect(await ask(member, ['host'])).toBe('web-1');
    expect(await ask(member, ['cat', '/etc/hosts'])).toContain('10.9.0.8\tweb-1');
    expect(await ask(member, ['cat', '/run/secrets/own'])).toBe('mb1');
    expect(await ask(owner, ['cat', '/run/secrets/own'])).toBe('');
    await ask(member, ['put', '/mine', 'of the member']);
    expect(await ask(owner, ['cat', '/mine'])).toBe('');
    await ask(owner, ['put', '/dev/shm/x', 'of the owner']);
    expect(await ask(member, ['cat', '/dev/shm/x'])).toBe('');
    expect(await ask(member, ['cat', '/proc/1/cmdline'])).toBe('box\0trap\x004\0');
    expect(await ask(owner, ['cat', '/proc/1/cmdline'])).toBe('box\0trap\x003\0');
    expect(await ask(member, ['ls', '/kestrel'])).toBe('');
    expect((await member.stats()).pids).toBe(1);

    // One network: what listens in the one is seen in the other.
    const listening = (async () => {
      for await (const event of owner.events()) {
        if (event.type === 'listening' && event.port === 8181) {
          return event.port;
        }
      }
      return undefined;
    })();
    const server = await member.spawn(processSpec(['box', 'listen', '8181'], { env: ['PATH=/bin'] }));
    expect(await listening).toBe(8181);
    await server.signal(15);

    expect(await member.powerOff({ stopSignal: 15, graceMs: 20_000 })).toEqual({ code: 4, oomKilled: false });
    await member.closed;
    await workload.exited;
    expect(await ask(owner, ['echo', 'goes on'])).toBe('goes on');
    main.output[Symbol.asyncIterator]().return?.();
  });

  it('comes again with its disks as it left them, and is found by another host', async () => {
    const member = await open('mb1');
    await prepare(member, 'mb1');
    expect(await ask(member, ['cat', '/mine'])).toBe('of the member');
    const workload = await member.startWorkload(processSpec(['box', 'chatter', '6', '100'], { env: ['PATH=/bin'] }));
    const first = await workload.output[Symbol.asyncIterator]().next();
    expect(Buffer.from(first.value?.data ?? []).toString()).toMatch(/^ready/);
    await owner.close();
    await member.closed;
    owner = await machine.connect();
    const again = await open('mb1');
    expect(again.info.state).toBe('running');
    const process = await again.attachWorkload();
    const rest = readAll(process);
    expect(await again.powerOff({ stopSignal: 15, graceMs: 20_000 })).toEqual({ code: 6, oomKilled: false });
    expect((await rest).stdout).toMatch(/0000099\n(.|\n)*bye\n$/);
  });

  it('shares queues and memory where it is to', async () => {
    const member = await open('mb2', true);
    await prepare(member, 'mb2');
    expect(await ask(member, ['cat', '/dev/shm/x'])).toBe('of the owner');
  });

  it('ends at once with all its programs when it is told to', async () => {
    const member = await open('mb2');
    const workload = await member.startWorkload(processSpec(['box', 'pause'], { env: ['PATH=/bin'] }));
    const exited = workload.exited.catch((error: { code: string }) => error.code);
    await owner.endMember('mb2');
    await member.closed;
    expect(await exited).toBe('GUEST_LOST');
    const next = await open('mb2');
    expect(next.info.state).toBe('waiting');
    await owner.powerOff({ stopSignal: 15, graceMs: 20_000 });
    expect(await machine.exited).toBe(0);
    expect(await machine.console()).not.toMatch(/member/);
  });
});
