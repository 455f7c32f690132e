import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustHypr } from '../../support/cli.ts';
import { TestStack } from '../../support/stack.ts';

let stack: TestStack;
beforeAll(async () => {
  stack = await new TestStack('nameless').write({
    'compose.yaml': `
services:
  app:
    image: busybox
    command: sh -c 'test -e /data/f || echo first > /data/f; sync; exec sleep 1d'
    volumes: ["/data"]
`,
  });
});
afterAll(() => stack?.close());

/** Other tests have volumes in this home, too. */
let others: string[] = [];
const volumes = async (): Promise<string[]> =>
  (await mustHypr(['volume', 'ls', '-q'], { env: stack.env })).split('\n').filter((name) => name !== '' && !others.includes(name));

/** The service has written to its new volume. */
const settled = () => expect.poll(() => stack.must(['exec', '-T', 'app', 'sh', '-c', 'cat /data/f || true'])).toBe('first\n');

test('an anonymous volume outlives down, is mounted by its name, and goes with volume prune', async () => {
  others = await volumes();
  await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  await settled();
  await stack.must(['exec', '-T', 'app', 'sh', '-c', 'echo kept > /data/f; sync']);
  await stack.must(['down', '-t', '0']);
  const [name = ''] = await volumes();
  expect(name).toMatch(/^[0-9a-f]{64}$/);
  await stack.must(['up', '-d', '--wait'], { timeout: 120_000 });
  await settled();
  const read = ['run', '--rm', '-v', `${name}:/old`, 'busybox', 'cat', '/old/f'];
  expect(await mustHypr(read, { env: stack.env, timeout: 120_000 })).toBe('kept\n');
  await stack.must(['down', '-v', '-t', '0']);
  expect(await volumes()).toEqual([name]);
  expect(await mustHypr(['volume', 'prune', '-f'], { env: stack.env })).toContain(name);
  expect(await volumes()).toEqual([]);
}, 400_000);
