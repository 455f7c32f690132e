import { expect, test } from 'vitest';
import { supervisorEnv } from '../../../engine/client/link/start-supervisor.ts';

test("a supervisor's environment › has HYPR_NODE_OPTIONS as NODE_OPTIONS, and none of the shell's", () => {
  expect(supervisorEnv({ A: '1', NODE_OPTIONS: '--require x' })).toEqual({ A: '1' });
  expect(supervisorEnv({ NODE_OPTIONS: '--require x', HYPR_NODE_OPTIONS: '--title=y' })).toEqual({
    HYPR_NODE_OPTIONS: '--title=y',
    NODE_OPTIONS: '--title=y',
  });
});
