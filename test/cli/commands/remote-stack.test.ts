import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fakeContext, fakeProject, run } from '../support/fake-context.ts';

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-remote-'));
  file = join(folder, 'compose.yaml');
  await writeFile(file, 'services: {web: {image: "nginx:${TAG:-1}"}}\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a stack whose Compose file is remote', () => {
  test.each([
    ['up', 'up -d', 'up'],
    ['create', 'create', 'up'],
    ['run', 'compose run -T web true', 'run'],
  ])('%s does nothing when the user says no, also where .env names the file', async (_, line, call) => {
    const environment = { COMPOSE_FILE: 'oci://localhost:5000/app' };
    const context = fakeContext({ project: fakeProject({ files: [file], workingDir: folder, environment }) });
    context.stdin.end('n\n');
    expect(await run(context, line)).toBe(1);
    expect(context.stdout.text).toContain(`Your compose stack "oci://localhost:5000/app" is stored in "${folder}"`);
    expect(context.stdout.text).toMatch(/^TAG +1 +compose file/m);
    expect(context.fake.call(call)).toBeUndefined();
  });

  test('is not asked about where the file is on this host', async () => {
    const context = fakeContext({ project: fakeProject({ files: [file], environment: { COMPOSE_FILE: 'compose.yaml' } }) });
    expect(await run(context, 'create')).toBe(0);
    expect(context.stdout.text).not.toContain('is stored in');
    expect(context.fake.call('up')).toBeDefined();
  });
});
