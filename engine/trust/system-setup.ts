import { X509Certificate } from 'node:crypto';
import { HyprError } from '../../base/errors.ts';
import { userName } from '../../base/host/user-name.ts';
import { openAuthority, readAuthority } from '../../net/certificates/authority.ts';
import { dnsPort } from '../../net/dns/serve.ts';
import { nameDomain } from '../../net/names/directory.ts';
import type { RootWork } from '../model/trust.ts';
import type { TrustHost } from './browser-setup.ts';
import { NICKNAME } from './put-authority.ts';
import { inspectSystem } from './system/inspect.ts';
import { planSystem } from './system/plan.ts';
import { setupScript, undoScript } from './system/script.ts';

/** Plans `hypr setup --system`; writes nothing but the authority. Throws SETUP_REFUSED with everything that prevents it. */
export const planSystemSetup = async ({ paths, env }: TrustHost): Promise<RootWork> => {
  const port = dnsPort(env);
  if (port === undefined) {
    throw new HyprError('SETUP_REFUSED', 'HYPR_DNS_PORT is 0, and without a DNS server nobody answers names', { hint: 'unset it' });
  }
  if (process.platform !== 'linux') {
    throw new HyprError('SETUP_REFUSED', `hypr cannot do this on ${process.platform}`, {
      hint: 'docs/names.md has the steps to do by hand',
    });
  }
  const authority = await openAuthority(paths.authority, nameDomain(env));
  const { cert, name } = authority;
  const plan = planSystem(await inspectSystem(), { domain: nameDomain(env), dnsPort: port, cert, name });
  if (plan.refusals.length > 0) {
    throw new HyprError('SETUP_REFUSED', 'names cannot be set up for every program of this host; nothing was changed', {
      details: plan.refusals,
      hint: 'hypr setup --browser needs none of this; hypr open starts a browser that knows the names',
    });
  }
  return { script: setupScript(plan), kept: plan.kept };
};

/** Plans its undo: everything with our mark, and this user's authorities, without any record. */
export const planSystemUndo = async ({ paths, env }: TrustHost): Promise<RootWork> => {
  const own = await readAuthority(paths.authority, nameDomain(env)).catch(() => undefined);
  const isMine = (certificate: string) => {
    const name = commonName(certificate);
    return (
      name !== undefined && (name === own?.name || (name.startsWith(NICKNAME) && name.includes(`(${userName() ?? process.getuid?.()}@`)))
    );
  };
  return { script: undoScript(await inspectSystem(), isMine), kept: [] };
};

const commonName = (certificate: string): string | undefined => {
  try {
    return /^CN=(.*)$/m.exec(new X509Certificate(certificate).subject)?.[1];
  } catch {
    return undefined;
  }
};
