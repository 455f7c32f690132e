import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { openObjects } from '../../../engine/client/objects.ts';
import { listCards } from '../../../engine/index.ts';
import type { Image } from '../../../engine/model/types.ts';
import { openTestStack, shopOf } from '../../engine/support/stack.ts';
import { root } from '../../support/cli.ts';
import { fakeContext, run } from '../support/fake-context.ts';
import { replica } from '../support/fake-engine.ts';

const IMAGE: Image = {
  id: `sha256:${'ab'.repeat(32)}`,
  manifestDigest: 'sha256:11',
  references: ['docker.io/library/nginx:latest'],
  platform: 'linux/amd64',
  created: 0,
  size: 1,
  config: { Env: [], Entrypoint: null, Cmd: null, WorkingDir: '', User: '', ExposedPorts: {}, Volumes: {}, Labels: {} },
  layers: ['sha256:22'],
};
const USAGE = { cpu: 1, memory: 2, memoryLimit: 3, hostMemory: 4, netRx: 5, netTx: 6, blockRead: 7, blockWrite: 8, pids: 9 };

interface Described {
  readonly commands: readonly string[];
  readonly form: string;
  readonly members: ReadonlyMap<string, { readonly type: string; readonly optional: boolean }>;
}

/** The tables of docs/listings.md. */
const read = (text: string): Described[] =>
  text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [head = '', ...lines] = section.split('\n');
      const members = new Map<string, { type: string; optional: boolean }>();
      for (const line of lines) {
        const [, names = '', type = ''] = line.split(' | ').length >= 3 ? (/^\| (.*?) \| (\w+) \|/.exec(line) ?? []) : [];
        for (const [name] of names.matchAll(/\(?`\w+`\)?/g)) {
          members.set(name.replace(/[()`]/g, ''), { type, optional: name.startsWith('(') });
        }
      }
      return { commands: [...head.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name), form: /\((\w+)\)$/.exec(head)?.[1] ?? '', members };
    });

const described = read(readFileSync(join(root, 'docs/listings.md'), 'utf8'));
const listed = described.flatMap(({ commands, ...rest }) => commands.map((command) => ({ command, ...rest })));

const typeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value === 'string' ? 'text' : typeof value);

/** The home of a stack that is up on the fake host. */
const upShop = async (): Promise<string> => {
  const stack = openTestStack();
  const volumes = { data: { name: 'shop_data', labels: { team: 'a' } } };
  await stack.up(shopOf(stack, { db: { volumes: [{ type: 'volume', source: 'data', target: '/data' }] }, web: {} }, { volumes }));
  return join(stack.dir, 'home');
};

/** What is read from the records of that home; the others ask the fake engine. */
const REAL: ReadonlySet<string> = new Set(['ps -a', 'volume ls', 'network ls']);

describe('--format json', () => {
  test('each listing has its table', () => {
    expect(listed.length).toBeGreaterThanOrEqual(15);
    expect(listed.filter(({ form, members }) => !['lines', 'array'].includes(form) || members.size === 0)).toEqual([]);
  });

  test.each(listed)('of $command is as docs/listings.md says', async ({ command, form, members }) => {
    const home = REAL.has(command) ? homePaths(await upShop()) : undefined;
    const context = fakeContext(home === undefined ? {} : { engine: { openObjects: async () => openObjects(home) } });
    context.fake.replicas = [replica({ service: 'web', imageId: IMAGE.id }), replica({ service: 'db', imageId: IMAGE.id })];
    context.fake.images = [IMAGE];
    context.fake.usage = context.fake.replicas.map(({ name }) => ({ replica: name, ...USAGE }));
    expect(await run(context, `${command} --format json`), context.stderr.text).toBe(0);
    const out = context.stdout.text;
    const objects: Array<Record<string, unknown>> =
      form === 'array'
        ? JSON.parse(out)
        : out
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => JSON.parse(line));
    // A host may have no PCI card at all.
    expect(objects.length).toBeGreaterThanOrEqual(command.startsWith('gpu') ? (await listCards()).length : 1);
    for (const object of objects) {
      const wanted = [...members].filter(([name, { optional }]) => !optional || name in object);
      expect(Object.fromEntries(Object.entries(object).map(([name, value]) => [name, typeOf(value)]))).toEqual(
        Object.fromEntries(wanted.map(([name, { type }]) => [name, type])),
      );
    }
  });
});
