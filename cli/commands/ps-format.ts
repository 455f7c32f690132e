import { join } from 'node:path';
import { readNamedFile } from '../../base/host/read-named.ts';
import type { CliContext } from '../core/context.ts';

const MAX_CONFIG = 1 << 20;

/** `psFormat` of docker's config.json, for who has set it. A file that cannot be read sets nothing. */
export const configuredFormat = async ({ env, home, interrupts }: CliContext): Promise<string | undefined> => {
  const path = join(env.DOCKER_CONFIG || join(home, '.docker'), 'config.json');
  try {
    const text = await readNamedFile(path, { what: "docker's settings", maxBytes: MAX_CONFIG, signal: interrupts.signal });
    const { psFormat } = JSON.parse(text.toString('utf8')) as { psFormat?: unknown };
    return typeof psFormat === 'string' && psFormat !== '' ? psFormat : undefined;
  } catch {
    return undefined;
  }
};
