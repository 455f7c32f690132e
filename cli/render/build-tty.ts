import { sanitiseLog } from '../../base/sanitise.ts';
import { elapsed } from '../format/units.ts';
import { BuildLog, isEnded, type Vertex } from './build-log.ts';
import { formatWarning } from './build-plain.ts';
import { LiveBlock } from './live-block.ts';
import type { BuildRenderer, TtyOptions } from './types.ts';
import { shorten, spread } from './width.ts';

const LOG_ROWS = 6;

/** BuildKit's terminal display: `[+] Building 12.3s (8/10)`, ` => [web 2/4] RUN …   3.1s`, the last output of running steps. */
export const createTtyBuild = (options: TtyOptions): BuildRenderer => {
  const log = new BuildLog();
  const startedAt = options.now();
  const block = new LiveBlock({ ...options, draw: (final) => drawBuild(log, options, { final, startedAt }) });
  return {
    onEvent: (service, event) => {
      if (log.record(service, event) === undefined) {
        block.printAbove(() => options.stream.write(formatWarning(event)));
      } else {
        block.touch();
      }
    },
    close: () => {
      block.close();
      for (const text of log.failures()) {
        options.stream.write(text);
      }
    },
  };
};

/** `room`: how many rows there are; default: as the terminal has. */
export const drawBuild = (
  log: BuildLog,
  options: TtyOptions,
  at: { readonly final: boolean; readonly startedAt: number; readonly room?: number },
): string[] => {
  const { vertices } = log;
  const width = Math.max(20, (options.stream.columns ?? 80) - 1);
  const done = vertices.filter(isEnded).length;
  const isOver = done === vertices.length && (at.final || at.room !== undefined);
  // Among other rows it stays on the screen when the builds are over.
  const end =
    isOver && at.room !== undefined ? Math.max(...vertices.map(({ startedAt, duration = 0 }) => startedAt + duration)) : options.now();
  const head = `[+] Building ${elapsed(end - at.startedAt)} (${done}/${vertices.length})${isOver ? ' FINISHED' : ''}`;
  const room = at.final ? Number.POSITIVE_INFINITY : Math.max(1, (at.room ?? (options.stream.rows ?? 24) - 1) - 1);
  const rows = vertices.flatMap((vertex) => drawVertex(vertex, options, { width, logs: at.final ? 0 : LOG_ROWS }));
  // Running steps are at the bottom: if not everything fits, the oldest rows are dropped.
  return [options.paint('bold', head), ...rows.slice(Math.max(0, rows.length - room))];
};

const drawVertex = (vertex: Vertex, options: TtyOptions, at: { readonly width: number; readonly logs: number }): string[] => {
  const time = elapsed(vertex.duration ?? options.now() - vertex.startedAt);
  const line = spread(` => ${PREFIX[vertex.state]}${vertex.name}`, time, at.width, options.unicode);
  const colour = COLOUR[vertex.state];
  const tail = vertex.state === 'started' && at.logs > 0 ? vertex.tail.slice(-at.logs) : [];
  return [
    colour ? options.paint(colour, line) : line,
    ...tail.map((text) =>
      options.paint('dim', shorten(` => => # ${sanitiseLog(text, { color: false }).replaceAll('\t', '    ')}`, at.width, options.unicode)),
    ),
  ];
};

const PREFIX = { started: '', done: '', cached: 'CACHED ', error: 'ERROR ', canceled: 'CANCELED ' } as const;
const COLOUR = { started: undefined, done: 'blue', cached: 'blue', error: 'red', canceled: 'yellow' } as const;
