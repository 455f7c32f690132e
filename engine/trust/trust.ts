import { homedir } from 'node:os';
import { homePaths } from '../../base/paths.ts';
import type { TrustApi } from '../model/trust.ts';
import { setupBrowser, type TrustHost, undoBrowser } from './browser-setup.ts';
import { openUrl } from './open-url.ts';
import { ownAuthority } from './own-authority.ts';
import { readTrust } from './status.ts';
import { runAsRoot } from './system/run-script.ts';
import { planSystemSetup, planSystemUndo } from './system-setup.ts';

export const openTrust = (signal: AbortSignal, env: NodeJS.ProcessEnv = process.env): TrustApi => {
  const host: TrustHost = { paths: homePaths(), home: homedir(), env, signal };
  return {
    status: () => readTrust(host),
    certificate: async () => (await ownAuthority(host)).cert,
    setupBrowser: (onStep) => setupBrowser(host, onStep),
    undoBrowser: (onStep) => undoBrowser(host, onStep),
    planSystem: () => planSystemSetup(host),
    planUndo: () => planSystemUndo(host),
    open: (request) => openUrl(request, host),
    runAsRoot: ({ script }) => runAsRoot(script, signal),
  };
};
