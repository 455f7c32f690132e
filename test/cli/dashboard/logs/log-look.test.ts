import { describe, expect, test } from 'vitest';
import { levelOf, readable } from '../../../../cli/dashboard/logs/log-look.ts';

test.each([
  ['ERROR something', 'error'],
  ['2026-01-02 03:04:05 ERROR [main] no', 'error'],
  ['2026-01-02 03:04:05.000 UTC [1] FATAL:  no database', 'error'],
  ['[error] 12#0: connect() failed', 'error'],
  ['level=warn msg="slow"', 'warn'],
  ['TypeError: x is not a function', 'error'],
  ['WARNING: unsafe', 'warn'],
  ['DEBUG: cache', 'debug'],
  ['INFO:     started', 'info'],
  ['{"level":"error","msg":"no database"}', 'error'],
  ['{"level":50,"msg":"pino"}', 'error'],
  ['{"severity":"WARNING"}', 'warn'],
  ['GET /errors 200', undefined],
  ['found no error in the file', undefined],
  ['{broken', undefined],
])('the level of %j is %s', (line, level) => {
  expect(levelOf(line)).toBe(level);
});

describe('a line of JSON for people', () => {
  test('time, level and message first, the rest behind them', () => {
    const line = '{"time":"2026-01-02T03:04:05Z","level":"error","msg":"no database","host":"db","port":5432,"tags":["a"]}';
    expect(readable(line)).toMatch(/^\d\d:04:05 ERROR no database {2}host=db {2}port=5432 {2}tags=\["a"\]$/);
  });

  test('seconds and milliseconds, and no message', () => {
    expect(readable('{"ts":1767323045.5,"level":30,"n":1}')).toMatch(/^\d\d:04:05 INFO {2}n=1$/);
    expect(readable('{"ts":1767323045500}')).toMatch(/^\d\d:04:05$/);
  });

  test('what is no object stays as it is', () => {
    expect([readable('plain'), readable('[1,2]'), readable('{"a":')]).toEqual([undefined, undefined, undefined]);
  });
});
