import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { showSteps } from '../../../cli/render/steps.ts';

/** A terminal that keeps what is written; the last picture is what follows the last erased line. */
const openTerminal = () => {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 24 });
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return {
    stream,
    lines: () =>
      stripVTControlCharacters(text)
        .split(/\r?\n/)
        .map((line) => line.trimEnd()),
  };
};

describe('steps', () => {
  test('all are in sight from the beginning; those nobody reports had nothing to do', async () => {
    const terminal = openTerminal();
    const steps = showSteps(['Kernel', 'Agent', 'Template'], terminal.stream);
    steps.onProgress({ id: 'Kernel', status: 'working', text: 'Downloading', current: 1_000_000, total: 5_000_000 });
    steps.onProgress({ id: 'Kernel', status: 'done', text: 'Ready', details: '1.2s' });
    steps.onProgress({ id: 'Unknown', status: 'done', text: 'Ready' });
    steps.onProgress({ id: 'Template', status: 'warning', text: 'Skipped', details: 'no \u001b[31mroom' });
    await steps.end();
    const lines = terminal.lines();
    expect(lines).toContain('✔ Kernel  Ready  1.2s');
    expect(lines.some((line) => line.endsWith('Agent  Already there'))).toBe(true);
    expect(lines.some((line) => line.includes('Template  Skipped  no') && line.endsWith('room'))).toBe(true);
    expect(lines.join('\n')).not.toContain('Unknown');
  });

  test('one that fails says why and does not hide the others', async () => {
    const terminal = openTerminal();
    const steps = showSteps(['Kernel', 'Agent', 'Template'], terminal.stream);
    steps.onProgress({ id: 'Kernel', status: 'error', text: 'Error', details: 'the mirror is gone' });
    steps.onProgress({ id: 'Agent', status: 'done', text: 'Compiled' });
    await steps.end();
    const text = terminal.lines().join('\n');
    expect(text).toContain('Kernel: the mirror is gone');
    expect(text).toContain('Template  Not done');
    expect(text).toContain('✔ Agent  Compiled');
  });
});
