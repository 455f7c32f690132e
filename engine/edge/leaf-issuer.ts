import { statSync } from 'node:fs';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { readAuthority } from '../../net/certificates/authority.ts';
import { issueLeaf } from '../../net/certificates/issue-leaf.ts';
import type { LeafIssuer } from '../../net/edge/http/types.ts';

/** Certificates of the user's authority, which may be made, removed or replaced (`hypr setup`) while the edge serves. */
export const leafIssuer = (folder: string, domain: string): LeafIssuer => ({
  version: () => {
    try {
      const { ino, mtimeMs } = statSync(join(folder, domain, 'ca.pem'));
      return `${ino}:${mtimeMs}`;
    } catch {
      return undefined;
    }
  },
  issue: async (names) => {
    const authority = await readAuthority(folder, domain);
    if (authority === undefined) {
      throw new HyprError('NET_CERTIFICATE', 'there is no certificate authority yet', { hint: 'make one with: hypr setup --browser' });
    }
    return issueLeaf(authority, names);
  },
});
