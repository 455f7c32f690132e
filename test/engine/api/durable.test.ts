import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { AsyncQueue } from '../../../base/queue.ts';
import { type ApiClient, connectApi, type RunInput } from '../../../engine/api/client/client.ts';
import { runJson, upJson } from '../../../engine/api/messages/requests.ts';
import type { Sent } from '../../../engine/api/messages/values.ts';
import { apiMethods } from '../../../engine/api/server/handlers.ts';
import { serveApi } from '../../../engine/api/server/server.ts';
import { RUN_DEFAULTS, UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { Cue } from '../support/cue.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

type Call = (api: ApiClient, stack: TestStack) => Promise<unknown>;

const drain = async (messages: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of messages) {
    // Only its end counts.
  }
};

const id = (stack: TestStack): string => stack.row('shop-db-1').id;

const CALLS: Readonly<Record<string, Call>> = {
  up: (api, stack) => drain(api.rpc.up(upJson(shopOf(stack, { db: {}, web: {} }), UP_DEFAULTS))),
  stop: (api) => drain(api.rpc.verb({ verb: 'VERB_STOP' })),
  down: (api) => drain(api.rpc.down({})),
  'run -d': async (api, stack) => {
    const inputs = new AsyncQueue<Sent<RunInput>>();
    void inputs.push({ start: runJson(shopOf(stack, { db: {} }), { ...RUN_DEFAULTS, service: 'db', detach: true }) });
    await drain(api.rpc.run(inputs));
    inputs.end();
  },
  update: (api, stack) => api.rpc.updateReplica({ replica: id(stack), restart: 'always' }),
};

test.each(Object.entries(CALLS))(
  '%s › is answered when what it recorded outlives a power cut, and fails where that cannot be had',
  async (_, call) => {
    const stack = openTestStack();
    const socket = join(stack.dir, 'api.sock');
    const server = await serveApi(socket, apiMethods(stack.supervisor, { version: '1', stack: 'shop', recovered: [] }), () => {}, {});
    const api = connectApi(socket);
    onTestFinished(async () => {
      api.close();
      await server.close();
    });
    await stack.up(shopOf(stack, { db: {} }));
    const [asked, synced] = [new Cue(), new Cue()];
    const settle = vi.spyOn(stack.store, 'settle').mockImplementation(() => {
      asked.resolve();
      return synced.promise;
    });
    let isAnswered = false;
    const answer = call(api, stack).finally(() => {
      isAnswered = true;
    });
    await Promise.race([asked.promise, answer]);
    // A request that comes after it is answered before it.
    await api.rpc.info({});
    expect(isAnswered).toBe(false);
    synced.resolve();
    await answer;
    settle.mockRejectedValue(new Error('EIO'));
    await stack.up(shopOf(stack, { db: {} }));
    await expect(call(api, stack)).rejects.toThrow('EIO');
  },
);
