import { expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { NO_COMPOSE_FILE } from '../../../compose/files/file-names.ts';
import { recordedEvent } from '../../../engine/logs/record/keep-events.ts';
import type { RecordedEvent, Refusal, ReplicaAction, ReplicaStatus } from '../../../engine/model/events.ts';
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

const web = replica({ service: 'web', name: 'shop-web-1', labels: { tier: 'web', 'com.docker.compose.service': 'web' }, exitCode: 3 });

const told = (action: ReplicaAction, machine: ReplicaStatus = web, time = NOW, stack = 'shop'): RecordedEvent[] =>
  [recordedEvent({ type: 'replica', time, action, replica: machine }, { stack, projectLabels: () => ({}) })].filter(
    (event) => event !== undefined,
  );
const refused = (of: Refusal): RecordedEvent[] =>
  [recordedEvent({ type: 'refusal', time: NOW, refusal: of }, { stack: 'shop', projectLabels: () => ({}) })].filter(
    (event) => event !== undefined,
  );

const RECORD: readonly RecordedEvent[] = [
  ...told('start', web, NOW - 60_000),
  ...told('die'),
  ...told('update'),
  ...told('listening'),
  ...told('health_status', { ...web, health: 'healthy' }),
  ...told('start', replica({ service: 'api', name: 'blog-api-1', id: 'f'.repeat(64) }), NOW, 'blog'),
  ...refused(refusal),
  ...refused({ ...refusal, service: 'db', replica: 'shop-db-1' }),
  { time: NOW, type: 'volume', action: 'create', id: 'data', attributes: { driver: 'local' }, stack: '', service: '' },
];

const type = async (line: string, without = false) => {
  const project = without ? new HyprError('COMPOSE_NOT_FOUND', 'no file', { reason: NO_COMPOSE_FILE }) : undefined;
  const made = fakeContext(project === undefined ? {} : { project });
  made.fake.replicas = [web];
  made.fake.recorded = [...RECORD];
  return { code: await run(made, line), out: made.stdout.text, err: made.stderr.text, asked: made.fake.call('events')?.args[0] };
};

test('events › shows what was refused, sanitised, for the chosen services', async () => {
  expect((await type('events web -f event=refuse')).out).toMatch(
    /^\S+ \S+ network refuse shop-web-1 \(to=192\.0\.2\.9:443, name=api[^\u001b]*\.example\.com, protocol=tcp, rule=egress, count=3, total=12\)\n\n$/,
  );
});

test.each(['--json', '--format json'])('events %s › one object for each', async (flag) => {
  const { code, out } = await type(`events ${flag} -f event=refuse`);
  expect(code).toBe(0);
  const lines = out
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
  const format = "--format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}'";
  expect((await type(`events --filter event=die --filter label=tier=web ${format}`)).out).toBe('container die shop-web-1 3\n');
  const all = 'start\ndie\nhealth_status: healthy\n';
  expect((await type(`events -f container=shop-web-1 --format '{{.Action}}'`)).out).toBe(all);
  expect((await type(`events -f container=shop-w --format '{{.Action}}'`)).out).toBe(all);
  for (const image of ['web', 'web:1', 'docker.io/library/web:1']) {
    expect((await type(`events -f image=${image} --format '{{.Action}}'`)).out).toBe(all);
  }
  expect((await type(`events -f event=health_status --format '{{.Action}}'`)).out).toBe('health_status: healthy\n');
  expect((await type(`events -f image=web:2 --format '{{.Action}}'`)).out).toBe('');
  expect((await type(`events -f image=we --format '{{.Action}}'`)).out).toBe('');
  expect((await type(`events --filter type=network --format '{{.Action}}'`)).out).toBe('refuse\nrefuse\n');
  expect((await type('events --filter container=nobody')).out).toBe('');
  expect((await type('events --filter nonsense=1')).err).toContain("invalid filter 'nonsense'");
});

test('events › looks at the stack’s supervisor, which may be older than the record or gone, and of all stacks asks for notices', async () => {
  const made = fakeContext();
  let looks = 0;
  Object.defineProperty(made.fake, 'replicas', {
    get: () => {
      looks += 1;
      return [web];
    },
  });
  await run(made, 'events --until 0s');
  expect(looks).toBe(1);
  expect(made.fake.call('events')?.args[0]).toMatchObject({ onNotice: undefined });
  expect((await type('system events --until 0s')).asked).toMatchObject({ onNotice: expect.any(Function) });
});

test('events › of the stack alone, in docker compose’s words and without its labels', async () => {
  const { out } = await type('compose events web -f event=start');
  expect(out).toMatch(
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} container start [0-9a-f]{64} \(tier=web, image=web:1, name=shop-web-1\)\n\n$/,
  );
});

test.each(['system events', 'events'])('%s outside a project › of everything, in docker’s words', async (command) => {
  const { code, out, err } = await type(`${command} -f event=start -f event=create`, true);
  expect([code, err]).toEqual([0, '']);
  expect(out.split('\n').map((line) => line.replace(/^\S+Z/, 'TIME'))).toEqual([
    `TIME container start ${web.id} (com.docker.compose.service=web, image=web:1, name=shop-web-1, tier=web)`,
    `TIME container start ${'f'.repeat(64)} (image=api:1, name=blog-api-1)`,
    'TIME volume create data (driver=local)',
    '',
  ]);
  const json = (await type(`${command} -f container=blog --format json`, true)).out;
  expect(JSON.parse(json)).toMatchObject({
    status: 'start',
    from: 'api:1',
    Type: 'container',
    Actor: { Attributes: { name: 'blog-api-1' } },
  });
});

test('events --since, --until › are a time or how long ago; of each there is the record', async () => {
  expect((await type('events --since 30s --until 0s')).asked).toMatchObject({ since: NOW - 30_000, until: NOW });
  expect((await type(`events -f type=container --since 30s --format '{{.Action}}'`)).out).toBe('die\nhealth_status: healthy\n');
  expect((await type(`events -f type=container --until 30s --format '{{.Action}}'`)).out).toBe('start\n');
  expect((await type('events --since 1s --until 30s')).err).toContain('is after --until 30s');
  expect((await type('compose events', true)).err).toContain('no file');
});
