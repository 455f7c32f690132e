import { hasStore } from './find-stores.ts';
import { listNicknames, type Nss } from './nss.ts';

/** The beginning of the name of hypr's authorities in every store; nothing else begins like that. */
export const NICKNAME = 'hypr development CA ';

/** Has a store, which is made where there is none, trust this authority and no earlier one of hypr's. */
export const putAuthority = async (nss: Nss, folder: string, { name, cert }: { name: string; cert: string }): Promise<void> => {
  if (!(await hasStore(folder))) {
    await nss.create(folder);
  }
  for (const old of ownNicknames(folder)) {
    await nss.remove(folder, old);
  }
  await nss.add(folder, name, cert);
};

/** Authorities in a store of this hypr and of earlier ones. */
export const ownNicknames = (folder: string): string[] => listNicknames(folder).filter((name) => name.startsWith(NICKNAME));
