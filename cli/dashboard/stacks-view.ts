import { sanitiseName } from '../../base/sanitise.ts';
import type { ReplicaDetail, StackSummary } from '../../engine/model/types.ts';
import { shorten, spread, widthOf } from '../render/width.ts';
import { signOf } from './draw/draw-list.ts';
import { fitWords } from './draw/footer.ts';
import type { Look } from './screen/look.ts';

export interface StackRow extends Pick<StackSummary, 'workingDir' | 'envFiles' | 'profiles'> {
  readonly name: string;
  /** `exited(1), running(2)` */
  readonly status: string;
  readonly files: readonly string[];
  /** Names of the replicas that failed or are unhealthy. */
  readonly trouble: readonly string[];
  readonly running: number;
}

export interface StacksState {
  readonly rows: readonly StackRow[];
  readonly cursor: number;
  readonly message: string;
}

/** What is known of all stacks, by name. */
export const stackRows = (stacks: readonly StackSummary[], machines: readonly ReplicaDetail[]): StackRow[] =>
  stacks
    .map(({ name, status, configFiles, workingDir, envFiles, profiles }) => {
      const mine = machines.filter((machine) => machine.stack === name && !machine.status.oneOff).map((machine) => machine.status);
      return {
        name,
        status,
        files: configFiles,
        ...{ workingDir, envFiles, profiles },
        trouble: mine.filter((replica) => signOf(replica).colour === 'red').map((replica) => replica.name),
        running: mine.filter(({ state }) => state === 'running').length,
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));

/** The screen of all stacks, as rows−1 lines. */
export const drawStacks = ({ rows, cursor, message }: StacksState, look: Look, home: string): string[] => {
  const height = Math.max(1, look.rows - 3);
  const sick = rows.filter(({ trouble }) => trouble.length > 0).length;
  const title = ` ${look.paint('bold', 'hypr')}  ${rows.length} stack${rows.length === 1 ? '' : 's'}${look.paint('red', sick > 0 ? `  ${sick} in trouble` : '')}`;
  const width = Math.min(30, Math.max(...rows.map(({ name }) => widthOf(name)), 4));
  const first = Math.max(0, cursor - height + 1);
  const lines = rows
    .slice(first, first + height)
    .map((row, index) => drawRow(row, { look, width, home, selected: first + index === cursor }));
  const dot = look.unicode ? '·' : '-';
  const words = ['Enter open', 'u up', 's stop', 'V volumes, networks, images', 'q leave'];
  const keys = look.paint('dim', ` ${fitWords(words, { dot: ` ${dot} `, columns: look.columns, last: 1 })}`);
  const fill = Array.from({ length: height - lines.length }, () => '');
  return [title, ...lines, ...fill, message === '' ? keys : ` ${sanitiseName(message)}`].map((line) =>
    shorten(line, look.columns, look.unicode),
  );
};

const drawRow = (row: StackRow, at: { look: Look; width: number; home: string; selected: boolean }): string => {
  const { look, width } = at;
  const [symbol, ascii, colour] =
    row.trouble.length > 0 ? (['✗', 'x', 'red'] as const) : row.running > 0 ? (['●', '*', 'green'] as const) : (['○', 'o', 'dim'] as const);
  const name = shorten(sanitiseName(row.name), width, look.unicode);
  const cursor = at.selected ? (look.unicode ? '›' : '>') : ' ';
  const shown = at.selected ? look.paint('bold', name) : name;
  const trouble = row.trouble.length > 0 ? look.paint('red', `  ${row.trouble.join(', ')}`) : '';
  const left = `${cursor} ${look.paint(colour, look.unicode ? symbol : ascii)} ${shown}${' '.repeat(width - widthOf(name))}  ${row.status}${trouble}`;
  const [first = ''] = row.files;
  const file = sanitiseName(at.home.length > 1 ? first.replace(at.home, '~') : first);
  return widthOf(left) + widthOf(file) + 2 <= look.columns ? spread(left, look.paint('dim', file), look.columns) : left;
};
