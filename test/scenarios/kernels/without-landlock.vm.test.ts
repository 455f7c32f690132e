import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileC } from '../../../base/host/compile.ts';
import { hypr } from '../../support/cli.ts';
import { processesOf, TestStack } from '../../support/stack.ts';

/** What hypr starts, and all that this starts, finds no Landlock. */
describe('on a kernel without Landlock', () => {
  const tools = mkdtempSync(join(tmpdir(), 'hypr-deny-'));
  const stack = new TestStack('nolandlock');
  let deny: string;

  beforeAll(async () => {
    deny = await compileC({ source: 'test/support/kernels/deny.c', outDir: tools });
    await stack.write({
      'note.txt': 'from the host\n',
      Dockerfile: 'FROM busybox\nRUN echo built > /built\n',
      'compose.yaml': `
services:
  many: { image: busybox, command: sleep 3600, init: true, deploy: { replicas: 4 } }
  data: { build: ., command: sleep 3600, init: true, volumes: ["kept:/kept", "./:/host"] }
volumes: { kept: {} }
`,
    });
  });
  afterAll(async () => {
    await stack.close();
    rmSync(tools, { recursive: true, force: true });
  });

  test('a stack is built, comes up, and each machine sees its own files and nothing else of the host', async () => {
    await stack.must(['up', '-d', '--build'], { through: [deny, 'l'], timeout: 400_000 });
    const read = 'cat /built /host/note.txt; echo x > /kept/file; cat /kept/file';
    expect(await stack.must(['exec', '-T', 'data', 'sh', '-c', read])).toBe('built\nfrom the host\nx\n');
    const machines = (await processesOf('nolandlock')).filter((line) => line.includes('qemu-system'));
    expect(machines).toHaveLength(5);
    for (const line of machines) {
      const mounts = readFileSync(`/proc/${line.split(' ')[0]}/mounts`, 'utf8');
      expect(mounts.split('\n').map((each) => each.split(' ')[1])).not.toContain('/home');
      expect(mounts).toMatch(/^tmpfs \/ tmpfs ro,/m);
      expect(mounts).toContain(' /proc/self ');
    }
  });

  test('machines are paused, suspended, resumed and scaled', async () => {
    await stack.must(['pause', 'data']);
    await stack.must(['unpause', 'data']);
    expect(await stack.must(['exec', '-T', 'data', 'cat', '/kept/file'])).toBe('x\n');
    await stack.must(['up', '-d', '--scale', 'many=6'], { timeout: 200_000 });
    expect((await stack.ps()).filter(({ State }) => State === 'running')).toHaveLength(7);
  });

  test('doctor says what holds instead', async () => {
    const told = async (lacking: string, env: NodeJS.ProcessEnv = {}) => {
      const { stdout } = await hypr(['doctor', '--format', 'json'], { env: { ...stack.env, ...env }, through: [deny, lacking] });
      return (JSON.parse(stdout) as Array<{ id: string; status: string; detail: string }>).find(({ id }) => id === 'fence');
    };
    expect(await told('l')).toMatchObject({ status: 'warn', detail: expect.stringContaining('mounts of their own') });
    expect(await told('lu')).toMatchObject({ status: 'fail', detail: expect.stringContaining('no Landlock') });
    expect(await told('lu', { HYPR_FENCE: 'partial' })).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('HYPR_FENCE=partial'),
    });
  });
});
