import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Interrupts } from '../../../cli/core/interrupts.ts';

describe('interrupts', () => {
  test('abort the signal, then leave', () => {
    let forced = 0;
    const interrupts = new Interrupts(() => forced++);
    interrupts.fire();
    expect(interrupts.signal.reason).toMatchObject({ code: 'HYPR_CANCELLED' });
    expect(forced).toBe(0);
    interrupts.fire();
    interrupts.fire();
    expect(forced).toBe(2);
  });

  test('tell a step which signal it is', () => {
    const interrupts = new Interrupts();
    const seen: string[] = [];
    interrupts.take((signal) => seen.push(signal));
    interrupts.fire('SIGTERM');
    interrupts.fire();
    expect(seen).toEqual(['SIGTERM', 'SIGINT']);
  });

  test('take the steps of a ladder, the last one again and again', () => {
    const interrupts = new Interrupts();
    const seen: string[] = [];
    interrupts.take(
      () => seen.push('stop'),
      () => seen.push('kill'),
    );
    for (let press = 0; press < 4; press++) {
      interrupts.fire();
    }
    expect(seen).toEqual(['stop', 'kill', 'kill', 'kill']);
    expect(interrupts.signal.aborted).toBe(false);
  });

  test('begin a ladder that is taken later at its first step', () => {
    const interrupts = new Interrupts();
    const seen: string[] = [];
    interrupts.take(() => seen.push('close'));
    interrupts.fire();
    const release = interrupts.take(
      () => seen.push('kill'),
      () => seen.push('leave'),
    );
    interrupts.fire();
    interrupts.fire();
    release();
    interrupts.fire();
    expect(seen).toEqual(['close', 'kill', 'leave', 'close']);
  });

  test('leave at the next when a ladder was used and is over', () => {
    let forced = 0;
    const interrupts = new Interrupts(() => forced++);
    const release = interrupts.take(() => {});
    interrupts.fire();
    release();
    interrupts.fire();
    expect([forced, interrupts.signal.aborted]).toEqual([1, false]);
  });

  test('of any number go to the ladder on top', () => {
    fc.assert(
      fc.property(fc.nat(5), fc.nat(5), fc.integer({ min: 1, max: 4 }), (before, presses, rungs) => {
        const interrupts = new Interrupts();
        const seen: number[] = [];
        interrupts.take(() => {});
        for (let press = 0; press < before; press++) {
          interrupts.fire();
        }
        interrupts.take(...Array.from({ length: rungs }, (_, rung) => () => seen.push(rung)));
        for (let press = 0; press < presses; press++) {
          interrupts.fire();
        }
        expect(seen).toEqual(Array.from({ length: presses }, (_, press) => Math.min(press, rungs - 1)));
      }),
    );
  });
});
