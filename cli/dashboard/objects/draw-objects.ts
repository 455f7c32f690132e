import { sanitiseName } from '../../../base/sanitise.ts';
import { shorten, widthOf } from '../../render/width.ts';
import { fitWords } from '../draw/footer.ts';
import type { Look } from '../screen/look.ts';
import type { KeyTable } from '../state/key-table.ts';
import { KINDS, type Kind, type ObjectRow, type ObjectRows } from './read-objects.ts';

export interface ObjectsState {
  readonly kind: Kind;
  readonly rows: ObjectRows;
  readonly cursor: number;
  /** Asked before something is removed; only `y` is a yes. */
  readonly question: string | undefined;
  readonly message: string;
}

/** The screen of volumes, networks and images, as rows−1 lines. */
export const drawObjects = (state: ObjectsState, look: Look, keys: KeyTable): string[] => {
  const height = Math.max(1, look.rows - 4);
  const rows = state.rows[state.kind];
  const first = Math.max(0, state.cursor - height + 1);
  const widths = columnWidths(rows, look);
  const lines = rows
    .slice(first, first + height)
    .map((row, index) => drawRow(row, { look, widths, selected: first + index === state.cursor }));
  const none = rows.length === 0 ? [look.paint('dim', `   there are no ${state.kind}`)] : [];
  const fill = Array.from({ length: Math.max(0, height - lines.length - none.length) }, () => '');
  return [drawTabs(state, look), drawHead(look, widths, state.kind), ...none, ...lines, ...fill, drawFooter(state, look, keys)].map(
    (line) => shorten(line, look.columns, look.unicode),
  );
};

const drawTabs = ({ kind, rows }: ObjectsState, look: Look): string =>
  ` ${KINDS.map((each) => {
    const text = `${each} ${rows[each].length}`;
    return each === kind ? look.paint('bold', `[${text}]`) : ` ${text} `;
  }).join(' ')}`;

interface Widths {
  readonly name: number;
  readonly stack: number;
  readonly detail: number;
}

/** Names have what the others leave; who uses it is at the end, and what does not fit of that is cut. */
const columnWidths = (rows: readonly ObjectRow[], look: Look): Widths => {
  const longest = (texts: readonly string[], least: number): number => Math.max(least, ...texts.map((text) => widthOf(sanitiseName(text))));
  const stack = Math.min(
    16,
    longest(
      rows.map((row) => row.stack),
      5,
    ),
  );
  const detail = longest(
    rows.map((row) => row.detail),
    6,
  );
  const name = Math.min(
    longest(
      rows.map((row) => row.name),
      4,
    ),
    Math.max(12, look.columns - stack - detail - 24),
  );
  return { name, stack, detail };
};

const drawHead = (look: Look, { name, stack, detail }: Widths, kind: Kind): string =>
  look.paint(
    'dim',
    `   ${'NAME'.padEnd(name)}  ${'STACK'.padEnd(stack)}  ${(kind === 'networks' ? 'SUBNET' : 'SIZE').padEnd(detail)}  USED BY`,
  );

const drawRow = (row: ObjectRow, { look, widths, selected }: { look: Look; widths: Widths; selected: boolean }): string => {
  const cell = (text: string, width: number): string => {
    const shown = shorten(sanitiseName(text), width, look.unicode);
    return `${shown}${' '.repeat(Math.max(0, width - widthOf(shown)))}`;
  };
  const name = cell(row.name, widths.name);
  const users = row.users.length === 0 ? look.paint('yellow', 'nothing') : row.users.map(sanitiseName).join(', ');
  const cursor = selected ? (look.unicode ? '›' : '>') : ' ';
  return ` ${cursor} ${selected ? look.paint('bold', name) : name}  ${cell(row.stack, widths.stack)}  ${cell(row.detail, widths.detail)}  ${users}`;
};

const drawFooter = ({ question, message }: ObjectsState, look: Look, keys: KeyTable): string => {
  if (question !== undefined) {
    return look.paint('yellow', ` ${sanitiseName(question)}  y yes ${look.unicode ? '·' : '-'} any other key no`);
  }
  const dot = look.unicode ? ' · ' : ' - ';
  const words = [
    `${keys.labelOf('focus')} next list`,
    `${keys.labelOf('remove')} remove`,
    `${keys.labelOf('prune')} remove all unused`,
    'Esc back',
  ];
  return message === '' ? look.paint('dim', ` ${fitWords(words, { dot, columns: look.columns, last: 1 })}`) : ` ${sanitiseName(message)}`;
};
