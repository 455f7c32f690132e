// Writes the pages of docs/ that are, in whole or in part, made from tables of the code: `npm run generate`.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandReference, manPage } from '../../cli/command-tree/reference.ts';
import { rootCommand } from '../../cli/command-tree/tree.ts';
import { SETTINGS } from '../../cli/core/settings.ts';
import { KEYS } from '../../cli/dashboard/state/keys.ts';

const docs = join(import.meta.dirname, '..', '..', 'docs');

/** Name of the page in docs/ → its text as the tables say. */
export const writtenDocs = () => ({
  'commands.md': commandReference(rootCommand),
  'hypr.1': manPage(rootCommand),
  'dashboard.md': ['Services', 'Logs', 'Stack'].reduce(withKeys, readFileSync(join(docs, 'dashboard.md'), 'utf8')),
  'settings.md': withRows(
    readFileSync(join(docs, 'settings.md'), 'utf8'),
    '| setting | words | without it | means |\n|---|---|---|---|\n',
    [
      ...SETTINGS.map(settingRow),
      '| `keys.ACTION` | keys, with blanks between | as `?` in the dashboard shows them | the keys of an action |',
    ],
  ),
});

const cell = (text) => text.replaceAll('|', '\\|');

const withKeys = (text, group) =>
  withRows(
    text,
    `### ${group}\n\n| key | does |\n|---|---|\n`,
    KEYS.filter((binding) => binding.group === group).map(({ label, text: does }) => `| \`${label}\` | ${cell(does)} |`),
  );

const settingRow = ({ name, words, standard, text, variable }) =>
  `| \`${name}\` | ${words.map((word) => `\`${word}\``).join(', ')} | \`${standard}\` | ${cell(text)}${variable === undefined ? '' : `; \`${variable}\` comes first`} |`;

/** The text with other rows in the table of that head. Throws where there is no such head. */
const withRows = (text, head, rows) => {
  const begin = text.indexOf(head);
  if (begin < 0) {
    throw new Error(`the page lacks the head of its table: ${head}`);
  }
  const end = text.indexOf('\n\n', begin + head.length);
  return `${text.slice(0, begin)}${head}${rows.join('\n')}${end < 0 ? '\n' : text.slice(end)}`;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(writtenDocs())) {
    writeFileSync(join(docs, name), text);
  }
}
