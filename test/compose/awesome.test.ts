import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustRun } from '../../base/host/process.ts';
import { runConfig } from '../../compose/index.ts';
import { onlyWhere } from '../support/needs.ts';

/** The example applications of docker/awesome-compose with docker compose's answers; they lie beside the project. */
const shared = join(import.meta.dirname, '../../../shared/conformance/compose');
const available = existsSync(join(shared, 'awesome'));
const apps = available ? readdirSync(join(shared, 'awesome')).sort() : [];
let scratch = '';

onlyWhere(!available && 'docker/awesome-compose is not in ../shared').describe('39 example applications', () => {
  beforeAll(async () => {
    scratch = await realpath(await mkdtemp(join(tmpdir(), 'hypr-awesome-')));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  test('are all there when the folder is', () => expect(apps).toHaveLength(39));

  test.each(apps)('%s', async (app) => {
    await cp(join(shared, 'awesome', app), join(scratch, app), { recursive: true });
    // They may lie there to be read only, which only root could remove again.
    await mustRun('chmod', ['-R', 'u+w', join(scratch, app)]);
    const golden = (kind: string) => readFile(join(shared, 'awesome-golden-v5', `${app}__compose.${kind}`), 'utf8');
    const config = async (format: 'yaml' | 'json') => {
      const { stdout } = await runConfig({ cwd: join(scratch, app), env: { HOME: '/__HOME__' }, format });
      return stdout.replaceAll(scratch, '/__ROOT__');
    };
    expect(await config('yaml')).toBe(await golden('yaml'));
    expect(await config('json')).toBe(await golden('json'));
  });
});
