import type { Handler } from '../core/command-spec.ts';
import { COMPOSE_VERSION, HYPR_VERSION } from '../core/version.ts';

/** `hypr version`; `hypr compose version` answers as docker compose would, for tools that ask. */
export const runVersion: Handler = async ({ context, flags, viaCompose }) => {
  const version = viaCompose ? `${COMPOSE_VERSION}+hypr.${HYPR_VERSION}` : HYPR_VERSION;
  if (flags.bool('short')) {
    context.stdout.write(`${version}\n`);
  } else if (flags.choice('format', ['pretty', 'json']) === 'json') {
    context.stdout.write(`${JSON.stringify({ version: `v${version}` })}\n`);
  } else {
    context.stdout.write(viaCompose ? `Docker Compose version v${version}\n` : `hypr version ${version}\n`);
  }
  return 0;
};
