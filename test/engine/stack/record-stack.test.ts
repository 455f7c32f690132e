import { expect, test } from 'vitest';
import { followEvents } from '../../../engine/logs/record/follow-events.ts';
import type { RecordedEvent } from '../../../engine/model/events.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const recorded = async (stack: TestStack): Promise<RecordedEvent[]> => {
  const events: RecordedEvent[] = [];
  for await (const event of followEvents(stack.platform.paths.events, { until: Date.now(), signal: new AbortController().signal })) {
    events.push(event);
  }
  return events;
};

test('the record › has what happens to machines of a Compose file under docker compose’s labels, from the first event to the last', async () => {
  const stack = openTestStack();
  const project = shopOf(stack, { web: { labels: { tier: 'low' } } });
  await stack.up({ ...project, files: ['/shop/compose.yaml'] });
  await stack.down();
  const events = await recorded(stack);
  expect(events.map(({ action }) => action)).toEqual(expect.arrayContaining(['create', 'start', 'die', 'destroy']));
  for (const { action, attributes } of events) {
    expect(attributes, action).toMatchObject({
      'com.docker.compose.project': 'shop',
      'com.docker.compose.service': 'web',
      'com.docker.compose.container-number': '1',
      'com.docker.compose.oneoff': 'False',
      'com.docker.compose.config-hash': expect.stringMatching(/^[0-9a-f]{64}$/),
      tier: 'low',
    });
  }
});

test('the record › has none of them for a machine that stands alone', async () => {
  const stack = openTestStack();
  await stack.up({ ...shopOf(stack, { web: {} }), files: [] });
  const [first] = await recorded(stack);
  expect(Object.keys(first?.attributes ?? {}).filter((key) => key.startsWith('com.docker'))).toEqual([]);
});
