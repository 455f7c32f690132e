import type { GuestProcess } from '../../../guest/types.ts';
import type { AttachInput, ExecInput, RunInput, Size } from '../gen/hypr_pb.ts';
import { sizeOf } from './requests.ts';

/** Input messages are the same for exec, attach and run. */
export type ProgramInput = ExecInput | AttachInput | RunInput;

/** Passes a client's messages on to a program. Never rejects. */
export const feedProcess = async (process: GuestProcess, messages: AsyncIterator<ProgramInput>): Promise<void> => {
  try {
    for (let next = await messages.next(); !next.done; next = await messages.next()) {
      // Input that nobody reads any more must not block signals.
      await carry(process, next.value).catch(() => {});
    }
  } catch {
    // The client has gone; the output side reports it.
  }
};

const carry = async (process: GuestProcess, { input }: ProgramInput): Promise<void> => {
  switch (input.case) {
    case 'stdin':
      return process.write(input.value);
    case 'closeStdin':
      return process.closeStdin();
    case 'resize':
      return resize(process, input.value);
    case 'signal':
      return process.signal(input.value);
    default:
      return;
  }
};

const resize = async (process: GuestProcess, value: Size): Promise<void> => {
  const size = sizeOf(value);
  if (size !== undefined) {
    await process.resize(size);
  }
};
