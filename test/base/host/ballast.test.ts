import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { dropBallast, keepBallast } from '../../../base/host/ballast.ts';

test('the ballast of a folder › is made once, private, and given up once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hypr-ballast-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  keepBallast(folder);
  const made = statSync(join(folder, 'ballast'));
  expect(made.size).toBe(8 << 20);
  expect(made.blocks * 512).toBeGreaterThanOrEqual(8 << 20);
  expect(made.mode & 0o777).toBe(0o600);
  keepBallast(folder);
  expect(statSync(join(folder, 'ballast')).ino).toBe(made.ino);
  expect(dropBallast(folder)).toBe(true);
  expect(dropBallast(folder)).toBe(false);
  keepBallast('/proc/none');
  expect(existsSync('/proc/none')).toBe(false);
});
