import { sanitiseText } from '../../base/sanitise.ts';
import type { TrustStatus } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { hasUnicode } from '../core/style.ts';

/** `hypr trust`: the authority, who trusts it, and what leads names to services; all of it looked up now. */
export const runTrust: Handler = async ({ context, flags }) => {
  const format = flags.choice('format', ['text', 'table', 'json']);
  const trust = await (await context.engine()).openTrust(context.interrupts.signal);
  if (flags.bool('print-ca')) {
    context.stdout.write(await trust.certificate());
    return 0;
  }
  const status = await trust.status();
  const lines = format === 'json' ? [JSON.stringify(status, null, 2)] : describe(status, hasUnicode(context.env) ? ['✔', '✗'] : ['+', 'x']);
  context.stdout.write(`${lines.map(sanitiseText).join('\n')}\n`);
  return 0;
};

const NAMES = { chromium: 'Chromium, Chrome, Edge', firefox: 'Firefox', system: 'curl, git and others' } as const;

const describe = (
  { domain, authority, trust, proxy, edge, resolves, port443 }: TrustStatus,
  [yes, no]: readonly [string, string],
): string[] => {
  const mark = (is: boolean) => (is ? yes : no);
  const fix = (is: boolean, command: string) => (is || command === '' ? '' : `   ${command}`);
  if (authority === undefined) {
    return ['No certificate authority yet, so no https names. It is made by: hypr setup --browser'];
  }
  return [
    authority.name,
    `  file         ${authority.path}`,
    `  SHA-256      ${authority.fingerprint}`,
    `  until        ${authority.notAfter.slice(0, 10)}`,
    `  vouches for  names of ${domain} and localhost, nothing else`,
    'Trusted by',
    ...trust.map(({ what, place, trusts }) => {
      const command = what === 'system' ? 'hypr setup --system' : 'hypr setup --browser';
      return `  ${mark(trusts)} ${NAMES[what]}: ${place}${fix(trusts, command)}`;
    }),
    `    Node.js: NODE_EXTRA_CA_CERTS=${authority.path}`,
    'Names',
    `  ${mark(edge)} the edge answers${edge ? '' : ': it runs while a stack is up'}`,
    `  ${mark(proxy.state === 'ours')} proxy of the desktop: ${proxy.detail}`,
    `  ${mark(resolves)} programs find names of .${domain}${fix(resolves, edge ? 'hypr setup --system' : '')}`,
    `  ${mark(port443)} port 443 is served${fix(port443, edge ? 'hypr setup --system' : '')}`,
  ];
};
