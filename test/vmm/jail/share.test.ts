import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sandboxes, virtiofsdCommand } from '../../../vmm/devices/virtiofsd.ts';
import { compileShareJail, compileSharePreload } from '../../../vmm/toolchain/sources.ts';
import { virtiofsd } from '../../builder/store/find-mkfs.ts';
import { needs } from '../../support/needs.ts';

/* A program in the place of virtiofsd, in the same fence, does what a hostile guest would have virtiofsd do. */

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const SYSTEM = ['/usr', '/bin', '/lib', '/lib64'].flatMap((path) => ['--read', path]);

let tools = '';
let fence = '';
let dir = '';
beforeAll(async () => {
  tools = mkdtempSync(join(tmpdir(), 'hypr-fence-bin-'));
  chmodSync(tools, 0o755);
  fence = await compileShareJail(tools);
  chmodSync(fence, 0o755);
  return () => rmSync(tools, { recursive: true, force: true });
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-fence-'));
  for (const name of ['share', 'run', 'at']) {
    mkdirSync(join(dir, name));
  }
  writeFileSync(join(dir, 'share', 'inside'), 'inside\n');
  writeFileSync(join(dir, 'share', 'sibling'), 'sibling\n');
  writeFileSync(join(dir, 'outside'), 'outside\n');
  if (isRoot) {
    execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, dir]);
  }
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A command line as it is run by a plain user, for root too. */
const asUser = (command: readonly string[]): string[] =>
  isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...command] : [...command];

/** As a plain user, whom nothing but the fence keeps from `dir`. */
const inFence = (limits: readonly string[], script: string, stdio: 'pipe' = 'pipe') => {
  // Of the fence before: with it nothing would be started.
  rmSync(join(dir, 'run', 's'), { force: true });
  const [file = '', ...args] = asUser([fence, '--socket', join(dir, 'run', 's'), ...limits, '--', '/bin/sh', '-c', script]);
  const { status, stdout, stderr } = spawnSync(file, args, { cwd: '/', encoding: 'utf8', stdio, timeout: 20_000 });
  return { status, stdout, stderr };
};
const folder = (...more: string[]) => ['--folder', join(dir, 'share'), ...more, ...SYSTEM];

const ESCAPES: ReadonlyArray<readonly [string, string]> = [
  ['reads beside the folder', 'cat ../outside'],
  ['renames what is beside it into it', 'mv -T ../outside stolen'],
  ['links what is beside it into it', 'ln ../outside stolen'],
  ['reads through a symlink of its own making', 'ln -sf ../outside l && cat l'],
  ['removes what is beside it', 'rm -f ../outside'],
  ['writes over what is beside it', 'echo x > ../outside'],
  ['shortens it', 'truncate -s 0 ../outside'],
  ['makes a file beside it', 'echo x > ../new'],
  ['makes a folder beside it', 'mkdir ../new'],
  ['moves its own out', 'mv inside ../new'],
  ['makes a pipe beside it', 'mkfifo ../new'],
  ['lists what is beside it', 'ls ..'],
  ['reads the users of the host', 'cat /etc/passwd'],
  ['reads the socket’s folder', `ls ${'$'}RUN`],
];

describe('a folder behind Landlock', () => {
  it.each(ESCAPES)('is no way out for who %s', (_, command) => {
    const script = `cd ${dir}/share && RUN=${dir}/run && ${command}`;
    const { status, stderr } = inFence(folder(), script);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/denied|cross-device/i);
    expect(readFileSync(join(dir, 'outside'), 'utf8')).toBe('outside\n');
    expect(readdirSync(dir).sort()).toEqual(['at', 'outside', 'run', 'share']);
    // The same without the fence is no mistake of the test's.
    expect(spawnSync('/bin/sh', ['-c', script], { cwd: '/' }).status).toBe(0);
  });

  it('can be worked with as ever', () => {
    const script = `cd ${dir}/share && echo a > f && mkdir -p d/e && mv f d/e/g && ln d/e/g h && ln -s h i && cat i && chmod 750 h && truncate -s 1 h && touch h && mkfifo p && rm -r d p && ls`;
    expect(inFence(folder(), script)).toMatchObject({ status: 0, stdout: 'a\nh\ni\ninside\nsibling\n', stderr: '' });
  });

  it('that is only to be read is only read', () => {
    const only = folder('--read-only');
    expect(inFence(only, `cd ${dir}/share && cat inside && ls`)).toMatchObject({ status: 0, stdout: 'inside\ninside\nsibling\n' });
    for (const command of [
      'echo x > inside',
      'echo x > new',
      'rm -f inside',
      'mv inside x',
      'ln inside x',
      'mkdir d',
      'truncate -s 0 inside',
    ]) {
      expect([command, inFence(only, `cd ${dir}/share && ${command}`).status]).not.toEqual([command, 0]);
    }
    expect(readFileSync(join(dir, 'share', 'inside'), 'utf8')).toBe('inside\n');
  });

  it('leaves nothing to gain: no privileges, no capabilities, no core, no descriptor but the socket', () => {
    const marker = openSync(join(dir, 'outside'), 'r');
    expect(marker).toBeGreaterThan(2);
    // The shell is the process that was fenced in; /proc of others is not to be read.
    const script =
      'while read -r line; do echo "$line"; done < /proc/$$/status; ulimit -c; for fd in /proc/$$/fd/*; do echo "fd ${fd##*/}"; done';
    const { stdout } = inFence(folder(), script);
    expect(stdout).toMatch(/^NoNewPrivs:\s1$/m);
    expect(stdout).toMatch(/^CapEff:\s0+$/m);
    expect(stdout).toMatch(/^0$/m);
    expect(stdout.match(/^fd \d+$/gm)?.filter((line) => Number(line.slice(3)) <= 3)).toEqual(['fd 0', 'fd 1', 'fd 2', 'fd 3']);
    expect(stdout).not.toContain(`fd ${marker}`);
  });

  it('lets nobody be reached by TCP or by an abstract socket', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { stderr, status } = inFence(
      folder(),
      `exec perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0) or die; connect(S, pack_sockaddr_in(${port}, inet_aton("127.0.0.1"))) or die "refused: $!"'`,
    );
    expect(status).not.toBe(0);
    expect(stderr).toContain('denied');
    server.close();
  });

  it('is not started for a folder that is not there', () => {
    expect(inFence(['--folder', join(dir, 'gone'), ...SYSTEM], 'echo started')).toMatchObject({ status: 71, stdout: '' });
  });
});

describe('a single file', () => {
  const file = (...more: string[]) => ['--file', join(dir, 'share', 'inside'), '--at', join(dir, 'at'), ...more];

  it('is alone in its folder, where nothing can be made', () => {
    const { stdout, stderr } = inFence(
      file(),
      `cd ${dir}/at && ls -A && cat inside; echo x > new; mkdir d; ln inside other; mv inside other; rm -f inside; ls -A`,
    );
    expect(stdout).toBe('inside\ninside\ninside\n');
    expect(stderr.trim().split('\n')).toHaveLength(5);
    // Not on the host: only who is in its namespace sees it.
    expect(readdirSync(join(dir, 'at'))).toEqual([]);
  });

  it('is the host’s own: what either side writes the other sees', async () => {
    const script = `cd ${dir}/at; echo from the guest >> inside; read x; cat inside`;
    const [program = '', ...args] = asUser([fence, '--socket', join(dir, 'run', 's'), ...file(), '--', '/bin/sh', '-c', script]);
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    const path = join(dir, 'share', 'inside');
    for (let tries = 0; tries < 200 && !readFileSync(path, 'utf8').includes('guest'); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    appendFileSync(path, 'from the host\n');
    child.stdin.end('\n');
    await once(child, 'close');
    expect(text).toBe('inside\nfrom the guest\nfrom the host\n');
  });

  it('that is only to be read cannot be written', () => {
    const { stdout, stderr } = inFence(file('--read-only'), `cd ${dir}/at && cat inside; echo x >> inside`);
    expect(stdout).toBe('inside\n');
    expect(stderr).toContain('Read-only file system');
    expect(readFileSync(join(dir, 'share', 'inside'), 'utf8')).toBe('inside\n');
  });

  it('that is no file is refused', () => {
    for (const path of ['/dev/zero', join(dir, 'share'), join(dir, 'gone')]) {
      expect(inFence(['--file', path, '--at', join(dir, 'at')], 'echo started')).toMatchObject({ status: 71, stdout: '' });
    }
  });
});

describe('a sealed folder', () => {
  const sealed = (path = join(dir, 'share')) => ['--sealed', path, '--at', join(dir, 'at')];
  const CHANGES = [
    'echo x > inside',
    'echo x >> inside',
    'echo x > new',
    'rm -f inside',
    'mv inside x',
    'ln inside x',
    'mkdir d',
    'ln -s inside l',
    'truncate -s 0 inside',
    'chmod 777 inside',
    'touch inside',
    'mkfifo p',
    'chgrp $(id -g) inside',
    'perl -e \'syscall(188, "inside", "user.x", "y", 1, 0) == 0 or die $!\'',
  ];

  it('is read, and changed by no call', () => {
    expect(inFence(sealed(), `cd ${dir}/at && cat inside && ls`)).toMatchObject({
      status: 0,
      stdout: 'inside\ninside\nsibling\n',
      stderr: '',
    });
    const before = statSync(join(dir, 'share', 'inside'));
    for (const command of CHANGES) {
      const { status, stderr } = inFence(sealed(), `cd ${dir}/at && ${command}`);
      expect([command, status === 0, /read-only/i.test(stderr)]).toEqual([command, false, true]);
    }
    const { mode, ctimeMs } = statSync(join(dir, 'share', 'inside'));
    expect([mode, ctimeMs, readdirSync(join(dir, 'share'))]).toEqual([before.mode, before.ctimeMs, ['inside', 'sibling']]);
    // Not on the host: only who is in its namespace sees it.
    expect(readdirSync(join(dir, 'at'))).toEqual([]);
  });

  it('has nothing in it that can be written, whatever is mounted below it, through links in its path and when it is all there is', () => {
    mkdirSync(join(dir, 'share', 'a b'));
    symlinkSync(join(dir, 'at'), join(dir, 'link'));
    // The namespace of these mounts is the test's own, for a plain user as well.
    const script = `mount -t tmpfs t '${dir}/share/a b' && exec ${fence} --socket ${dir}/run/s --sealed "$0" --at ${dir}/link -- /bin/sh -c "$1"`;
    const run = (path: string, command: string) => {
      rmSync(join(dir, 'run', 's'), { force: true });
      const [file = '', ...args] = asUser(['unshare', '--user', '--map-root-user', '--mount', '/bin/sh', '-c', script, path, command]);
      return spawnSync(file, args, { encoding: 'utf8', cwd: '/' });
    };
    expect(run(join(dir, 'share'), `cd '${dir}/at/a b' && echo x > y`)).toMatchObject({ stderr: expect.stringContaining('Read-only') });
    expect(run('/', `cd '${dir}/at${dir}/share' && cat inside && echo x > inside`)).toMatchObject({
      stdout: 'inside\n',
      stderr: expect.stringContaining('Read-only'),
    });
    expect(run('/', `cd '${dir}/at${dir}/share/a b' && echo x > y`)).toMatchObject({ stderr: expect.stringContaining('Read-only') });
  });

  it('is not started for a folder that is not there', () => {
    expect(inFence(sealed(join(dir, 'gone')), 'echo started')).toMatchObject({ status: 71, stdout: '' });
  });
});

needs(virtiofsd === undefined && 'no virtiofsd; run hypr setup').describe('virtiofsd itself', () => {
  it.each(['folder', 'file', 'sealed'] as const)('runs in the fence of a %s, with its own filter of system calls', async (kind) => {
    const tool = virtiofsd as NonNullable<typeof virtiofsd>;
    const path = join(dir, 'share', ...(kind === 'file' ? ['inside'] : []));
    const share = {
      tag: 's',
      path,
      readOnly: kind === 'sealed',
      ownership: 'squash' as const,
      ...(kind === 'file' ? { file: true as const } : {}),
    };
    const preload = await compileSharePreload(join(dir, 'library'), new AbortController().signal);
    const input = { tool, fence, preload, share, socket: join(dir, 'run', 's'), log: join(dir, 'run', 'log') };
    const ways = sandboxes(share, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, subordinate: undefined });
    const way = ways.find((each) => each.fence === kind) ?? { args: [] };
    mkdirSync(join(dir, 'run', 's.d'));
    const command = virtiofsdCommand(input, way);
    const child = spawn(command.file, command.args, { env: { LD_PRELOAD: preload ?? '' }, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    for await (const chunk of child.stderr) {
      said += String(chunk);
      if (said.includes('Waiting for vhost-user socket connection')) {
        break;
      }
    }
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'latin1').trim().split(' ').filter(Boolean);
    const statuses = [String(child.pid), ...children].map((pid) => readFileSync(`/proc/${pid}/status`, 'utf8'));
    child.kill('SIGKILL');
    expect(said).toContain('Waiting for vhost-user socket connection');
    expect(said).not.toContain('cannot be preloaded');
    // In a sandbox of its own, a process without capabilities waits for the one that serves.
    expect(statuses.every((status) => /^NoNewPrivs:\s1$/m.test(status))).toBe(true);
    expect(statuses.some((status) => /^Seccomp:\s2$/m.test(status))).toBe(true);
  });
});
