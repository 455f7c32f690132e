import type { Progress } from '../../base/progress.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import { elapsed, humanSize } from '../format/units.ts';
import { BuildLog } from './build-log.ts';
import { drawBuild } from './build-tty.ts';
import { LiveBlock } from './live-block.ts';
import type { ProgressRenderer, TtyOptions } from './types.ts';
import { spread } from './width.ts';

interface Row {
  progress: Progress;
  readonly startedAt: number;
  endedAt: number | undefined;
  /** Byte counts of its parts (layers of an image). */
  readonly parts: Map<string, { readonly current: number; readonly total: number }>;
}

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const SPINNER_ASCII = ['|', '/', '-', '\\'];

/**
 * docker compose's display: `[+] up 2/3`, one row per resource, elapsed time at the right edge, redrawn in place. Above it the steps of
 * builds, as `build` shows them, while there is room; what the failed ones have printed stays.
 */
export const createTtyRenderer = (options: TtyOptions): ProgressRenderer => {
  const rows = new Map<string, Row>();
  const builds = new BuildLog();
  let buildsSince = 0;
  const draw = (final: boolean): string[] => {
    const below = drawRows(rows, options, final);
    if (builds.vertices.length === 0) {
      return below;
    }
    const room = final ? Number.POSITIVE_INFINITY : Math.max(2, (options.stream.rows ?? 24) - 2 - below.length);
    return [...drawBuild(builds, options, { final, startedAt: buildsSince, room }), ...below];
  };
  const block = new LiveBlock({ ...options, draw });
  return {
    onProgress: (progress) => {
      recordProgress(rows, progress, options.now());
      block.touch();
    },
    onBuild: (service, event) => {
      buildsSince ||= options.now();
      builds.record(service, event);
      block.touch();
    },
    onWarning: (message) => {
      block.printAbove(() => options.stream.write(`${options.paint('yellow', 'warning:')} ${sanitiseName(message)}\n`));
    },
    printAbove: (write) => block.printAbove(write),
    close: () => {
      block.close();
      for (const text of builds.failures()) {
        options.stream.write(text);
      }
      builds.clear();
    },
  };
};

const recordProgress = (rows: Map<string, Row>, progress: Progress, now: number): void => {
  const parent = progress.parentId === undefined ? undefined : rows.get(progress.parentId);
  if (parent) {
    parent.parts.set(progress.id, { current: progress.current ?? 0, total: progress.total ?? 0 });
    return;
  }
  const ended = progress.status === 'working' ? undefined : now;
  const row = rows.get(progress.id);
  if (row) {
    // A resource that continues after it was done (Created, then Starting) keeps its start time.
    row.progress = progress;
    row.endedAt = ended;
  } else {
    rows.set(progress.id, { progress, startedAt: now, endedAt: ended, parts: new Map() });
  }
};

const drawRows = (rows: ReadonlyMap<string, Row>, options: TtyOptions, final: boolean): string[] => {
  const all = [...rows.values()];
  const done = all.filter((row) => row.progress.status !== 'working').length;
  const head = `[+] ${options.title} ${done}/${all.length}`;
  // One line for the head, one for the count of the rest, one for the cursor.
  const room = Math.max(1, (options.stream.rows ?? 24) - 3);
  const shown = final || all.length <= room ? all : pickRows(all, room);
  const frame = Math.trunc(options.now() / 100);
  const names = Math.max(...shown.map((row) => sanitiseName(row.progress.id).length), 0);
  return [
    done === all.length ? options.paint('blue', head) : head,
    ...shown.map((row) => drawRow(row, options, { frame: final ? undefined : frame, names })),
    ...(shown.length < all.length ? [` ... ${all.length - shown.length} more`] : []),
  ];
};

/** Chooses rows if not everything fits: unfinished ones first. Their order does not change. */
const pickRows = (all: readonly Row[], room: number): Row[] => {
  const rank = (row: Row): number => (row.progress.status === 'done' ? 1 : 0);
  const kept = new Set([...all].sort((a, b) => rank(a) - rank(b)).slice(0, room));
  return all.filter((row) => kept.has(row));
};

const drawRow = (row: Row, options: TtyOptions, at: { readonly frame: number | undefined; readonly names: number }): string => {
  const { progress } = row;
  const text = [
    options.prefix ?? '',
    ` ${symbol(progress, options, at.frame)} `,
    sanitiseName(progress.id).padEnd(at.names),
    ' ',
    options.paint(COLOUR[progress.status], sanitiseName(progress.text)),
    amount(row),
    progress.details ? ` ${options.paint('dim', sanitiseName(progress.details))}` : '',
  ].join('');
  const time = elapsed((row.endedAt ?? options.now()) - row.startedAt);
  return spread(text, options.paint('blue', time), Math.max(20, (options.stream.columns ?? 80) - 1), options.unicode);
};

const COLOUR = { working: 'cyan', done: 'green', warning: 'yellow', error: 'red' } as const;

/** `frame`: undefined in the last drawing, where what is still under way was given up: a spinner that stands still would say otherwise. */
const symbol = (progress: Progress, options: TtyOptions, frame: number | undefined): string => {
  if (progress.status === 'working' && frame === undefined) {
    return options.paint('dim', '-');
  }
  if (progress.status === 'working') {
    const spinner = options.unicode ? SPINNER : SPINNER_ASCII;
    return options.paint('cyan', spinner[(frame ?? 0) % spinner.length] ?? '-');
  }
  const symbols = options.unicode ? { done: '✔', warning: '!', error: '✘' } : { done: '+', warning: '!', error: 'x' };
  return options.paint(COLOUR[progress.status], symbols[progress.status]);
};

/** ` 12.3MB/40MB` while something is on its way. */
const amount = (row: Row): string => {
  const parts = [...row.parts.values()];
  const current = (row.progress.current ?? 0) + parts.reduce((sum, part) => sum + part.current, 0);
  const total = (row.progress.total ?? 0) + parts.reduce((sum, part) => sum + part.total, 0);
  return total === 0 || row.progress.status !== 'working' ? '' : ` ${humanSize(current)}/${humanSize(total)}`;
};
