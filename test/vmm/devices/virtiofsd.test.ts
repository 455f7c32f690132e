import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { isAlive, isGone, signalProcess } from '../../../base/host/process.ts';
import { parseSubordinate, sandboxes, startVirtiofsd, virtiofsdCommand, type Way } from '../../../vmm/devices/virtiofsd.ts';
import { tempDir, tool } from '../support.ts';

const user = { uid: 1000, gid: 100, subordinate: undefined };
const text = (ways: Way[]) => ways.map(({ fence, args }) => `${fence === undefined ? '' : `in a fence (${fence}): `}${args.join(' ')}`);

describe('owners in a shared folder', () => {
  it('are kept by root', () => {
    const root = { uid: 0, gid: 0, subordinate: undefined };
    expect(text(sandboxes({ ownership: 'squash', readOnly: false }, root))).toEqual([
      '--sandbox namespace',
      '--sandbox chroot',
      'in a fence (folder): --sandbox none',
    ]);
  });

  it('are all the invoking user', () => {
    expect(text(sandboxes({ ownership: 'squash', readOnly: false }, user))).toMatchInlineSnapshot(`
      [
        "--sandbox namespace --uid-map :0:1000:1: --gid-map :0:100:1: --translate-uid squash-guest:0:0:4294967295 --translate-gid squash-guest:0:0:4294967295",
        "in a fence (folder): --sandbox none --translate-uid squash-guest:0:1000:4294967295 --translate-gid squash-guest:0:100:4294967295 --translate-uid host:1000:0:1 --translate-gid host:100:0:1",
      ]
    `);
  });

  it('have ids of their own where the host lends some', () => {
    const range = { first: 100_000, count: 65_536 };
    const [best, ...rest] = text(sandboxes({ ownership: 'keep', readOnly: false }, { ...user, subordinate: { uid: range, gid: range } }));
    expect(best).toBe('--sandbox namespace --uid-map :0:1000:1: --gid-map :0:100:1: --uid-map :1:100000:65536: --gid-map :1:100000:65536:');
    expect(rest).toEqual(text(sandboxes({ ownership: 'squash', readOnly: false }, user)));
  });

  it('are read from subuid(5)', () => {
    const file = 'other:1:2\n me:100000:65536\n1001:200000:10\nbroken:x:y\n';
    expect(parseSubordinate(file, 'me', 1000)).toEqual({ first: 100_000, count: 65_536 });
    expect(parseSubordinate(file, 'nobody', 1001)).toEqual({ first: 200_000, count: 10 });
    expect(parseSubordinate(file, 'broken', 7)).toBeUndefined();
  });
});

test('nothing is ever shared without a fence', () => {
  const range = { first: 100_000, count: 65_536 };
  for (const ids of [user, { uid: 0, gid: 0, subordinate: undefined }, { ...user, subordinate: { uid: range, gid: range } }]) {
    for (const share of [
      { ownership: 'squash', readOnly: false },
      { ownership: 'squash', readOnly: true },
      { ownership: 'keep', readOnly: false },
      { ownership: 'squash', readOnly: false, file: true },
    ] as const) {
      for (const { fence, args } of sandboxes(share, ids)) {
        expect(fence !== undefined || !args.includes('none'), args.join(' ')).toBe(true);
        expect('file' in share ? fence : 'file').toBe('file');
      }
    }
  }
});

describe('a folder that is only to be read', () => {
  const readOnly = { tag: 's', path: '/folder', readOnly: true, ownership: 'squash' } as const;

  it('is sealed by mounts where there can be some', () => {
    const root = { uid: 0, gid: 0, subordinate: undefined };
    expect(text(sandboxes(readOnly, root))[0]).toBe('in a fence (sealed): --sandbox namespace');
    expect(text(sandboxes(readOnly, user))[0]).toMatch(/^in a fence \(sealed\): --sandbox namespace --translate-uid squash-guest:0:0:/);
  });

  it('is kept from being written by its daemon, too, unless it is sealed', () => {
    const input = { tool: tool('/d'), fence: '/fence', preload: null, share: readOnly, socket: '/s', log: '/l' };
    const ways = [...sandboxes(readOnly, user), ...sandboxes(readOnly, { ...user, uid: 0 })];
    expect(ways.filter((way) => virtiofsdCommand(input, way).args.includes('--readonly') === (way.fence === 'sealed'))).toEqual([]);
    const { file, args } = virtiofsdCommand(input, { fence: 'sealed', args: [] });
    expect([file, ...args].join(' ')).toMatch(/^\/fence --socket \/s --sealed \/folder --at \/s.d -- \/d --fd 3 --shared-dir \/s.d /);
  });
});

describe('the daemon', () => {
  const share = (path: string) => ({ tag: 's', path, readOnly: false, ownership: 'squash' as const });
  const program = async (dir: string, name: string, body: string): Promise<string> => {
    const file = join(dir, name);
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return file;
  };
  const inputOf = async (dir: string, body: string, fence = 'exit 71') => ({
    tool: tool(await program(dir, 'virtiofsd', body)),
    fence: await program(dir, 'fence', fence),
    preload: null,
    share: share(dir),
    socket: join(dir, 's'),
    log: join(dir, 'log'),
  });
  const ready = 'echo "[INFO] Waiting for vhost-user socket connection..."; exec sleep 60';

  it('is run in a fence of ours when it can have no sandbox of its own', async () => {
    const dir = tempDir();
    const input = await inputOf(dir, 'echo no namespaces >&2; exit 1', `echo "$@" > ${dir}/said; ${ready}`);
    const { process: identity } = await startVirtiofsd(input);
    expect(isAlive(identity)).toBe(true);
    expect(await readFile(join(dir, 'said'), 'utf8')).toContain(`--socket ${dir}/s --folder ${dir} --read`);
    signalProcess(identity, 'SIGKILL');
    expect(await isGone(identity)).toBe(true);
  });

  it('gets the library of shares where the folder is of this host, and asks for no attributes before a write', async () => {
    const dir = tempDir();
    const input = await inputOf(dir, `echo "$LD_PRELOAD $@" > ${dir}/said; ${ready}`);
    const { process: identity } = await startVirtiofsd({ ...input, preload: '/nowhere/shares.so' });
    signalProcess(identity, 'SIGKILL');
    expect(await readFile(join(dir, 'said'), 'utf8')).toMatch(/^\/nowhere\/shares\.so .* --killpriv-v2 /);
  });

  it('has a folder that cannot be sealed in its own sandbox', async () => {
    const dir = tempDir();
    const input = await inputOf(dir, `echo "$@" > ${dir}/said; ${ready}`, 'echo "fence: a mount namespace: not permitted" >&2; exit 71');
    const { process: identity } = await startVirtiofsd({ ...input, share: { ...share(dir), readOnly: true } });
    signalProcess(identity, 'SIGKILL');
    expect(await readFile(join(dir, 'said'), 'utf8')).toContain(`--shared-dir ${dir} `);
    expect(await readFile(join(dir, 'said'), 'utf8')).toContain(' --readonly ');
  });

  it('is not run at all where there is no fence, and the reason is said', async () => {
    const dir = tempDir();
    const input = await inputOf(dir, 'echo no namespaces >&2; exit 1', 'echo "fence: this kernel has no Landlock" >&2; exit 71');
    await expect(startVirtiofsd(input)).rejects.toMatchObject({
      code: 'VMM_FENCE',
      message: `${dir} cannot be shared safely with the machine: this kernel has no Landlock`,
      hint: expect.stringContaining('user namespaces'),
    });
  });

  it('is not taken to be ready because its socket is there', async () => {
    const dir = tempDir();
    // `$2` is the socket's path.
    const input = await inputOf(dir, 'touch "$2"; sleep 0.3; echo "Error: entering the sandbox" >&2; exit 1', 'sleep 0.1; exit 1');
    await expect(startVirtiofsd(input)).rejects.toMatchObject({
      code: 'VMM_START',
      details: expect.arrayContaining(['Error: entering the sandbox']),
    });
  });

  it('says its last words when it cannot start', async () => {
    const dir = tempDir();
    const input = await inputOf(dir, 'echo "Error: \x1b[31mno\x1b[0m" >&2; exit 1', 'exit 1');
    await expect(startVirtiofsd(input)).rejects.toMatchObject({ code: 'VMM_START', details: expect.arrayContaining(['Error: no']) });
    expect(await readdir(dir)).not.toContain('s');
  });

  it('is not started for a folder that is not there', async () => {
    const dir = tempDir();
    const input = { ...(await inputOf(dir, ready)), share: share(join(dir, 'gone')) };
    await expect(startVirtiofsd(input)).rejects.toThrow('it does not exist');
  });
});
