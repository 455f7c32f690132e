import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mustHypr } from '../support/cli.ts';
import { TestStack } from '../support/stack.ts';

const COMPOSE = `
services:
  donor:
    image: busybox
    command: sh -c 'echo of the donor > /anon/f; sleep 1000'
    stop_grace_period: 0s
    volumes: [/anon, './given:/given']
  taker:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    volumes_from: ['donor:ro']
    volumes:
      - {type: image, source: debian, target: /image, image: {subpath: etc}}
`;

describe('volumes of another service and of an image', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await new TestStack('shared-volumes').write({ 'compose.yaml': COMPOSE, 'given/g': 'a bind mount\n' });
    await stack.must(['up', '-d', '--wait'], { timeout: 180_000 });
  });
  afterAll(async () => {
    await stack?.close();
  });

  const taker = (script: string): Promise<string> => stack.must(['exec', '-T', 'taker', 'sh', '-c', script]);

  test('volumes_from gives anonymous volumes and bind mounts, to be read where it says so', async () => {
    expect(
      await taker('until cat /anon/f; do sleep 0.1; done 2>/dev/null; cat /given/g; touch /anon/x 2>/dev/null || echo read only'),
    ).toBe('of the donor\na bind mount\nread only\n');
  });

  test('type: image mounts a folder of another image, which cannot be written', async () => {
    expect(await taker('cat /image/debian_version >/dev/null && echo there; touch /image/x 2>/dev/null || echo read only')).toBe(
      'there\nread only\n',
    );
  });

  test('an up that changes nothing leaves both as they are, and down -v removes the volume', async () => {
    expect((await stack.run(['up', '-d'])).stderr).not.toMatch(/Recreat/);
    const before = await mustHypr(['volume', 'ls', '-q'], { env: stack.env });
    expect(before).toContain('donor.');
    await stack.must(['down', '-v', '-t', '0']);
    expect(await mustHypr(['volume', 'ls', '-q'], { env: stack.env })).not.toContain('donor.');
  });
});
