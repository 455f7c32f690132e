import { describe, expect, test } from 'vitest';
import { readGoDuration, readMoment, readUnixTime } from '../../base/moment.ts';

const NOW = Date.UTC(2026, 0, 2);

describe('readMoment', () => {
  test.each([
    ['10m', NOW - 600_000],
    ['1h30m', NOW - 5_400_000],
    ['-5s', NOW + 5000],
    ['.5s', NOW - 500],
    ['0s', NOW],
    ['0', 0],
    ['1735689600', 1_735_689_600_000],
    ['1735689600.5', 1_735_689_600_500],
    ['1735689600.123456789', 1_735_689_600_123.456_8],
    ['2026-01-02T03:04:05Z', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['2026-01-02T03:04:05.123456789+01:00', Date.UTC(2026, 0, 2, 2, 4, 5, 123)],
    ['2026-01-02T03:04:05', new Date(2026, 0, 2, 3, 4, 5).getTime()],
    ['2026-01-02T03:04Z', Date.UTC(2026, 0, 2, 3, 4)],
    ['2026-01-02T03Z', Date.UTC(2026, 0, 2, 3)],
    ['2026-01-02T03', new Date(2026, 0, 2, 3).getTime()],
    ['2026-01-02', new Date(2026, 0, 2).getTime()],
    ['2026-01-02Z', Date.UTC(2026, 0, 2)],
    ['2026-01-02-08:00', Date.UTC(2026, 0, 2, 8)],
    ['2024-02-29Z', Date.UTC(2024, 1, 29)],
  ])('reads %s', (text, moment) => {
    expect(readMoment(text, NOW)).toBe(moment);
  });

  test.each([
    '',
    'yesterday',
    'May 1',
    '-5',
    '1.',
    '.5',
    '1e3',
    '5 m',
    '2026-02-29',
    '2026-13-01',
    '2026-01-02T24:00:00',
    '2026-01-02T3:04:05',
  ])('does not read "%s"', (text) => {
    expect(readMoment(text, NOW)).toBeUndefined();
  });
});

test('readUnixTime › gives whole milliseconds exactly, and nanoseconds before 1970 as docker', () => {
  for (const ms of [1_700_000_000_001, 1_700_000_000_123, 1_799_999_999_999]) {
    expect(readUnixTime(`${Math.trunc(ms / 1000)}.${String(ms % 1000).padStart(3, '0')}000000`)).toBe(ms);
  }
  expect(readUnixTime('-5.5')).toBe(-4500);
});

test('readGoDuration › reads Go’s notation and nothing else', () => {
  expect(readGoDuration('1.5h2ms')).toBe(5_400_002);
  expect(readGoDuration('-5s')).toBe(-5000);
  expect(readGoDuration('7µs')).toBe(readGoDuration('7μs'));
  expect(readGoDuration('5')).toBeUndefined();
});
