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

test('events › docker’s filters and templates', async () => {
  const type = async (line: string) => {
    const made = fakeContext();
    const web = replica({ service: 'web', name: 'shop-web-1', labels: { tier: 'web' }, exitCode: 3 });
    made.fake.replicas = [web];
    void made.fake.events.push({ type: 'replica', time: NOW, action: 'start', replica: web });
    void made.fake.events.push({ type: 'replica', time: NOW, action: 'die', replica: web });
    void made.fake.events.push({ type: 'replica', time: NOW, action: 'update', replica: web });
    void made.fake.events.push({ type: 'refusal', time: NOW, refusal });
    made.fake.events.end();
    return { code: await run(made, line), out: made.stdout.text, err: made.stderr.text };
  };
  const format = "--format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}'";
  expect((await type(`events --filter event=die --filter label=tier=web ${format}`)).out).toBe('container die shop-web-1 3\n');
  expect((await type(`events -f container=shop-web-1 --format '{{.Action}}'`)).out).toBe('start\ndie\n');
  expect((await type(`events -f container=shop-w --format '{{.Action}}'`)).out).toBe('start\ndie\n');
  for (const image of ['web', 'web:1', 'docker.io/library/web:1']) {
    expect((await type(`events -f image=${image} --format '{{.Action}}'`)).out).toBe('start\ndie\n');
  }
  expect((await type(`events -f image=web:2 --format '{{.Action}}'`)).out).toBe('');
  expect((await type(`events -f image=we --format '{{.Action}}'`)).out).toBe('');
  expect((await type(`events --filter type=network --format '{{.Action}}'`)).out).toBe('refuse\n');
  expect((await type('events --filter container=nobody')).out).toBe('');
  expect((await type('events --filter nonsense=1')).err).toContain("invalid filter 'nonsense'");
});
