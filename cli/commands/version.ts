import { arch } from 'node:os';
import type { Handler } from '../core/command-spec.ts';
import { COMPOSE_VERSION, DOCKER_API_VERSION, DOCKER_VERSION, HYPR_VERSION } from '../core/version.ts';
import { compileTemplate, unescapeFormat } from '../format/go-template.ts';

/**
 * `hypr version`; `hypr compose version` answers as docker compose would, for tools that ask. Templates and json of `hypr version` have
 * the shape of docker's, whose version says which docker's commands and options there are.
 */
export const runVersion: Handler = async ({ context, flags, viaCompose }) => {
  const version = viaCompose ? `${COMPOSE_VERSION}+hypr.${HYPR_VERSION}` : HYPR_VERSION;
  const template = viaCompose ? undefined : templateOf(flags.string('format'));
  if (flags.bool('short')) {
    context.stdout.write(`${version}\n`);
  } else if (template !== undefined) {
    context.stdout.write(`${compileTemplate(unescapeFormat(template))(dockerVersion())}\n`);
  } else if (flags.choice('format', ['pretty', 'json']) === 'json') {
    context.stdout.write(`${JSON.stringify({ version: `v${version}`, ...(viaCompose ? {} : dockerVersion()) })}\n`);
  } else {
    context.stdout.write(viaCompose ? `Docker Compose version v${version}\n` : `hypr version ${version}\n`);
  }
  return 0;
};

const templateOf = (format: string | undefined): string | undefined => (format?.includes('{{') ? format : undefined);

const dockerVersion = () => {
  const shared = {
    Platform: { Name: `hypr ${HYPR_VERSION}` },
    Version: `${DOCKER_VERSION}+hypr.${HYPR_VERSION}`,
    ApiVersion: DOCKER_API_VERSION,
    Os: 'linux',
    Arch: arch() === 'x64' ? 'amd64' : arch(),
  };
  return {
    Client: withFieldNames({ ...shared, DefaultAPIVersion: DOCKER_API_VERSION, Context: 'default' }),
    Server: withFieldNames({
      ...shared,
      Components: [{ Name: 'hypr', Version: HYPR_VERSION }],
      MinAPIVersion: DOCKER_API_VERSION,
    }),
  };
};

/** A template asks for Go's name of the field, which json does not show. */
const withFieldNames = <T extends { ApiVersion: string }>(part: T): T =>
  Object.defineProperty(part, 'APIVersion', { value: part.ApiVersion, enumerable: false });
