import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ReplicaDetail } from '../../../engine/model/types.ts';
import { fakeContext, run } from '../support/fake-context.ts';
import { replica } from '../support/fake-engine.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hypr-support-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const SECRETS = ['correct-horse-battery', 'tok_live_0123456789', 'file-content-password'];

/** A stack whose logs, environment, labels and files have secrets in them. */
const prepare = async () => {
  const logs = join(dir, 'logs', 'shop');
  await mkdir(logs, { recursive: true });
  await writeFile(join(logs, 'supervisor.log'), `{"message":"started with ${SECRETS[0]}","url":"https://u:${SECRETS[1]}@h/"}\n`);
  await writeFile(join(logs, 'shop-web-1.console.log'), `panic: ${SECRETS[2]}\nbooted\n`);
  await writeFile(join(logs, 'shop-web-1.jsonl'), `{"l":"password=${SECRETS[0]}"}\n`);
  const spec = {
    process: { env: [`DB_PASSWORD=${SECRETS[0]}`, 'LEVEL=info'] },
    labels: { token: SECRETS[1] },
    files: [{ source: { content: `${SECRETS[2]}\n` } }],
    networks: [],
    mounts: [],
    restart: { condition: 'no' },
  };
  const status = replica({ service: 'web', reason: `it said ${SECRETS[0]}` });
  const context = fakeContext({ env: { HYPR_HOME: dir, HYPR_SECRET_KEY: 'my-own-secret' } });
  context.fake.machines = [{ stack: 'shop', status, spec, logPath: join(logs, 'shop-web-1.jsonl') } as unknown as ReplicaDetail];
  return context;
};

test('one file for the user alone, with logs and facts, and none of the secrets in it', async () => {
  const context = await prepare();
  const path = join(dir, 'out.tar.gz');
  expect(await run(context, `support-bundle -o ${path} --logs`)).toBe(0);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const text = gunzipSync(await readFile(path)).toString('utf8');
  for (const secret of [...SECRETS, 'my-own-secret']) {
    expect(text).not.toContain(secret);
  }
  for (const name of [
    'host.json',
    'doctor.json',
    'stacks.json',
    'machines.json',
    'shop/supervisor.log',
    'shop/shop-web-1.console.log',
    'shop/shop-web-1.jsonl',
  ]) {
    expect(text).toContain(`hypr-support/${name}`);
  }
  expect(text).toContain('booted');
  expect(text).toContain('"HYPR_SECRET_KEY"');
});

test('what only env files have is not in it either: those of a secret, and those that a variable has', async () => {
  const context = await prepare();
  const project = join(dir, 'project');
  await mkdir(project);
  await writeFile(join(project, '.env'), "A_PASSWORD='dot-env-password'\nSIGNING=only-a-secret\nBROKEN='x\n");
  await writeFile(join(dir, 'prod.env'), 'export B_TOKEN="prod-env-token"\n');
  const said = ['dot-env-password', 'only-a-secret', 'prod-env-token'];
  await writeFile(join(dir, 'logs/shop/supervisor.log'), `{"message":"${said.join(' ')}"}\n`);
  for (const { spec } of context.fake.machines) {
    (spec.files as unknown[]).push({ source: { environment: 'SIGNING' } });
  }
  context.fake.stacks = context.fake.stacks.map((stack) => ({ ...stack, workingDir: project, envFiles: [join(dir, 'prod.env')] }));
  const path = join(dir, 'out.tar.gz');
  expect(await run(context, `support-bundle -o ${path}`)).toBe(0);
  const text = gunzipSync(await readFile(path)).toString('utf8');
  for (const secret of said) {
    expect(text).not.toContain(secret);
  }
});

test('the output of services is not in it unless asked for', async () => {
  const context = await prepare();
  const path = join(dir, 'out.tar.gz');
  await run(context, `support-bundle -o ${path}`);
  expect(gunzipSync(await readFile(path)).toString('utf8')).not.toContain('.jsonl');
});

test('doctor --fix sets up what is missing, takes stacks over, and then checks', async () => {
  const context = fakeContext();
  context.fake.checks = [
    { id: 'toolchain', title: 'Toolchain', status: 'fail', detail: 'not set up', fix: 'hypr setup', repair: 'set up' },
    { id: 'stale', title: 'Stale machines', status: 'warn', detail: 'shop-web-1', repair: 'recover' },
    { id: 'memory', title: 'Memory', status: 'ok', detail: '' },
  ];
  expect(await run(context, 'doctor --fix')).toBe(1);
  expect(context.stderr.text).toContain('Toolchain');
  expect([context.fake.opened, context.fake.closed]).toEqual([2, 2]);
  expect(context.stdout.text).toContain('Toolchain: not set up');
});

test('doctor --fix says so when there is nothing that it could mend', async () => {
  const context = fakeContext();
  context.fake.checks = [{ id: 'kvm', title: 'KVM', status: 'warn', detail: 'no access', fix: 'sudo usermod -aG kvm ann' }];
  expect(await run(context, 'doctor --fix')).toBe(0);
  expect(context.stderr.text).toBe('there is nothing that can be mended without root\n');
  expect(context.fake.opened).toBe(0);
});
