import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-fds-'));
  buildSync({
    entryPoints: ['base/host/inherited.ts'],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile: join(dir, 'inherited.cjs'),
  });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs a script in a Node that a shell started with descriptors 9 and 200 open on a file that it holds a lock of; gives what it wrote. */
const underLock = (script: string): string => {
  const file = join(dir, 'script.cjs');
  writeFileSync(
    file,
    `const inherited = require('./inherited.cjs');\nconst fs = require('fs');\nconst { spawn } = require('child_process');\n${script}`,
  );
  const shell = 'exec 200>"$1/lock" 9>"$1/nine" && flock -n 200 && exec node "$1/script.cjs"';
  const { stdout, stderr, status } = spawnSync('bash', ['-c', shell, 'bash', dir], { encoding: 'utf8', timeout: 20_000 });
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
};

/** What a child of the script has open, by number. */
const CHILD = `const look = (stdio) => spawn('sh', ['-c', 'for f in /proc/self/fd/*; do readlink -n "$f" && echo " \${f##*/}"; done'], { stdio });`;

describe('descriptors of the shell that called', () => {
  it('go to every child of Node, unless something is done', () => {
    expect(underLock(`${CHILD} look(['ignore', 'inherit', 'inherit']);`)).toContain('/lock 200');
  });

  it('are not what a child of a command has', () => {
    const script = `${CHILD}
      const { stdio, done } = inherited.withoutInherited(['ignore', 'inherit', 'inherit', 'pipe']);
      look(stdio); done();
      fs.writeSync(200, 'the command itself still has it');`;
    const seen = underLock(script);
    expect(seen).not.toContain(dir);
    expect(seen).toMatch(/^socket:\[\d+\] 3$/m);
    expect(seen).toContain('/dev/null 200');
    expect(readFileSync(join(dir, 'lock'), 'utf8')).toBe('the command itself still has it');
  });

  it('are closed by a process that stays: a lock is had again', () => {
    const script = `inherited.closeInherited([]);
      const { spawnSync } = require('child_process');
      console.log(spawnSync('flock', ['-n', __dirname + '/lock', 'echo', 'free'], { encoding: 'utf8' }).stdout);
      console.log(inherited.inheritedDescriptors().length);`;
    expect(underLock(script)).toBe('free\n\n0\n');
  });

  it('stay where they were given on purpose', () => {
    expect(
      underLock(`inherited.closeInherited([200]); fs.writeSync(200, 'kept'); console.log(inherited.inheritedDescriptors().join());`),
    ).toBe('200\n');
  });
});
