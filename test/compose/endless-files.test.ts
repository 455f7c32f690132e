import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadProject } from '../../compose/load/load.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-endless-'));
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  mkdirSync(join(dir, 'app'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const load = (yaml: string, more: Partial<Parameters<typeof loadProject>[0]> = {}) => {
  writeFileSync(join(dir, 'compose.yaml'), yaml);
  return loadProject({ cwd: dir, env: {}, ...more });
};

/** Everything by which a Compose file can name another. */
const NAMED: ReadonlyArray<readonly [string, (path: string) => string]> = [
  ['env_file', (path) => `services: {a: {image: x, env_file: ${path}}}`],
  ['env_file, optional', (path) => `services: {a: {image: x, env_file: [{path: ${path}, required: false}]}}`],
  ['env_file, raw', (path) => `services: {a: {image: x, env_file: [{path: ${path}, format: raw}]}}`],
  ['label_file', (path) => `services: {a: {image: x, label_file: ${path}}}`],
  ['extends', (path) => `services: {a: {extends: {file: ${path}, service: b}}}`],
  ['include', (path) => `include: [${path}]\nservices: {a: {image: x}}`],
  ['env_file of include', (path) => `include: [{path: ok.yaml, env_file: ${path}}]\nservices: {a: {image: x}}`],
];

describe.each(NAMED)('%s', (_, yaml) => {
  it.each(['/dev/zero', '/dev/urandom', './fifo', '/dev/stdin-is-missing/../zero'])(
    'names %s, and is refused within a moment',
    async (path) => {
      writeFileSync(join(dir, 'ok.yaml'), 'services: {b: {image: x}}');
      const begin = Date.now();
      await expect(load(yaml(path))).rejects.toMatchObject({
        code: expect.stringMatching(/^(HYPR_FILE|COMPOSE_ENV_FILE|COMPOSE_NOT_FOUND)$/),
      });
      expect(Date.now() - begin).toBeLessThan(5_000);
    },
  );
});

it('the place that names it is shown', async () => {
  await expect(load('services:\n  a:\n    image: x\n    env_file: /dev/zero\n')).rejects.toMatchObject({
    code: 'HYPR_FILE',
    where: { line: 4 },
  });
});

it('-f and --env-file may be pipes, and a Ctrl-C ends the wait for one', async () => {
  for (const options of [{ files: [join(dir, 'fifo')] }, { envFiles: [join(dir, 'fifo')] }]) {
    const stop = new AbortController();
    const loading = load('services: {a: {image: x}}', { ...options, signal: stop.signal });
    setTimeout(() => stop.abort(new Error('interrupted')), 30);
    await expect(loading).rejects.toThrow('interrupted');
  }
});

it('but no device', async () => {
  await expect(load('services: {a: {image: x}}', { files: ['/dev/zero'] })).rejects.toMatchObject({ code: 'HYPR_FILE' });
  await expect(load('services: {a: {image: x}}', { envFiles: ['/dev/zero'] })).rejects.toMatchObject({ code: 'HYPR_FILE' });
});

it('a .env that is a pipe waits for nobody', async () => {
  execFileSync('mkfifo', [join(dir, '.env')]);
  await expect(load('services: {a: {image: x}}')).rejects.toMatchObject({ code: 'HYPR_FILE' });
});
