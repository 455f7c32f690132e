import { sanitiseLog } from '../../base/sanitise.ts';
import { elapsed } from '../format/units.ts';
import { BuildLog, isEnded, type Vertex } from './build-log.ts';
import { formatWarning } from './build-plain.ts';
import { LiveBlock } from './live-block.ts';
import type { TtyOptions } from './tty.ts';
import type { BuildRenderer } from './types.ts';
import { cut, spread } from './width.ts';

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
      for (const vertex of log.vertices.filter((each) => each.state === 'error' && each.tail.length > 0)) {
        options.stream.write(failureLog(vertex));
      }
    },
  };
};

const drawBuild = (log: BuildLog, options: TtyOptions, at: { readonly final: boolean; readonly startedAt: number }): string[] => {
  const { vertices } = log;
  const width = Math.max(20, (options.stream.columns ?? 80) - 1);
  const done = vertices.filter(isEnded).length;
  const state = at.final && done === vertices.length ? ' FINISHED' : '';
  const head = `[+] Building ${elapsed(options.now() - at.startedAt)} (${done}/${vertices.length})${state}`;
  const room = at.final ? Number.POSITIVE_INFINITY : Math.max(1, (options.stream.rows ?? 24) - 2);
  const rows = vertices.flatMap((vertex) => drawVertex(vertex, options, { width, logs: at.final ? 0 : LOG_ROWS }));
  // Running steps are at the bottom: if not everything fits, the oldest rows are dropped.
  return [options.paint('bold', head), ...rows.slice(Math.max(0, rows.length - room))];
};

const drawVertex = (vertex: Vertex, options: TtyOptions, at: { readonly width: number; readonly logs: number }): string[] => {
  const time = elapsed(vertex.duration ?? options.now() - vertex.startedAt);
  const line = spread(` => ${PREFIX[vertex.state]}${vertex.name}`, time, at.width);
  const colour = COLOUR[vertex.state];
  const tail = vertex.state === 'started' && at.logs > 0 ? vertex.tail.slice(-at.logs) : [];
  return [
    colour ? options.paint(colour, line) : line,
    ...tail.map((text) => options.paint('dim', cut(` => => # ${sanitiseLog(text, { color: false }).replaceAll('\t', '    ')}`, at.width))),
  ];
};

const PREFIX = { started: '', done: '', cached: 'CACHED ', error: 'ERROR ', canceled: 'CANCELED ' } as const;
const COLOUR = { started: undefined, done: 'blue', cached: 'blue', error: 'red', canceled: 'yellow' } as const;

/** The output of a failed step, which does not fit into the display. */
const failureLog = (vertex: Vertex): string =>
  ['------', ` > ${vertex.name}:`, ...vertex.tail.slice(-30).map((line) => sanitiseLog(line)), '------', ''].join('\n');
