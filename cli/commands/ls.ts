import { HyprError } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { Handler } from '../core/command-spec.ts';
import { namePattern } from '../format/filters.ts';
import { formatListing } from '../format/output.ts';
import { COMPOSE_TABLE } from '../format/table.ts';

/** `ls`: all stacks of this HYPR_HOME; JSON is one array, as docker compose prints it. */
export const runLs: Handler = async ({ context, flags }) => {
  const matches = flags.list('filter').map(nameFilter);
  const engine = await context.engine();
  const stacks = (await engine.listStacks({ all: flags.bool('all') }))
    .filter((stack) => matches.every((match) => match(stack.name)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (flags.bool('quiet')) {
    context.stdout.write(stacks.map((stack) => `${stack.name}\n`).join(''));
    return 0;
  }
  const rows = stacks.map((stack) => ({ Name: stack.name, Status: stack.status, ConfigFiles: sanitiseName(stack.configFiles.join(',')) }));
  const columns = { Name: 'NAME', Status: 'STATUS', ConfigFiles: 'CONFIG FILES' };
  context.stdout.write(formatListing({ columns, rows, table: COMPOSE_TABLE, json: 'array' }, flags.string('format')));
  return 0;
};

const nameFilter = (filter: string): ((name: string) => boolean) => {
  const [, pattern] = /^name=(.*)$/.exec(filter) ?? [];
  if (pattern === undefined) {
    throw new HyprError('HYPR_USAGE', `--filter does not know "${filter}"`, { hint: 'the only filter is name=REGEXP' });
  }
  return namePattern(pattern);
};
