import type { MachineExit } from '../model/machine.ts';

/** Whether a machine ended because of its guest, rather than being killed from outside or losing its host's disk. */
export const isGuestFault = ({ reason, detail }: MachineExit): boolean =>
  reason === 'crashed' &&
  [CRASH_WORDS['guest-reset'], CRASH_WORDS['guest-panic'], DEAD_STATES['internal-error'], DEAD_STATES['guest-panicked']].includes(detail);

/** Descriptions of the reasons of a SHUTDOWN event (qapi: ShutdownCause); `guest-shutdown` is not a crash. */
export const CRASH_WORDS: Readonly<Record<string, string>> = {
  'guest-reset': 'the guest restarted itself, or its kernel panicked',
  'guest-panic': 'the guest kernel panicked',
  'host-signal': 'QEMU was told by a signal to end',
  'host-error': 'QEMU met an error of the host',
};

/** States that QEMU never leaves by itself (qapi: RunState). A stopped machine would block its network. */
export const DEAD_STATES: Readonly<Record<string, string>> = {
  'internal-error': 'the virtual processor failed (KVM internal error)',
  'guest-panicked': 'the guest kernel panicked',
  'io-error': 'no space left on the disk of the host',
};

/** No other failure of a disk stops a machine. */
export const FULL_STATE = 'io-error';
