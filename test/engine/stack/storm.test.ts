import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextState } from '../../../engine/model/lifecycle.ts';
import { runs } from '../../support/seed.ts';
import { needs } from '../support/project.ts';
import { OWN_SUBSCRIBERS, openTestStack, shopOf, type TestStack, waitTurn } from '../support/stack.ts';

const NAMES = ['shop-db-1', 'shop-web-1', 'shop-web-2'];

type Step = { readonly act: string; readonly on: number; readonly turns: number };

/** Starts one thing and does not wait for it; what the operation answers does not matter here. */
const begin = (stack: TestStack, { act, on }: Step, project: ReturnType<typeof shopOf>): Promise<unknown> => {
  const name = NAMES[on] ?? '';
  const services = [name.includes('db') ? 'db' : 'web'];
  const machine = stack.platform.vmm.machines.get(name);
  switch (act) {
    case 'up':
      return stack.up(project, { scale: { web: on } }).catch(() => {});
    case 'recreate':
      return stack.up(project, { forceRecreate: true }).catch(() => {});
    case 'down':
      return stack.down().catch(() => {});
    case 'exit':
      return Promise.resolve(machine && stack.platform.guest(name).end(on));
    case 'crash':
      return Promise.resolve(machine?.crash('storm'));
    case 'network':
      return Promise.resolve(stack.platform.nets.get('shop_default')?.die('storm'));
    default:
      return stack.verb(act as 'stop', { services, timeout: 0, stop: true }).catch(() => {});
  }
};

const ACTS = ['up', 'up', 'recreate', 'down', 'stop', 'start', 'restart', 'kill', 'pause', 'unpause', 'rm', 'exit', 'crash', 'network'];
const steps = fc.array(
  fc.record({ act: fc.constantFrom(...ACTS), on: fc.integer({ min: 0, max: 2 }), turns: fc.integer({ min: 0, max: 6 }) }),
  { minLength: 2, maxLength: 14 },
);

test('whatever happens at once: every operation ends, states are ones that can be, and down leaves nothing', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (storm) => {
      const stack = openTestStack();
      const project = shopOf(stack, {
        db: { deploy: { restart_policy: { condition: 'any', delay: '1ms' } }, ports: [{ target: 1, published: '5000' }] },
        web: { depends_on: needs('db'), ports: [{ target: 2, published: '6000-6010' }] },
      });
      const running = [stack.up(project).catch(() => {})];
      for (const step of storm) {
        for (let turn = 0; turn < step.turns; turn++) {
          await waitTurn();
        }
        running.push(begin(stack, step, project).then(() => {}));
      }
      await Promise.all(running);
      for (const { row, run } of stack.supervisor.replicas.values()) {
        // Where it stands and what there is of it agree.
        expect(['running', 'paused'].includes(row.state) ? run?.process : true, `${row.name} is ${row.state}`).toBeDefined();
        expect(() => nextState(row.state, 'stop')).not.toThrow();
      }
      await stack.down({ volumes: true });
      await waitTurn();
      expect([stack.states(), [...stack.platform.vmm.machines.keys()]]).toEqual([{}, []]);
      expect([[...stack.platform.published], [...stack.platform.nets.keys()], [...stack.platform.connecting]]).toEqual([[], [], []]);
      expect([stack.store.stacks(), stack.store.vms(), stack.store.networks()]).toEqual([[], [], []]);
      expect(stack.supervisor.isIdle).toBe(true);
      expect(stack.supervisor.bus.subscribers).toBe(OWN_SUBSCRIBERS);
    }),
    runs(40, { endOnFailure: true }),
  );
});
