import type { Machine } from '../../vmm/model/machine.ts';
import type { ReplicaParts } from './parts.ts';

/** Tells when a machine is held because the host's disk is full, and when it goes on. */
export const watchHold = (machine: Machine, { record, context }: Pick<ReplicaParts, 'record' | 'context'>): void => {
  let wasHeld = false;
  machine.onHold?.((held) => {
    if (record.isOver || held === wasHeld) {
      return;
    }
    wasHeld = held;
    record.noteStall(held ? 'full' : undefined);
    const { name } = record.row;
    context.bus.emit({
      type: 'warning',
      message: held
        ? `${name} is held: the disk of ${context.platform.paths.home} is full. Nothing is lost; it goes on when there is space`
        : `${name} goes on`,
    });
  });
};
