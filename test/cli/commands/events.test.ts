import { expect, test } from 'vitest';
import type { Refusal } from '../../../engine/model/events.ts';
import { fakeContext, run } from '../support/fake-context.ts';
import { NOW, replica } from '../support/fake-engine.ts';

const refusal: Refusal = {
  replica: 'shop-web-1',
  service: 'web',
  rule: 'egress',
  protocol: 'tcp',
  to: '192.0.2.9:443',
  name: 'api\u001b[2J.example.com',
  count: 3,
  total: 12,
};

const context = () => {
  const made = fakeContext();
  made.fake.replicas = [replica({ service: 'web' })];
  void made.fake.events.push({ type: 'refusal', time: NOW, refusal });
  void made.fake.events.push({ type: 'refusal', time: NOW, refusal: { ...refusal, service: 'db', replica: 'shop-db-1' } });
  made.fake.events.end();
  return made;
};

test('events › shows what was refused, sanitised, for the chosen services', async () => {
  const made = context();
  expect(await run(made, 'events web')).toBe(0);
  expect(made.stdout.text).toMatch(
    /^\S+ \S+ network refuse shop-web-1 \(to=192\.0\.2\.9:443, name=api[^\u001b]*\.example\.com, protocol=tcp, rule=egress, count=3, total=12\)\n\n$/,
  );
});

test.each(['--json', '--format json'])('events %s › one object per refusal', async (flag) => {
  const made = context();
  expect(await run(made, `events ${flag}`)).toBe(0);
  const lines = made.stdout.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines[1]).toMatchObject({
    type: 'network',
    action: 'refuse',
    id: 'shop-db-1',
    service: 'db',
    attributes: { rule: 'egress', count: '3' },
  });
});
