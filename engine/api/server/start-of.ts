import { HyprError } from '../../../base/errors.ts';

interface Message {
  readonly input: { readonly case: string | undefined; readonly value?: unknown };
}

/** What a client's stream begins with: its first message, which is the start. Throws HYPR_USAGE (`the first message of WHAT`) for any other. */
export const startOf = async <M extends Message>(
  messages: AsyncIterator<M>,
  what: string,
): Promise<Extract<M['input'], { readonly case: 'start' }>['value']> => {
  const first = await messages.next();
  if (first.done || first.value.input.case !== 'start') {
    throw new HyprError('HYPR_USAGE', `the first message of ${what}`);
  }
  return first.value.input.value as Extract<M['input'], { readonly case: 'start' }>['value'];
};
