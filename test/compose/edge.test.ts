import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HyprError } from '../../base/errors.ts';
import { runConfig } from '../../compose/index.ts';
import { parseConfigArgs } from './config-args.ts';

/** Recorded from docker compose 5.5: what it prints, or that it refuses. */
interface EdgeCase {
  id: string;
  files: Record<string, string>;
  args: string[];
  env: Record<string, string>;
  cwd: string;
  rc: number;
  stdout: string;
  json?: unknown;
}

/** Where hypr differs on purpose; the reasons are in docs/compose-divergences.md. */
const DIVERGENCES: Record<string, { stdout: string; json?: unknown }> = {
  ext: {
    stdout:
      'name: ext\nservices:\n  a:\n    image: x\n    labels:\n      x-l: keep\n    networks:\n      default: null\n    x-svc:\n      - 1\n' +
      'networks:\n  default:\n    name: ext_default\nx-top:\n  a: 1\n',
    json: {
      name: 'ext',
      networks: { default: { name: 'ext_default', ipam: {} } },
      services: { a: { command: null, entrypoint: null, image: 'x', labels: { 'x-l': 'keep' }, networks: { default: null } } },
      'x-top': { a: 1 },
    },
  },
  'env-file-noenvres': {
    stdout:
      'name: env-file-noenvres\nservices:\n  a:\n    environment:\n      A: "1"\n    env_file:\n      - path: /__ROOT__/1.env\n' +
      '    image: x\n    networks:\n      default: null\nnetworks:\n  default:\n    name: env-file-noenvres_default\n',
  },
};

const folder = join(import.meta.dirname, 'edge');
const cases = (await readdir(folder)).sort();
let scratch = '';

beforeAll(async () => {
  scratch = await realpath(await mkdtemp(join(tmpdir(), 'hypr-edge-')));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('the recorded edge cases', () => {
  test.each(cases.map((name) => name.replace(/\.json$/, '')))('%s', async (id) => {
    const edge = JSON.parse(await readFile(join(folder, `${id}.json`), 'utf8')) as EdgeCase;
    const root = join(scratch, id);
    for (const [path, text] of Object.entries(edge.files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    const portable = (text: string) => text.replaceAll(root, '/__ROOT__').replaceAll(scratch, '/__PARENT__');
    const options = parseConfigArgs(edge.args, { cwd: join(root, edge.cwd), env: { HOME: '/root', ...edge.env } });
    if (edge.rc !== 0) {
      const error = await runConfig(options).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(HyprError);
      expect((error as HyprError).code).toMatch(/^COMPOSE_/);
      return;
    }
    const expected = DIVERGENCES[id] ?? edge;
    const { stdout } = await runConfig(options);
    const sorted = (text: string) =>
      edge.args.some((arg) => /^--(services|images|volumes|networks)$/.test(arg)) ? text.split('\n').sort().join('\n') : text;
    expect(sorted(portable(stdout))).toBe(sorted(expected.stdout));
    if (expected.json != null) {
      const json = await runConfig({ ...options, format: 'json' });
      expect(JSON.parse(portable(json.stdout))).toEqual(expected.json);
    }
  });
});
