import type { EventBus } from '../logs/bus.ts';
import { keepEvents } from '../logs/record/keep-events.ts';
import { composeHash, isStandalone, projectLabels } from '../state/project-labels.ts';
import type { StateStore } from '../state/store.ts';

/**
 * Records what happens to the machines of a stack in the home's record, those of a Compose file with docker compose's labels, until the function
 * that it gives is called.
 */
export const recordStack = (
  bus: EventBus,
  { stack, store, folder }: { readonly stack: string; readonly store: StateStore; readonly folder: string },
): (() => void) =>
  keepEvents(bus, {
    folder,
    stack,
    projectLabels: (replica) => {
      try {
        const row = store.stack(stack);
        return isStandalone(row, replica) ? {} : projectLabels({ ...replica, stack, configHash: composeHash(row, replica.service) });
      } catch {
        // Who tells of an event can do nothing about a database that cannot be read, and the event is better without them than not there.
        return {};
      }
    },
  });
