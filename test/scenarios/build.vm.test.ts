import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { BuildEvent } from '../../builder/model/types.ts';
import { type CliResult, hypr, hyprBin } from '../support/cli.ts';
import { SEED } from '../support/seed.ts';
import { processesOf, TestStack } from '../support/stack.ts';
import { LIST_TREES, randomTreeScript } from '../support/tree-scripts.ts';

const DOCKERFILE = `# syntax=docker/dockerfile:1
ARG BASE=busybox
FROM \${BASE} AS lower
COPY <<TEXT /opt/keep
keep
TEXT
COPY tree /opt

FROM lower AS work
ARG GREETING=hi
ARG UNSET
ENV MODE=test
RUN echo "[$GREETING] [$MODE] [\${UNSET-unset}]" > /opt/args && rm /opt/gone && rm -r /opt/old && mkdir /opt/old && echo new > /opt/old/fresh
COPY hello.txt /opt/hello.txt
RUN cat /opt/hello.txt > /opt/copied
RUN <<SCRIPT
set -e
cd /opt
cp /bin/busybox setuid && chmod 4755 setuid
ln -s keep link
ln -s /absolute/nowhere dangling
ln keep hard
mkfifo fifo
mkdir sticky && chmod 1777 sticky
touch owned && chown 1234:5678 owned
SCRIPT
RUN <<PROGRAM
#!/bin/sh
echo "$0" > /opt/program
PROGRAM
USER 1000:1000
WORKDIR /home/app
RUN id > /tmp/who && pwd >> /tmp/who && touch mine
USER root
RUN --mount=type=cache,target=/cache,id=numbers \\
    --mount=type=tmpfs,target=/scratch,size=8m \\
    --mount=type=secret,id=token,required=true \\
    --mount=type=secret,id=token,env=TOKEN,target=/elsewhere \\
    --mount=type=bind,source=.,target=/context \\
    --mount=type=bind,from=lower,source=/opt,target=/from \\
    echo one >> /cache/numbers && echo x > /scratch/x && mount | grep -c ' on /scratch type tmpfs' > /opt/tmpfs \\
    && stat -c '%a' /run/secrets/token > /opt/secret && test "$(cat /run/secrets/token)" = "$TOKEN" && test \${#TOKEN} = 12 \\
    && cat /context/hello.txt /from/gone > /opt/bound
RUN --network=none --mount=type=cache,target=/other,id=numbers \\
    echo two >> /other/numbers && cp /other/numbers /opt/numbers && ls /sys/class/net > /opt/cards

FROM busybox
COPY --from=work /opt /opt
COPY --from=work --chown=7:8 /home/app /home/app
COPY --from=work /tmp/who /who
CMD ["sleep", "1000"]
`;

const CHECKS = `cd /opt
head -1 args copied program secret bound tmpfs who /who 2>/dev/null | grep -v '^$'
cat bound numbers cards old/* /who
stat -c '%n %a %u %g' setuid sticky owned keep /home/app/mine
readlink link; readlink dangling
[ hard -ef keep ] && echo same file
[ -p fifo ] && echo pipe
ls -d gone old/sub /cache /scratch /context /from /run/secrets /elsewhere /dev/pipes 2>&1 | grep -v 'No such'
true`;

describe('builds in machines', () => {
  let stack: TestStack;
  let home: string;
  beforeAll(async () => {
    // A home of its own: nothing is in the cache, and whatever is left there was left by these builds.
    home = join(tmpdir(), `hypr-build-test-${process.pid}`);
    await mkdir(home, { recursive: true, mode: 0o700 });
    await symlink(join(inject('hyprHome'), 'toolchain'), join(home, 'toolchain'));
    stack = await new TestStack('buildtest', { HYPR_HOME: home, TOKEN_SOURCE: 's3cret-value' }).write({
      Dockerfile: DOCKERFILE,
      'hello.txt': 'hello\n',
      'tree/gone': 'gone\n',
      'tree/old/sub/file': 'old\n',
      'compose.yaml': 'services:\n  app:\n    image: built\n',
    });
  });
  afterAll(async () => {
    await stack.close();
    await rm(home, { recursive: true, force: true });
  });
  const build = (args: readonly string[], input?: string): Promise<CliResult> =>
    hypr(['build', ...args, '.'], { cwd: stack.dir, env: stack.env, timeout: 230_000, ...(input === undefined ? {} : { input }) });
  const buildAll = (args: readonly string[] = []) =>
    build(['-t', 'built', '--secret', 'id=token,env=TOKEN_SOURCE', '--build-arg', 'GREETING=moin', ...args]);
  const leftovers = async () => ({
    machines: (await readdir(join(home, 'build'))).filter((name) => name.startsWith('machine-')),
    // A template that is made in the background is no build's.
    processes: (await processesOf(home)).filter((line) => !line.includes('-name hypr-template')),
    logs: await readdir(join(home, 'logs', 'builds')).catch(() => []),
  });
  const nothing = { machines: [], processes: [], logs: [] };

  test('stages, files between RUNs, users, mounts, heredocs: the image has what it should have', async () => {
    const { code, stdout, stderr } = await buildAll();
    expect(stderr, stderr).toMatch(/Built built/);
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain('s3cret-value');
    expect(await leftovers()).toEqual(nothing);
    await stack.must(['up', '-d']);
    const shown = await stack.must(['exec', '-T', 'app', 'sh', '-c', CHECKS]);
    await stack.must(['stop', '-t', '1']);
    expect(shown).toBe(
      `==> args <==
[moin] [test] [unset]
==> copied <==
hello
==> program <==
/dev/pipes/PROGRAM
==> secret <==
400
==> bound <==
hello
==> tmpfs <==
1
==> /who <==
uid=1000 gid=1000 groups=1000
hello
gone
one
two
lo
new
uid=1000 gid=1000 groups=1000
/home/app
setuid 4755 0 0
sticky 1777 0 0
owned 644 1234 5678
keep 644 0 0
/home/app/mine 644 7 8
keep
/absolute/nowhere
same file
pipe
`,
    );
  });

  test('a RUN reads the settings of its kernel and changes none, as with docker', async () => {
    const script = `for f in sys/kernel/hostname sys/vm/swappiness sysrq-trigger irq/default_smp_affinity; do
      if { echo 1 > /proc/$f; } 2>/dev/null; then echo "changed $f"; fi; done; cat /proc/sys/vm/swappiness; wc -c < /proc/keys; ls /sys/firmware`;
    const { stdout, stderr, code } = await build(['--progress', 'plain', '-f', '-'], `FROM busybox\nRUN ${script.replaceAll('\n', ' ')}\n`);
    expect(code, stderr).toBe(0);
    const said = [...`${stdout}${stderr}`.matchAll(/^#\d+ [\d.]+ (.*)$/gm)].map(([, line]) => line);
    expect(said).toEqual([expect.stringMatching(/^\d+$/), '0']);
  });

  test('a second build takes every step from the cache and gives the same image', async () => {
    const first = await stack.run(['images', '-q']);
    const { code, stderr } = await buildAll(['--progress', 'json']);
    expect(code, stderr).toBe(0);
    const events = stderr.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as BuildEvent] : []));
    const steps = events.filter(
      (event) => event.type === 'vertex' && event.state !== 'started' && /\] (RUN|COPY|WORKDIR)/.test(event.name),
    );
    expect(steps.map((step) => (step.type === 'vertex' ? step.state : ''))).toEqual(Array.from({ length: 14 }, () => 'cached'));
    expect(await stack.run(['images', '-q'])).toEqual(first);
  });

  test('a failing RUN names its line, shows its last words, and leaves nothing', async () => {
    const file = 'FROM busybox\nRUN true\n\nRUN echo about to fail; \\\n    echo it broke >&2; exit 7\n';
    const { code, stdout, stderr } = await build(['-f', '-'], file);
    expect(code).toBe(1);
    expect(stdout + stderr).toMatch(/exit code: 7/);
    expect(stdout + stderr).toMatch(/Dockerfile:4/);
    expect(
      stderr
        .trim()
        .split('\n')
        .slice(-8)
        .map((line) => line.trim()),
    ).toEqual([
      '2 |     RUN true',
      '3 |',
      '4 | >>> RUN echo about to fail; \\',
      '5 | >>>     echo it broke >&2; exit 7',
      '--------------------',
      'about to fail',
      'it broke',
      'fix: for a shell where it failed: hypr build --debug',
    ]);
    expect(await leftovers()).toEqual(nothing);
  });

  test('limits are named when they are met, by the flag that raises them', { timeout: 180_000 }, async () => {
    const run = (line: string, ...args: string[]) => build(['-f', '-', ...args], `FROM busybox\nRUN ${line}\n`);
    const results = [
      await run('tail /dev/zero', '--memory', '256m'),
      await run('dd if=/dev/zero of=/big bs=1M', '--disk', '128m'),
      await run('echo started && sleep 1000', '--timeout', '3s'),
    ];
    expect(results.map(({ code }) => code)).toEqual([1, 1, 1]);
    expect(results[0]?.stderr).toMatch(/ran out of memory \(256 MiB\)[\s\S]*--memory/);
    expect(results[1]?.stderr).toMatch(/disk of the build machine is full[\s\S]*--disk/);
    expect(results[2]?.stderr).toMatch(/longer than the 3 s[\s\S]*--timeout/);
    expect(await leftovers()).toEqual(nothing);
  });

  test('a cache is one step’s at a time, in any number of processes, and outlives a build that is killed', async () => {
    const step = (name: string, more: string) =>
      `FROM busybox\nRUN --mount=type=cache,id=one,sharing=locked,target=/c echo ${name} && ! test -e /c/busy && touch /c/busy && sleep 2 && ${more} rm /c/busy && echo ${name} >> /c/list && cat /c/list\n`;
    const both = await Promise.all(['a', 'b'].map((name) => build(['--progress', 'plain', '-f', '-'], step(name, ''))));
    expect(
      both.map(({ code }) => code),
      both.map(({ stderr }) => stderr).join('\n'),
    ).toEqual([0, 0]);
    await stack.write({ 'Dockerfile.killed': step('killed', 'rm /c/busy && sync && echo waiting now && sleep 1000 &&') });
    const child = spawn(hyprBin, ['build', '--progress', 'plain', '-f', 'Dockerfile.killed', '.'], {
      cwd: stack.dir,
      env: { ...process.env, ...stack.env },
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (/^#\d+ [\d.]+ waiting now$/m.test(text) && child.exitCode === null && child.signalCode === null) {
        process.kill(-(child.pid ?? 0), 'SIGKILL');
      }
    });
    await new Promise((resolve) => child.once('close', resolve));
    // The guard needs a moment; the disk of the cache is free when it is through.
    await expect.poll(leftovers, { timeout: 30_000 }).toEqual(nothing);
    const after = await build(['--progress', 'plain', '-f', '-'], step('after', ''));
    expect(after.code, after.stderr).toBe(0);
    expect(after.stderr).toMatch(/ (a\n.* b|b\n.* a)\n.* after$/m);
    const locks = await Promise.all(['build/locks', 'build/tmp', 'images/locks', 'images/tmp'].map((name) => readdir(join(home, name))));
    expect(locks).toEqual([[], [], [], []]);
  });

  test.each([
    ['while the machine of a RUN starts', /RUN echo running now && sleep/],
    ['in the middle of a RUN', /^#\d+ [\d.]+ running now$/m],
  ])('Ctrl-C %s cancels and leaves nothing', async (_, sign) => {
    await stack.write({ 'Dockerfile.endless': 'FROM busybox\nRUN echo running now && sleep 1000\n' });
    const child = spawn(hyprBin, ['build', '--progress', 'plain', '-f', 'Dockerfile.endless', '.'], {
      cwd: stack.dir,
      env: { ...process.env, ...stack.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (sign.test(text) && !child.killed) {
        child.kill('SIGINT');
      }
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code, text).toBe(130);
    expect(text).toMatch(/CANCELED|HYPR_CANCELLED/);
    expect(await leftovers()).toEqual(nothing);
  });

  test('compose build of a service whose build reads the image of another makes that one first', async () => {
    const two = await new TestStack('buildtwo', { HYPR_HOME: home }).write({
      'compose.yaml':
        'services:\n  web: {build: {context: web, additional_contexts: {x: "service:low"}}}\n  low: {build: low, profiles: [p]}\n',
      'low/Dockerfile': 'FROM scratch\nCOPY Dockerfile /low\n',
      'web/Dockerfile': 'FROM x\nCOPY --from=x /low /copied\n',
      Dockerfile: 'FROM buildtwo-web\n',
    });
    try {
      expect((await two.run(['build', 'web'])).stderr).toContain('which is only in the inactive profile p');
      await two.must(['--profile', 'p', 'build', 'web']);
      const { code, stderr } = await hypr(['build', '-o', 'out', '.'], { cwd: two.dir, env: two.env });
      expect(code, stderr).toBe(0);
      const texts = await Promise.all(['low', 'copied'].map((name) => readFile(join(two.dir, 'out', name), 'utf8')));
      expect(texts).toEqual(Array(2).fill('FROM scratch\nCOPY Dockerfile /low\n'));
    } finally {
      await two.close();
    }
  });

  test('an image has the tree that its last RUN saw, whatever the RUNs did to it', async () => {
    const steps = [0, 1, 2].map(
      (step) => `RUN <<STEP\n${randomTreeScript(SEED, step)}\nSTEP\nRUN --mount=type=cache,target=/t/cached/x true`,
    );
    const made = await new TestStack('buildtrees', { HYPR_HOME: home }).write({
      Dockerfile: ['FROM busybox', ...steps, `RUN ${LIST_TREES}`, ''].join('\n'),
      Again: `FROM trees\nRUN ${LIST_TREES}\n`,
    });
    const listing = ({ code, stderr }: CliResult): string[] => {
      expect(code, stderr).toBe(0);
      return stderr.split('\n').flatMap((line) => /^#\d+ [\d.]+ (.*)$/.exec(line)?.[1] ?? []);
    };
    try {
      const options = { cwd: made.dir, env: made.env, timeout: 230_000 };
      const seen = listing(await hypr(['build', '--progress', 'plain', '-t', 'trees', '.'], options));
      expect(seen.length).toBeGreaterThan(6);
      expect(listing(await hypr(['build', '--progress', 'plain', '-f', 'Again', '.'], options))).toEqual(seen);
    } finally {
      await made.close();
    }
  });

  test('pruning takes the build cache and unused images, never what a stopped stack has', async () => {
    const own = (args: readonly string[]) => hypr(args, { cwd: stack.dir, env: stack.env });
    const { code, stdout, stderr } = await own(['system', 'prune', '-f', '-a']);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/untagged: busybox:latest/);
    expect((await own(['images'])).stdout).toMatch(/^built +latest/m);
    expect((await own(['system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}}'])).stdout).toMatch(
      /^Images 1 1\nContainers 1 0\nLocal Volumes 0 0\nBuild Cache 0 0\nTemplates \d+ 0\n$/,
    );
    expect(await own(['system', 'check'])).toMatchObject({ code: 0, stdout: '' });
    await stack.must(['start']);
    expect(await stack.must(['exec', '-T', 'app', 'cat', '/opt/old/fresh'])).toBe('new\n');
  });
});
