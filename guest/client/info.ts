import type { Fields } from '../protocol/protocol.ts';
import { PROTOCOL_VERSION, STATE, TAG } from '../protocol/tags.ts';
import type { GuestInfo, GuestStats } from '../types.ts';
import { readExit } from './process-channel.ts';

const STATES = Object.keys(STATE) as Array<keyof typeof STATE>;

/** Reads what an agent says about itself in its WELCOME. */
export const readInfo = (welcome: Fields): GuestInfo => {
  const pid = welcome.int(TAG.info.pid);
  const exit = readExit(welcome);
  return {
    protocol: PROTOCOL_VERSION,
    agent: welcome.text(TAG.info.agent) ?? '',
    kernel: welcome.text(TAG.info.kernel) ?? '',
    state: STATES.find((name) => STATE[name] === welcome.int(TAG.info.state)) ?? 'waiting',
    bootMs: welcome.int(TAG.info.bootMs) ?? 0,
    ...(pid === undefined ? {} : { workload: { pid, ...(exit ? { exit } : {}) } }),
  };
};

export const readStats = (answer: Fields): GuestStats => ({
  cpuMs: answer.int(TAG.stats.cpuMs) ?? 0,
  memoryUsed: answer.int(TAG.stats.memoryUsed) ?? 0,
  memoryTotal: answer.int(TAG.stats.memoryTotal) ?? 0,
  netRx: answer.int(TAG.stats.netRx) ?? 0,
  netTx: answer.int(TAG.stats.netTx) ?? 0,
  blockRead: answer.int(TAG.stats.blockRead) ?? 0,
  blockWrite: answer.int(TAG.stats.blockWrite) ?? 0,
  pids: answer.int(TAG.stats.pids) ?? 0,
  ...optionalInt('diskFree', answer.int(TAG.stats.diskFree)),
  ...optionalInt('diskTotal', answer.int(TAG.stats.diskTotal)),
});

const optionalInt = <K extends string>(key: K, value: number | undefined): Partial<Record<K, number>> =>
  value === undefined ? {} : ({ [key]: value } as Record<K, number>);
