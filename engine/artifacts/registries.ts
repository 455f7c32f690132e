import { loadRegistrySettings } from '../../builder/registry/config/settings.ts';
import { openRegistries, type Registries } from '../../builder/registry/registries.ts';

/** Registries for one piece of work; plain HTTP is allowed with `insecure` hosts besides those of the settings. */
export const withRegistries = async <T>(
  { home, insecure }: { readonly home: string; readonly insecure: readonly string[] },
  work: (registries: Registries) => Promise<T>,
): Promise<T> => {
  const settings = await loadRegistrySettings(home);
  const registries = await openRegistries({ home, settings: { ...settings, insecure: new Set([...settings.insecure, ...insecure]) } });
  try {
    return await work(registries);
  } finally {
    await registries[Symbol.asyncDispose]();
  }
};
