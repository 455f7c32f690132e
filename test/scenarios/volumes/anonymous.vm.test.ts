import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustHypr } from '../../support/cli.ts';
import { TestStack } from '../../support/stack.ts';

let stack: TestStack;
const FILES = {
  'compose.yaml': `
services:
  app:
    image: busybox
    command: sh -c 'test -e /data/f || echo first > /data/f; sync; exec sleep 1d'
    volumes: ["/data", "sized:/sized"]
    storage_opt: {size: 64m}
volumes: {sized: {driver_opts: {size: 48m}}}
`,
};

beforeAll(async () => {
  stack = await new TestStack('nameless').write(FILES);
});
afterAll(() => stack?.close());

/** Other tests have volumes in this home, too. */
let others: string[] = [];
const volumes = async (): Promise<string[]> =>
  (await mustHypr(['volume', 'ls', '-q'], { env: stack.env })).split('\n').filter((name) => name !== '' && !others.includes(name));

/** What can be written to the root and to the volume that has a size, in MiB. */
const sizes = async (): Promise<number[]> =>
  (await stack.must(['exec', '-T', 'app', 'df', '-P', '-m', '/', '/sized']))
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => Number(line.split(/\s+/)[1]));

/** The service has written to its new volume. */
const settled = () => expect.poll(() => stack.must(['exec', '-T', 'app', 'sh', '-c', 'cat /data/f || true'])).toBe('first\n');

test('an anonymous volume outlives down, is mounted by its name, and goes with volume prune; disks have the size that the file says', async () => {
  others = await volumes();
  await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  await settled();
  await stack.must(['exec', '-T', 'app', 'sh', '-c', 'echo kept > /data/f; echo sized > /sized/f; sync']);
  const [root = 0, small = 0] = await sizes();
  expect([root > 30 && root <= 64, small > 20 && small <= 48]).toEqual([true, true]);
  await stack.must(['down', '-t', '0']);
  const [name = ''] = (await volumes()).filter((each) => each !== 'nameless_sized');
  expect(name).toMatch(/^[0-9a-f]{64}$/);
  await stack.must(['up', '-d', '--wait'], { timeout: 120_000 });
  await settled();
  expect(await stack.must(['exec', '-T', 'app', 'cat', '/sized/f'])).toBe('sized\n');
  const read = ['run', '--rm', '-v', `${name}:/old`, 'busybox', 'cat', '/old/f'];
  expect(await mustHypr(read, { env: stack.env, timeout: 120_000 })).toBe('kept\n');
  await stack.must(['down', '-v', '-t', '0']);
  expect(await volumes()).toEqual([name]);
  expect(await mustHypr(['volume', 'prune', '-f'], { env: stack.env })).toContain(name);
  expect(await volumes()).toEqual([]);
}, 400_000);
