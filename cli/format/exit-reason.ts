import { constants } from 'node:os';

/** What an exit code says: the signal behind it, or that a program is missing (POSIX shell, sh(1p) 2.8.2); undefined: only the program knows. */
export const exitReason = (code: number): string | undefined => {
  if (code === 0) {
    return 'ended without an error';
  }
  if (code === 126) {
    return 'the program is there and cannot be executed: check its mode and its first line (#!)';
  }
  if (code === 127) {
    return 'the program is not in the image, or a program that it started is missing';
  }
  const signal = code > 128 && code < 193 ? SIGNALS.get(code - 128) : undefined;
  return signal === undefined ? undefined : `ended by ${signal}${SIGNAL_NOTES[signal] ?? ''}`;
};

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name] as const));

const SIGNAL_NOTES: Readonly<Record<string, string>> = {
  SIGKILL: ': killed, or it did not end within its grace period',
  SIGSEGV: ': a bad access to memory, a mistake of the program',
  SIGABRT: ': the program gave up on itself (an assertion, a panic)',
  SIGILL: ': an instruction that this processor does not have',
  SIGTERM: ': it was asked to end',
  SIGINT: ': it was interrupted',
};
