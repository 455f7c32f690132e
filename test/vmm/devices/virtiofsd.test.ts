import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, signalProcess } from '../../../base/host/process.ts';
import { parseSubordinate, sandboxes, startVirtiofsd } from '../../../vmm/devices/virtiofsd.ts';
import { isGone } from '../../../vmm/qemu/machine.ts';
import { tempDir, tool } from '../support.ts';

const user = { uid: 1000, gid: 100, subordinate: undefined };
const text = (variants: string[][]) => variants.map((variant) => variant.join(' '));

describe('owners in a shared folder', () => {
  it('are kept by root', () => {
    const root = { uid: 0, gid: 0, subordinate: undefined };
    expect(text(sandboxes({ ownership: 'squash' }, root))).toEqual(['--sandbox namespace', '--sandbox chroot', '--sandbox none']);
  });

  it('are all the invoking user', () => {
    expect(text(sandboxes({ ownership: 'squash' }, user))).toMatchInlineSnapshot(`
      [
        "--sandbox namespace --uid-map :0:1000:1: --gid-map :0:100:1: --translate-uid squash-guest:0:0:4294967295 --translate-gid squash-guest:0:0:4294967295",
        "--sandbox none --translate-uid squash-guest:0:1000:4294967295 --translate-gid squash-guest:0:100:4294967295 --translate-uid host:1000:0:1 --translate-gid host:100:0:1",
      ]
    `);
  });

  it('have ids of their own where the host lends some', () => {
    const range = { first: 100_000, count: 65_536 };
    const [best, ...rest] = text(sandboxes({ ownership: 'keep' }, { ...user, subordinate: { uid: range, gid: range } }));
    expect(best).toBe('--sandbox namespace --uid-map :0:1000:1: --gid-map :0:100:1: --uid-map :1:100000:65536: --gid-map :1:100000:65536:');
    expect(rest).toEqual(text(sandboxes({ ownership: 'squash' }, user)));
  });

  it('are read from subuid(5)', () => {
    const file = 'other:1:2\n me:100000:65536\n1001:200000:10\nbroken:x:y\n';
    expect(parseSubordinate(file, 'me', 1000)).toEqual({ first: 100_000, count: 65_536 });
    expect(parseSubordinate(file, 'nobody', 1001)).toEqual({ first: 200_000, count: 10 });
    expect(parseSubordinate(file, 'broken', 7)).toBeUndefined();
  });
});

describe('the daemon', () => {
  const share = (path: string) => ({ tag: 's', path, readOnly: false, ownership: 'squash' as const });
  const daemon = async (dir: string, body: string) => {
    const file = join(dir, 'virtiofsd');
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return tool(file);
  };

  it('falls back when a sandbox is not to be had', async () => {
    const dir = tempDir();
    // `$2` is the socket's path.
    const fake = await daemon(dir, 'case "$*" in *none*) touch "$2"; exec sleep 60;; *) echo no namespaces >&2; exit 1;; esac');
    const identity = await startVirtiofsd({ tool: fake, share: share(dir), socket: join(dir, 's'), log: join(dir, 'log') });
    expect(isAlive(identity)).toBe(true);
    signalProcess(identity, 'SIGKILL');
    expect(await isGone(identity)).toBe(true);
  });

  it('says its last words when it cannot start', async () => {
    const dir = tempDir();
    const fake = await daemon(dir, 'echo "Error: \x1b[31mno\x1b[0m" >&2; exit 1');
    await expect(startVirtiofsd({ tool: fake, share: share(dir), socket: join(dir, 's'), log: join(dir, 'log') })).rejects.toMatchObject({
      code: 'VMM_START',
      details: expect.arrayContaining(['Error: no']),
    });
    expect(await readdir(dir)).not.toContain('s');
  });

  it('is not started for a folder that is not there', async () => {
    const dir = tempDir();
    const input = { tool: tool('/bin/true'), share: share(join(dir, 'gone')), socket: join(dir, 's'), log: join(dir, 'log') };
    await expect(startVirtiofsd(input)).rejects.toThrow('it does not exist');
  });
});
