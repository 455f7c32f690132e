import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { nameOfUser, refuseForeignHome } from '../../../base/host/home.ts';
import { onlyWhere } from '../../support/needs.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-home-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const isRoot = process.getuid?.() === 0;
const NOBODY = 65_534;

/** What a process of that user without any rights is told; `access` goes by the real id, so this needs a process of its own. */
const refusalOfNobody = (home: string): { message: string; hint: string; code: string } => {
  const script = join(dir, 'home.cjs');
  buildSync({ entryPoints: ['base/host/home.ts'], bundle: true, platform: 'node', format: 'cjs', outfile: script });
  chmodSync(script, 0o644);
  const call = `try { require(${JSON.stringify(script)}).refuseForeignHome(${JSON.stringify(home)}) } catch (error) { console.log(JSON.stringify(error)) }`;
  const { stdout, stderr } = spawnSync('setpriv', [`--reuid=${NOBODY}`, '--regid=65534', '--clear-groups', 'node', '-e', call], {
    encoding: 'utf8',
    // Node reads the package.json of where it stands, which that user may not be able to.
    cwd: '/',
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
};

const refusal = (work: () => void): HyprError => {
  try {
    work();
  } catch (error) {
    if (error instanceof HyprError) {
      return error;
    }
    throw error;
  }
  throw new Error('nothing was refused');
};

onlyWhere(!isRoot && 'only root can make a home of somebody else').describe('a home of somebody else', () => {
  it('is told by its owner, not as a mistake of hypr', () => {
    chmodSync(dir, 0o755);
    const closed = join(dir, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    for (const home of [closed, join(closed, 'below'), join(closed, 'a', 'b'), join(dir, 'not-there')]) {
      const error = refusalOfNobody(home);
      expect(error.code).toBe('HYPR_PERMISSION');
      expect(error.message).toContain('belongs to root');
      expect(error.hint).toContain('HYPR_HOME');
    }
  });

  it('is refused even where it is open to all: its owner would decide what runs', () => {
    const home = join(dir, 'open');
    mkdirSync(home);
    chmodSync(dir, 0o755);
    chmodSync(home, 0o777);
    chownSync(home, 12_345, 12_345);
    const error = refusalOfNobody(home);
    expect(error.message).toContain('is the hypr home of the user with id 12345');
  });

  it('may have root’s database in it, after sudo: whose it is, and how to have it back', () => {
    chmodSync(dir, 0o777);
    writeFileSync(join(dir, 'hypr.db'), '', { mode: 0o600 });
    const error = refusalOfNobody(dir);
    expect(error.message).toContain(`hypr.db belongs to root, and you are ${nameOfUser(NOBODY)}`);
    expect(error.hint).toContain('chown');
  });

  it('and a file, or a folder below one, are no home', () => {
    writeFileSync(join(dir, 'file'), '');
    expect(refusal(() => refuseForeignHome(join(dir, 'file'))).message).toContain('is a file');
    expect(refusal(() => refuseForeignHome(join(dir, 'file', 'below'))).message).toContain('is a file');
  });
});
