import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DiskHold } from '../../../vmm/qemu/disk-hold.ts';

const heldOn = async (disk: string) => {
  const seen: string[] = [];
  const hold = new DiskHold({
    disks: [disk],
    proceed: async () => void seen.push('goes on'),
    onChange: (held) => seen.push(held ? 'held' : 'free'),
  });
  onTestFinished(() => hold.end());
  return { hold, seen };
};

test('a machine that is held › goes on when there is room, once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-hold-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const { hold, seen } = await heldOn(join(folder, 'disk'));
  hold.begin();
  hold.begin();
  expect(hold.isHeld).toBe(true);
  await expect.poll(() => seen).toEqual(['held', 'free', 'goes on']);
  expect(hold.isHeld).toBe(false);
  // The disk filled up again.
  hold.begin();
  await expect.poll(() => seen).toEqual(['held', 'free', 'goes on', 'held', 'free', 'goes on']);
});

test('a machine that is held › is left alone after it was stopped by somebody else', async () => {
  // No file system has room there.
  const { hold, seen } = await heldOn('/proc/none/disk');
  hold.begin();
  hold.end();
  hold.end();
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toEqual(['held', 'free']);
});
