import { expect, test } from 'vitest';
import { execProcess } from '../../../engine/machine/exec-process.ts';
import { EXEC_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { ProcessSpec } from '../../../guest/types.ts';

test('exec › its variables stand over those of the workload; a name alone takes one away', () => {
  const workload = { args: ['w'], env: ['A=1', 'B=2', 'C=3'], cwd: '/', user: '' } as unknown as ProcessSpec;
  expect(execProcess(workload, { ...EXEC_DEFAULTS, args: ['x'], env: ['A=9', 'B', 'D'] }).env).toEqual(['C=3', 'A=9']);
});
