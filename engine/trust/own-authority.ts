import { HyprError } from '../../base/errors.ts';
import { type Authority, readAuthority } from '../../net/certificates/authority.ts';
import { nameDomain } from '../../net/names/directory.ts';
import type { TrustHost } from './browser-setup.ts';

/** The user's authority, which only `hypr setup` makes. Throws SETUP_REFUSED where there is none. */
export const ownAuthority = async ({ paths, env }: Pick<TrustHost, 'paths' | 'env'>): Promise<Authority> => {
  const authority = await readAuthority(paths.authority, nameDomain(env));
  if (authority === undefined) {
    throw new HyprError('SETUP_REFUSED', 'there is no certificate authority yet', { hint: 'make it with: hypr setup --browser' });
  }
  return authority;
};
