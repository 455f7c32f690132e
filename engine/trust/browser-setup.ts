import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, messageOf } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import type { HomePaths } from '../../base/paths.ts';
import { openAuthority } from '../../net/certificates/authority.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { findCertutil } from '../../vmm/toolchain/certutil.ts';
import { edgePorts } from '../edge/settings.ts';
import type { SetupStep } from '../model/trust.ts';
import { type DesktopProxy, readDesktopProxy, resetDesktopProxy, setDesktopProxy } from './desktop-proxy.ts';
import { whyNotOurPort } from './edge-port.ts';
import { type CertificateStore, findStores, hasStore } from './find-stores.ts';
import { JournalFile } from './journal.ts';
import { type Nss, openNss, STORE_FILES } from './nss.ts';
import { ownNicknames, putAuthority } from './put-authority.ts';

export interface TrustHost {
  readonly paths: HomePaths;
  /** The user's home. */
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/**
 * `hypr setup --browser`: has every browser of this user trust the authority, and sends names of the domain to the edge where the
 * desktop has a setting for it and nobody has used it. Needs no root, and may be run again at any time.
 */
export const setupBrowser = async (host: TrustHost, onStep: (step: SetupStep) => void): Promise<void> =>
  await locked(host, async () => {
    const { paths, env, signal } = host;
    const authority = await openAuthority(paths.authority, nameDomain(env));
    onStep({
      place: authority.certPath,
      status: 'done',
      text: `${authority.name}, until ${authority.notAfter.toISOString().slice(0, 10)}`,
    });
    const nss = openNss(await findCertutil(paths, signal), signal);
    const journal = await JournalFile.open(paths.setup);
    const failed: SetupStep[] = [];
    for (const store of await findStores(host.home)) {
      const step = await trustIn(store, { nss, journal, name: authority.name, cert: authority.cert });
      onStep(step);
      failed.push(...(step.status === 'failed' ? [step] : []));
    }
    const proxy = await setProxy(host);
    onStep(proxy);
    if (failed.length > 0) {
      throw new HyprError(
        'SETUP_REFUSED',
        `${failed.length === 1 ? 'a browser does' : `${failed.length} browsers do`} not trust hypr's authority`,
        {
          details: failed.map(({ place, text }) => `${place}: ${text}`),
          hint: `import ${authority.certPath} there by hand; the others are set up`,
        },
      );
    }
    if (proxy.status === 'failed') {
      throw new HyprError('SETUP_REFUSED', `the desktop has no proxy for names: ${proxy.text}`, {
        hint: 'hypr open starts a browser that knows the names',
      });
    }
  });

/** Undoes `setup --browser`. Without the journal it finds what is left by its name. */
export const undoBrowser = async (host: TrustHost, onStep: (step: SetupStep) => void): Promise<void> =>
  await locked(host, async () => {
    const { paths, env, signal } = host;
    const journal = await JournalFile.open(paths.setup);
    for (const change of journal.journal.stores) {
      if (await journal.restore(change)) {
        onStep({ place: change.folder, status: 'done', text: 'as it was before' });
      }
    }
    const stores = (await findStores(host.home)).filter((store) => store.exists);
    let nss: Nss | undefined;
    for (const { folder } of stores) {
      for (const nickname of ownNicknames(folder)) {
        nss ??= openNss(await findCertutil(paths, signal), signal);
        await nss.remove(folder, nickname);
        onStep({ place: folder, status: 'done', text: `${nickname} removed` });
      }
    }
    if (isOwn((await readDesktopProxy(env, signal)).state)) {
      onStep(await tryProxy('not set any more', () => resetDesktopProxy(env, signal)));
    }
    for (const folder of [paths.browsers, paths.authority]) {
      if (await exists(folder)) {
        await rm(folder, { recursive: true, force: true });
        onStep({ place: folder, status: 'done', text: 'removed' });
      }
    }
    await journal.remove();
  });

const locked = <T>({ paths, signal }: TrustHost, work: () => Promise<T>): Promise<T> =>
  withLock(join(paths.locks, 'setup.lock'), { what: 'the set-up of names', signal }, work);

const trustIn = async (
  { folder }: CertificateStore,
  { nss, journal, name, cert }: { nss: Nss; journal: JournalFile; name: string; cert: string },
): Promise<SetupStep> => {
  try {
    if ((await hasStore(folder)) && ownNicknames(folder).includes(name)) {
      return { place: folder, status: 'kept', text: 'trusts it already' };
    }
    await journal.record(folder, name, STORE_FILES, () => putAuthority(nss, folder, { name, cert }));
    return { place: folder, status: 'done', text: 'trusts it now' };
  } catch (error) {
    return { place: folder, status: 'failed', text: messageOf(error) };
  }
};

const PROXY = 'proxy of the desktop';

const tryProxy = async (text: string, work: () => Promise<void>): Promise<SetupStep> => {
  try {
    await work();
    return { place: PROXY, status: 'done', text };
  } catch (error) {
    return { place: PROXY, status: 'failed', text: messageOf(error) };
  }
};

const isOwn = (state: DesktopProxy['state']): boolean => state === 'ours' || state === 'stale';

const setProxy = async ({ env, signal }: TrustHost): Promise<SetupStep> => {
  const { state, detail } = await readDesktopProxy(env, signal);
  const taken = state === 'free' || isOwn(state) ? await whyNotOurPort(env, signal) : undefined;
  if (taken !== undefined) {
    const how = 'with HYPR_EDGE_PORT set to a free port for all of your session, run this again';
    return { place: PROXY, status: 'kept', text: `${taken}; ${how}, or use hypr open` };
  }
  if (state === 'free' || state === 'stale') {
    return tryProxy(`names of ${nameDomain(env)}, and nothing else, go to 127.0.0.1:${edgePorts(env)[0]}`, () =>
      setDesktopProxy(env, signal),
    );
  }
  if (state === 'ours') {
    return { place: PROXY, status: 'kept', text: detail };
  }
  const why = state === 'other' ? `${detail} stays as it is` : detail;
  return { place: PROXY, status: 'kept', text: `${why}; hypr open starts a browser that knows the names` };
};
