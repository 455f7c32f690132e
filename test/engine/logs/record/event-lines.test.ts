import { expect, test } from 'vitest';
import { eventOf, lineOf } from '../../../../engine/logs/record/event-lines.ts';
import type { RecordedEvent } from '../../../../engine/model/events.ts';

const EVENT: RecordedEvent = {
  ...{ time: 1, type: 'container', action: 'start', id: 'a1', stack: 'shop', service: 'web' },
  attributes: { name: 'shop-web-1', image: 'busybox', tier: 'low' },
};

test('a line of the record › is read as it was written', () => {
  expect(eventOf(lineOf(EVENT))).toEqual(EVENT);
});

test('a line of the record › of a newer version has what is known here, of an older one what it had', () => {
  const { stack, service, ...older } = EVENT;
  expect([stack, service, eventOf(JSON.stringify(older))]).toEqual(['shop', 'web', { ...older, stack: '', service: '' }]);
  expect(eventOf(JSON.stringify({ ...EVENT, attributes: { a: 'b', n: 1, o: {} }, more: true }))).toEqual({
    ...EVENT,
    attributes: { a: 'b' },
  });
});

test.each([
  '',
  '{"time":1,"attr',
  'null',
  '7',
  '[]',
  ...Object.entries({ time: '1', type: 'planet', action: 3, id: null, attributes: [], stack: {}, service: 1 }).map(([key, value]) =>
    JSON.stringify({ ...EVENT, [key]: value }),
  ),
])('%s is no event', (line) => {
  expect(eventOf(line)).toBeUndefined();
});

test('a line of the record › that is too long keeps the name and the labels of the project', () => {
  const project = { 'com.docker.compose.project': 'shop' };
  const long = lineOf({
    ...EVENT,
    attributes: { ...EVENT.attributes, ...project, icon: 'x'.repeat(100_000), 'com.docker.compose.x': 'y'.repeat(5000) },
  });
  expect(eventOf(long)?.attributes).toEqual({ name: 'shop-web-1', image: 'busybox', ...project });
});

test('a line of the record › is short whatever labels an image has, those that begin like docker compose’s too', () => {
  const labels = Object.fromEntries(Array.from({ length: 3000 }, (_, at) => [`com.docker.compose.${at}`, 'y'.repeat(900)]));
  expect(lineOf({ ...EVENT, attributes: { ...EVENT.attributes, ...labels } }).length).toBeLessThan(1000);
});
