import { expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import type { Progress } from '../../../base/progress.ts';
import { makeTemplates } from '../../../engine/client/make-templates.ts';
import type { MachineSpec, Vmm } from '../../../vmm/model/machine.ts';
import type { Templates } from '../../../vmm/template/types.ts';

const vmm = { capabilities: { accelerated: false } } as Vmm;

/** Steps of a set-up whose templates fail as `fail` says, by how many were tried. */
const setUp = async (fail: (tries: number) => HyprError | undefined) => {
  const tried: MachineSpec[] = [];
  const steps: Progress[] = [];
  const make = async (spec: MachineSpec) => {
    tried.push(spec);
    const error = fail(tried.length);
    if (error !== undefined) {
      throw error;
    }
  };
  await makeTemplates({ templates: { make } as unknown as Templates, vmm, onProgress: (step) => void steps.push(step) });
  return { tried: tried.length, ends: steps.filter(({ status }) => status !== 'working').map(({ text, details }) => [text, details]) };
};

const ended = new HyprError('GUEST_BOOT', "a template's machine ended before it was ready (QEMU was killed by SIGSEGV)");

test('a template whose machine ended while it booted is made once more', async () => {
  expect(await setUp((tries) => (tries === 1 ? ended : undefined))).toEqual({
    tried: 3,
    ends: [
      ['Ready', undefined],
      ['Ready', undefined],
    ],
  });
});

test('what fails twice, or otherwise, is skipped with its reason: machines boot without', async () => {
  const skipped = ['Skipped', ended.message];
  expect(await setUp(() => ended)).toEqual({ tried: 4, ends: [skipped, skipped] });
  const full = new HyprError('HYPR_DISK_FULL', 'no space');
  expect(await setUp(() => full)).toMatchObject({ tried: 2, ends: [['Skipped', 'no space'], expect.anything()] });
});
