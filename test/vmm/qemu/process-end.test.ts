import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { orAbort, whenAborted } from '../../../base/abort.ts';
import { HyprError } from '../../../base/errors.ts';
import { identifyProcess } from '../../../base/host/process.ts';
import { whileItRuns } from '../../../vmm/qemu/process-end.ts';
import type { Qmp, QmpEvent } from '../../../vmm/qemu/qmp.ts';
import { spec, tempDir } from '../support.ts';

/** A shell in QEMU's place, which ends in the way it is told to; its monitor closes then. */
const launch = async () => {
  const dir = tempDir();
  const machine = spec({ runDir: join(dir, 'm'), consoleLog: join(dir, 'console') });
  await mkdir(machine.runDir);
  const child = spawn('sh', ['-c', 'read -r how; eval "$how"'], { stdio: ['pipe', 'ignore', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const process = identifyProcess(child.pid ?? 0);
  if (process === undefined) {
    throw new Error('no shell');
  }
  let say: (event: QmpEvent) => void = () => {};
  const closed = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const onEvent = (listener: (event: QmpEvent) => void) => {
    say = listener;
  };
  const qmp = { closed, onEvent } as Qmp;
  const end = (how: string) => void child.stdin.write(`${how}\n`);
  const launched = { child, process, qmp, spec: machine, what: 'a machine' };
  return { launched, end, say: (reason: string) => say({ event: 'SHUTDOWN', data: { reason } }) };
};

describe('work with a machine that has no owner yet', () => {
  it.each([
    ['kill -SEGV $$', 'QEMU was killed by SIGSEGV'],
    ['exit 7', 'QEMU ended unexpectedly with exit code 7'],
    ['exit 0', 'QEMU ended unexpectedly'],
  ])('fails with how the machine ended: %s', async (how, words) => {
    const { launched, end } = await launch();
    await writeFile(join(launched.spec.runDir, 'qemu.err'), 'qemu: bad\n');
    const calls = Array.from({ length: 30 }, (_, index) => `call ${index}`);
    await writeFile(launched.spec.consoleLog, ['first', 'Kernel panic - not syncing: no', ...calls].join('\n'));
    const work = whileItRuns(launched, async (alive) => {
      end(how);
      await whenAborted(alive);
      throw alive.reason;
    });
    await expect(work).rejects.toMatchObject({ code: 'GUEST_BOOT', message: `a machine ended before it was ready (${words})` });
    const details = await work.catch((error: HyprError) => error.details);
    expect(details).toEqual(['qemu: bad', 'first', 'Kernel panic - not syncing: no', ...calls.slice(0, 3), '…', ...calls.slice(-10)]);
  });

  it('names what QEMU said of its end, also when the work failed first by something that broke', async () => {
    const { launched, end, say } = await launch();
    const work = whileItRuns(launched, async () => {
      say('guest-reset');
      end('exit 0');
      throw new HyprError('VMM_DIED', 'QEMU has ended');
    });
    const message = 'a machine ended before it was ready (the guest restarted itself, or its kernel panicked)';
    await expect(work).rejects.toMatchObject({ code: 'GUEST_BOOT', message });
  });

  it('fails with its own error while the machine runs, and with the reason of whoever called it off', async () => {
    const { launched, end } = await launch();
    const fail = whileItRuns(launched, async () => {
      throw new HyprError('GUEST_REFUSED', 'no');
    });
    await expect(fail).rejects.toMatchObject({ code: 'GUEST_REFUSED' });
    const { signal, abort } = { signal: AbortSignal.abort(new Error('called off')), abort: () => end('exit 1') };
    const off = whileItRuns({ ...launched, signal }, async (alive) => {
      abort();
      await orAbort(new Promise(() => {}), alive);
    });
    await expect(off).rejects.toThrow('called off');
  });

  it('may end the machine: that is no failure', async () => {
    const { launched, end } = await launch();
    await whileItRuns(launched, async () => {
      end('exit 0');
    });
    await launched.qmp.closed;
  });
});
