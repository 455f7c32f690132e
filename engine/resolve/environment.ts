import { nameDomain } from '../../net/names/directory.ts';
import { dnsLabel } from '../../net/names/stack-names.ts';

/**
 * The environment of a service's program: a PATH, the image's, the Compose file's, of which null takes away what the image has. Vite's dev
 * server is told the names of the stack, all of which it would refuse (https://vite.dev/config/server-options, server.allowedHosts).
 */
export const resolveEnvironment = (stack: string, image: readonly string[], service: Readonly<Record<string, string | null>>): string[] => {
  const merged = new Map<string, string>();
  for (const entry of [DEFAULT_PATH, ...image]) {
    const at = entry.indexOf('=');
    merged.set(at < 0 ? entry : entry.slice(0, at), at < 0 ? '' : entry.slice(at + 1));
  }
  for (const [key, value] of Object.entries(service)) {
    if (value === null) {
      // Not set where the command was called: docker takes the image's away, too.
      merged.delete(key);
    } else {
      merged.set(key, value);
    }
  }
  if (!merged.has(VITE_HOSTS) && !Object.hasOwn(service, VITE_HOSTS)) {
    merged.set(VITE_HOSTS, `.${dnsLabel(stack)}.${nameDomain()}`);
  }
  return [...merged].map(([key, value]) => `${key}=${value}`);
};

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const VITE_HOSTS = '__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS';
