import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ownNode, root, TRAIN_FLAGS } from '../../scripts/own-node.mjs';

test('code caches are made without a collection, whose moment would be seen in them', { timeout: 120_000 }, async () => {
  // A copy: what V8 writes with this flag is valid with this flag only.
  const folder = await mkdtemp(join(tmpdir(), 'hypr-train-test-'));
  try {
    await cp(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true });
    await cp(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    const collections = async (flags: readonly string[]): Promise<number> => {
      const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
      const { stdout } = await promisify(execFile)(ownNode, [...flags, '--trace-gc', join(folder, 'scripts/train.mjs')], { env });
      return stdout.split('Mark-Compact').length - 1;
    };
    expect(await collections(TRAIN_FLAGS)).toBe(0);
    expect(await collections(TRAIN_FLAGS.filter((flag) => !flag.startsWith('--initial-')))).toBeGreaterThan(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
