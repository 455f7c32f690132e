import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSettings } from '../../../cli/core/settings.ts';
import { preferencesOf } from '../../../cli/dashboard/preferences.ts';
import { createKeyTable } from '../../../cli/dashboard/state/key-table.ts';
import { KEYS } from '../../../cli/dashboard/state/keys.ts';
import { fakeContext, run } from '../support/fake-context.ts';
import { NOW, replica } from '../support/fake-engine.ts';

describe('hypr settings', () => {
  test('lists every setting and every key with what it means, also without a word', async () => {
    const context = fakeContext();
    expect(await run(context, 'settings')).toBe(0);
    for (const name of ['ports ', 'dashboard.wrap ', ...KEYS.map(({ action }) => `keys.${action} `)]) {
      expect(context.stdout.text).toContain(`\n${name}`);
    }
  });

  test('set, get, list --changed, unset', async () => {
    const context = fakeContext();
    expect(await run(context, 'settings set ports auto')).toBe(0);
    expect(await run(context, 'settings set keys.restart R ctrl+r')).toBe(0);
    expect(context.stored).toEqual({ ports: 'auto', 'keys.restart': 'R ctrl+r' });
    await run(context, 'settings get ports');
    await run(context, 'settings list --changed --format {{.Name}}');
    await run(context, 'settings unset ports');
    await run(context, 'settings get ports');
    expect(context.stdout.text).toBe('auto\nports\nkeys.restart\nfixed\n');
    expect(context.stored).toEqual({ 'keys.restart': 'R ctrl+r' });
  });

  test.each([
    ['settings set port auto', 'did you mean ports?'],
    ['settings set ports maybe', 'use one of: fixed, auto'],
    ['settings set keys.restart s', 'the key s is for restart and for stop'],
    ['settings set keys.restart ctrl+c', '"ctrl+c" is no key that can be chosen'],
    ['settings set keys.dance x', 'there is no setting "keys.dance"'],
    ['settings lits', 'does not know what to do with "lits"'],
  ])('%s is refused: %s', async (line, message) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(1);
    expect(context.stderr.text).toContain(message);
    expect(context.stored).toEqual({});
  });

  test('ports: auto is what up does; HYPR_PORTS and --ports come first', async () => {
    const published = async (line: string, env: NodeJS.ProcessEnv = {}) => {
      const context = fakeContext({ env });
      context.stored = { ports: 'auto' };
      context.fake.replicas = [replica({ service: 'web', ports: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 81, port: 80 }] })];
      await run(context, line);
      return JSON.stringify(context.fake.call('up')?.args[0]);
    };
    const none = await published('up -d --ports fixed');
    expect(await published('up -d', { HYPR_PORTS: 'fixed' })).toBe(none);
    expect(await published('up -d')).toBe(none);
  });
});

describe('the dashboard', () => {
  test('has the keys of the settings; help shows them, and a swap of two keys is one of each', () => {
    const table = createKeyTable({ 'keys.restart': 's', 'keys.stop': 'r space ctrl+t', 'keys.select': 'x', 'keys.graph': 'z' });
    expect([table.actionOf('s'), table.actionOf('r'), table.actionOf(' '), table.actionOf('ctrl+t')]).toEqual([
      'restart',
      'stop',
      'stop',
      'stop',
    ]);
    expect(table.labelOf('stop')).toBe('r space ^T');
    expect(table.bindings).toHaveLength(KEYS.length);
  });

  test('begins with what the settings say', () => {
    const settings = { path: '', read: () => ({ 'dashboard.wrap': 'on', 'dashboard.times': 'on' }), write: async () => {} };
    expect(preferencesOf(settings).ui).toEqual({ wrap: true, timestamps: true, pretty: false });
  });

  test('up: stream shows lines instead', async () => {
    const context = fakeContext();
    context.stored = { up: 'stream' };
    for (const stream of [context.stdin, context.stdout, context.stderr]) {
      stream.isTTY = true;
    }
    context.fake.onUp = async () => {
      const ended = replica({ service: 'web', state: 'exited' });
      context.fake.replicas = [ended];
      context.fake.events.push({ type: 'replica', time: NOW, action: 'die', replica: ended });
    };
    await run(context, 'up');
    expect(context.stdout.text).not.toContain('\u001b[?1049h');
    expect(context.stdout.text).toContain('Attaching to web-1');
  });
});

describe('the file', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hypr-settings-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test('is for the user alone, and need not be there', async () => {
    const file = openSettings(join(dir, 'new', 'settings.json'));
    expect(file.read()).toEqual({});
    await file.write({ ports: 'auto' });
    expect(file.read()).toEqual({ ports: 'auto' });
    expect((await stat(file.path)).mode & 0o777).toBe(0o600);
  });

  test.each(['{', '[]', '{"ports": 1}', 'x'.repeat(70_000)])('%.20s is refused with its path', async (text) => {
    const path = join(dir, 'broken.json');
    await writeFile(path, text);
    expect(() => openSettings(path).read()).toThrow(expect.objectContaining({ code: 'HYPR_FILE', message: expect.stringContaining(path) }));
    expect(() => openSettings(dir).read()).toThrow(expect.objectContaining({ code: 'HYPR_FILE' }));
  });
});
