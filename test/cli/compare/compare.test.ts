import { describe, expect, it } from 'vitest';
import { readDay } from './day.ts';
import { errorClass, normalise } from './normalise.ts';
import { compareOutcomes } from './run-step.ts';

const CWDS = { docker: '/tmp/a/day', hypr: '/tmp/b/day' };
const step = { section: 'run', line: 'docker ps', exitOnly: false };
const said = (stdout: string, code = 0, stderr = '') => ({ code, stdout, stderr });

describe('a day of docker', () => {
  it('has at least 150 commands', () => {
    expect(readDay().length).toBeGreaterThan(150);
    expect(readDay().filter(({ line }) => !line.includes('docker'))).toEqual([]);
  });

  it('makes the same of what is never the same twice, and of the folder in which it runs', () => {
    const [a, b] = [
      `sha256:${'a1'.repeat(32)} 331753212efa  2026-01-02T03:04:05.678Z Up 3 seconds 12.5MB 127.0.0.1:32768 /tmp/a/day/x`,
      `sha256:${'b2'.repeat(32)} 4a1753212efb    2026-11-22T13:24:35Z Up About a minute 1.25GB 127.0.0.1:41234 /tmp/b/day/x`,
    ];
    expect(normalise(a, CWDS.docker)).toBe(normalise(b, CWDS.hypr));
  });

  it('tells exit codes, output and kinds of errors apart, and nothing else', () => {
    expect(compareOutcomes(step, said('a\n'), said('a\n', 0, 'a warning'), CWDS)).toEqual([]);
    expect(compareOutcomes(step, said('a'), said('b'), CWDS)).toEqual(['stdout: docker "a", hypr "b"']);
    expect(compareOutcomes({ ...step, exitOnly: true }, said('a'), said('b'), CWDS)).toEqual([]);
    const missing = said('', 1, 'Error response from daemon: No such container: x');
    expect(compareOutcomes(step, missing, said('', 1, '✗ there is no machine x'), CWDS)).toEqual([]);
    expect(compareOutcomes(step, missing, said('', 125, 'the name is already in use'), CWDS)).toHaveLength(2);
  });

  it('knows the errors that scripts look for', () => {
    expect(errorClass('unknown flag: --x')).toBe('flag');
    expect(errorClass('Conflict. The container name "/x" is already in use')).toBe('conflict');
    expect(errorClass('it rained')).toBeUndefined();
  });
});
