import { constants } from 'node:os';
import { HyprError } from '../../base/errors.ts';

const FIRST_REALTIME = 34;
const LAST_SIGNAL = 64;

/** A signal's number from its name with or without SIG (also RTMIN+n), or from a number. */
export const signalNumber = (name: string): number => {
  const number = /^\d+$/.test(name)
    ? Number(name)
    : (realtimeSignal(name) ?? constants.signals[`SIG${name.replace(/^SIG/i, '')}`.toUpperCase() as NodeJS.Signals]);
  if (number === undefined || number < 1 || number > LAST_SIGNAL) {
    throw new HyprError('COMPOSE_INVALID', `${name} is not a signal`);
  }
  return number;
};

const realtimeSignal = (name: string): number | undefined => {
  const match = /^(?:SIG)?RT(MIN|MAX)(?:([+-])(\d+))?$/i.exec(name);
  if (match === null) {
    return undefined;
  }
  const base = match[1]?.toUpperCase() === 'MIN' ? FIRST_REALTIME : LAST_SIGNAL;
  return base + Number(`${match[2] ?? '+'}${match[3] ?? '0'}`);
};
