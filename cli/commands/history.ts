import { sanitiseName } from '../../base/sanitise.ts';
import type { Handler } from '../core/command-spec.ts';
import { formatListing } from '../format/output.ts';
import { ago, humanSize } from '../format/units.ts';

const COLUMNS = { ID: 'IMAGE', CreatedSince: 'CREATED', CreatedBy: 'CREATED BY', Size: 'SIZE', Comment: 'COMMENT' };
const HEADERS = { CreatedAt: 'CREATED AT' };
const MAX_TEXT = 45;
const SHORT_ID = 12;

/** `history`: the build steps of an image, the last one first, as docker prints them. */
export const runHistory: Handler = async ({ context, args, flags }) => {
  const { id, steps } = await (await (await context.engine()).openImages()).history(args[0] ?? '');
  const isWhole = flags.bool('no-trunc');
  const shownId = isWhole ? id : id.replace(/^sha256:/, '').slice(0, SHORT_ID);
  const rows = steps.map(({ created, createdBy, comment, size }, index) => ({
    Comment: sanitiseName(comment),
    CreatedAt: created === undefined ? 'N/A' : new Date(created).toISOString(),
    CreatedBy: cut(sanitiseName(createdBy.replaceAll('\t', ' ')), isWhole),
    CreatedSince: created === undefined ? 'N/A' : ago(created, context.now()),
    ID: index === 0 ? shownId : '<missing>',
    Size: flags.tristate('human') === false ? String(size) : humanSize(size),
  }));
  context.stdout.write(
    flags.bool('quiet')
      ? rows.map(({ ID }) => `${ID}\n`).join('')
      : formatListing({ columns: COLUMNS, headers: HEADERS, rows, json: 'lines' }, flags.string('format')),
  );
  return 0;
};

const cut = (text: string, isWhole: boolean): string => {
  const runes = [...text];
  return isWhole || runes.length <= MAX_TEXT ? text : `${runes.slice(0, MAX_TEXT - 1).join('')}…`;
};
