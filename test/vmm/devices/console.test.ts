import { appendFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { boundLog, lastLines } from '../../../vmm/devices/console.ts';
import { childEnv } from '../../../vmm/model/environment.ts';
import { tempDir } from '../support.ts';

describe('the console', () => {
  it('gives its last lines without what steers a terminal', async () => {
    const path = join(tempDir(), 'console');
    await writeFile(path, 'one\r\n\r\n\u001b]0;title\u0007two\u001b[2J\r\nthree\u0000\n');
    expect(await lastLines(path, 2)).toEqual(['two', 'three']);
  });

  it('is not there before the machine is', async () => {
    expect(await lastLines(join(tempDir(), 'none'), 3)).toEqual([]);
  });

  it('does not grow without end, and keeps its end', async () => {
    const path = join(tempDir(), 'console');
    await writeFile(path, '');
    const bound = boundLog(path, 50_000);
    onTestFinished(() => bound.close());
    await appendFile(path, `${'x'.repeat(99)}\n`.repeat(1000));
    await appendFile(path, 'the end\n');
    await vi.waitFor(async () => expect((await stat(path)).size).toBeLessThan(50_000), { timeout: 10_000 });
    await vi.waitFor(async () => expect(await lastLines(path, 1)).toEqual(['the end']), { timeout: 10_000 });
  });
});

it('the environment of a VMM holds no secret', () => {
  vi.stubEnv('MY_TOKEN', 'secret');
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(childEnv({ A: 'b' })).not.toHaveProperty('MY_TOKEN');
  expect(childEnv({ A: 'b' })).toMatchObject({ A: 'b', PATH: process.env.PATH });
});
