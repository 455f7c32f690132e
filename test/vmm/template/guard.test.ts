import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { expect, test } from 'vitest';
import { mustRun } from '../../../base/host/process.ts';
import { endWithUs } from '../../../vmm/template/guard.ts';

const sleeper = () => spawn('/bin/sleep', ['1000'], { stdio: 'ignore' });

test('a guarded process outlives the guard that was released', async () => {
  const child = sleeper();
  const guard = endWithUs(child.pid ?? 0);
  guard.release();
  await mustRun('/bin/true', []);
  expect(child.exitCode).toBeNull();
  expect(child.kill('SIGKILL')).toBe(true);
  await once(child, 'exit');
});

test('a guarded process ends with its maker, though that was killed', async () => {
  const child = sleeper();
  const ended = once(child, 'exit');
  const entry = fileURLToPath(new URL('../../../vmm/template/guard.ts', import.meta.url));
  const built = buildSync({ entryPoints: [entry], bundle: true, platform: 'node', format: 'cjs', write: false });
  const code = built.outputFiles[0]?.text ?? '';
  const maker = spawn(process.execPath, ['-e', `${code}; endWithUs(${child.pid}); setInterval(() => {}, 1000); console.log('guards');`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(maker.stdout, 'data');
  maker.kill('SIGKILL');
  expect((await ended)[1]).toBe('SIGKILL');
});
