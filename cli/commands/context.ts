import { HyprError } from '../../base/errors.ts';
import type { Handler } from '../core/command-spec.ts';
import { formatListing } from '../format/output.ts';

/** docker's name of its own default. */
const NAME = 'default';

const COLUMNS = { Name: 'NAME', Description: 'DESCRIPTION', DockerEndpoint: 'DOCKER ENDPOINT', Error: 'ERROR' };

/** `context ls`: the one engine of this host. */
export const runContextLs: Handler = async ({ context, flags }) => {
  const { dockerSocket } = await import('../../engine/docker/serve.ts');
  const row = { Current: true, Name: NAME, Description: 'hypr on this host', DockerEndpoint: `unix://${dockerSocket()}`, Error: '' };
  // As in docker's table, a star is at the one in use.
  const rows = flags.string('format') === undefined ? [{ ...row, Name: `${NAME} *` }] : [row];
  context.stdout.write(
    flags.bool('quiet') ? `${NAME}\n` : formatListing({ columns: COLUMNS, headers: {}, rows, json: 'lines' }, flags.string('format')),
  );
  return 0;
};

/** `context show`. */
export const runContextShow: Handler = async ({ context }) => {
  context.stdout.write(`${NAME}\n`);
  return 0;
};

/** `context use`: of the one that there is. */
export const runContextUse: Handler = async ({ context, args: [name = ''] }) => {
  if (name !== NAME) {
    throw new HyprError('NOT_FOUND', `context "${name}" not found: there is one engine, on this host`, {
      hint: "docker's own client knows hypr as a context: hypr setup --docker",
    });
  }
  context.stdout.write(`${NAME}\nCurrent context is now "${NAME}"\n`);
  return 0;
};
