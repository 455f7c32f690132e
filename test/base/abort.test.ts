import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linkedController, neverAborts, onAbort, orAbort, whenAborted } from '../../base/abort.ts';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('onAbort', () => {
  test('calls once when the signal aborts', () => {
    const controller = new AbortController();
    let calls = 0;
    onAbort(controller.signal, () => calls++);
    expect(calls).toBe(0);
    controller.abort();
    controller.abort();
    expect(calls).toBe(1);
  });

  test('calls at once when the signal has aborted', () => {
    let calls = 0;
    onAbort(AbortSignal.abort(), () => calls++)();
    expect(calls).toBe(1);
  });

  test('leaves no listener when it is stopped', () => {
    const controller = new AbortController();
    let calls = 0;
    const leave = onAbort(controller.signal, () => calls++);
    expect(listeners(controller.signal)).toBe(1);
    leave();
    leave();
    expect(listeners(controller.signal)).toBe(0);
    controller.abort();
    expect(calls).toBe(0);
  });

  test('does nothing without a signal', () => {
    onAbort(undefined, () => expect.unreachable())();
  });
});

describe('orAbort', () => {
  test('gives what the work gives, and leaves no listener', async () => {
    const { signal } = new AbortController();
    expect(await orAbort(Promise.resolve(5), signal)).toBe(5);
    await expect(orAbort(Promise.reject(new Error('broken')), signal)).rejects.toThrow('broken');
    expect(listeners(signal)).toBe(0);
    expect(await orAbort(Promise.resolve(6), undefined)).toBe(6);
  });

  test('rejects with the reason when the signal is first, whatever becomes of the work', async () => {
    const controller = new AbortController();
    let fail: (error: Error) => void = () => {};
    const work = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const waiting = orAbort(work, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    // Were nobody listening, this would end the test run.
    fail(new Error('too late'));
    await expect(orAbort(new Promise(() => {}), controller.signal)).rejects.toThrow('enough');
  });
});

test('whenAborted resolves with the abort, past or future', async () => {
  const controller = new AbortController();
  const waiting = whenAborted(controller.signal);
  controller.abort(new Error('up'));
  await waiting;
  await whenAborted(controller.signal);
});

test('a signal of neverAborts is one of its own', () => {
  expect(neverAborts()).not.toBe(neverAborts());
  expect(neverAborts().aborted).toBe(false);
});

test('a linked controller has the reason of whatever aborted first, and says whether that was itself', () => {
  const step = fc.constantFrom('parent', 'own');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 4 }), fc.boolean(), (steps, hasParent) => {
      const parent = new AbortController();
      const linked = linkedController(hasParent ? parent.signal : undefined);
      const seen: string[] = [];
      onAbort(linked.signal, () => seen.push(linked.signal.reason));
      for (const [at, who] of steps.entries()) {
        who === 'parent' ? parent.abort(`parent ${at}`) : linked.abort(`own ${at}`);
      }
      const first = steps.findIndex((who) => hasParent || who === 'own');
      expect(seen).toEqual(first === -1 ? [] : [`${steps[first]} ${first}`]);
      expect(linked.own.aborted).toBe(steps.includes('own'));
      expect(parent.signal.aborted).toBe(steps.includes('parent'));
    }),
  );
});
