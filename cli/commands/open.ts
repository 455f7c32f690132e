import { sanitiseText } from '../../base/sanitise.ts';
import type { Handler } from '../core/command-spec.ts';
import { findUrl } from './url.ts';

/** `open web`: its page in a browser, by the best name that works there; without a display the URL, and why. */
export const runOpen: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const browser = flags.string('browser');
  const { url, reach } = await findUrl(invocation);
  const trust = await (await context.engine()).openTrust(context.interrupts.signal);
  const opened = await trust.open({ url, reach, ...(browser === undefined ? {} : { browser }) });
  context.stdout.write(`${opened.url}\n`);
  context.stderr.write(`${sanitiseText(opened.why === undefined ? `opened in ${opened.where}` : `not opened: ${opened.why}`)}\n`);
  return 0;
};
