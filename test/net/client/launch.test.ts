import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { confine } from '../../../base/host/cgroup.ts';
import { launchGateway } from '../../../net/client/launch.ts';
import { makeFolder, makeGateway, makeSpec } from './helpers.ts';

vi.mock('../../../base/host/cgroup.ts', async (original) => ({
  ...(await original<typeof import('../../../base/host/cgroup.ts')>()),
  confine: vi.fn(),
}));

const programs = makeGateway();

it('the start of a network that is given up while it is put into its cgroup leaves none', async () => {
  const folder = makeFolder();
  onTestFinished(() => folder.remove());
  const cgroup = join(folder.path, 'cgroup');
  const given = new AbortController();
  vi.mocked(confine).mockImplementation(async () => {
    mkdirSync(cgroup);
    given.abort(new Error('no more'));
    return cgroup;
  });
  await expect(launchGateway(makeSpec(folder.path), programs, given.signal)).rejects.toThrow('no more');
  expect(confine).toHaveBeenCalledOnce();
  expect(existsSync(cgroup)).toBe(false);
});
