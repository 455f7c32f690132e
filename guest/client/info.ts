import { type Fields, PROTOCOL_VERSION } from '../protocol/protocol.ts';
import type { GuestInfo, GuestStats } from '../types.ts';
import { readExit } from './process-channel.ts';

const STATES = ['waiting', 'prepared', 'running', 'exited'] as const;

/** What an agent says of itself in its WELCOME. */
export const readInfo = (welcome: Fields): GuestInfo => {
  const pid = welcome.int(2);
  const exit = readExit(welcome);
  return {
    protocol: PROTOCOL_VERSION,
    agent: welcome.text(3) ?? '',
    kernel: welcome.text(4) ?? '',
    state: STATES[welcome.int(5) ?? 0] ?? 'waiting',
    bootMs: welcome.int(6) ?? 0,
    ...(pid === undefined ? {} : { workload: { pid, ...(exit ? { exit } : {}) } }),
  };
};

export const readStats = (answer: Fields): GuestStats => ({
  cpuMs: answer.int(20) ?? 0,
  memoryUsed: answer.int(21) ?? 0,
  memoryTotal: answer.int(22) ?? 0,
  netRx: answer.int(23) ?? 0,
  netTx: answer.int(24) ?? 0,
  blockRead: answer.int(25) ?? 0,
  blockWrite: answer.int(26) ?? 0,
  pids: answer.int(27) ?? 0,
  ...optionalInt('diskFree', answer.int(28)),
  ...optionalInt('diskTotal', answer.int(29)),
});

const optionalInt = <K extends string>(key: K, value: number | undefined): Partial<Record<K, number>> =>
  value === undefined ? {} : ({ [key]: value } as Record<K, number>);
