import { sanitiseLog, sanitiseName } from '../../base/sanitise.ts';
import type { BuildEvent } from '../../engine/types.ts';
import type { OutputStream } from '../context.ts';
import { humanSize } from '../format/units.ts';
import { BuildLog, splitLines, type Vertex } from './build-log.ts';
import type { BuildRenderer } from './types.ts';

/** BuildKit's plain progress: `#5 [web 2/4] RUN …`, `#5 0.412 text`, `#5 DONE 3.1s`. */
export const createPlainBuild = (stream: OutputStream): BuildRenderer => {
  const log = new BuildLog();
  const named = new Set<number>();
  let current: number | undefined;

  /** Steps run side by side: a change of step is an empty line and, on return, its name again. */
  const turnTo = (vertex: Vertex): void => {
    if (current !== vertex.number) {
      stream.write(
        `${current === undefined ? '' : '\n'}${current !== undefined && named.has(vertex.number) ? `#${vertex.number} ...\n` : ''}`,
      );
      current = vertex.number;
    }
    if (!named.has(vertex.number)) {
      named.add(vertex.number);
      stream.write(`#${vertex.number} ${vertex.name}\n`);
    }
  };

  return {
    onEvent: (service, event) => {
      const vertex = log.record(service, event);
      if (vertex === undefined) {
        stream.write(formatWarning(event));
        return;
      }
      turnTo(vertex);
      for (const line of linesOf(vertex, event)) {
        stream.write(`#${vertex.number} ${line}\n`);
      }
    },
    close: () => {},
  };
};

const linesOf = (vertex: Vertex, event: BuildEvent): string[] => {
  if (event.type === 'log') {
    const time = (Math.max(0, event.time - vertex.startedAt) / 1000).toFixed(3);
    return splitLines(event.text).map((line) => `${time} ${sanitiseLog(line)}`);
  }
  if (event.type === 'status') {
    const size = event.total ? ` ${humanSize(event.current ?? 0)} / ${humanSize(event.total)}` : '';
    return [`${sanitiseName(event.text)}${size}`];
  }
  switch (vertex.state) {
    case 'started':
      return [];
    case 'cached':
      return ['CACHED'];
    case 'canceled':
      return ['CANCELED'];
    case 'error':
      return [`ERROR: ${vertex.error ?? 'failed'}`];
    case 'done':
      return [`DONE ${((vertex.duration ?? 0) / 1000).toFixed(1)}s`];
  }
};

export const formatWarning = (event: BuildEvent): string => {
  if (event.type !== 'warning') {
    return '';
  }
  const place = event.file === undefined ? '' : ` (${event.file}${event.line === undefined ? '' : `:${event.line}`})`;
  return `WARN: ${sanitiseName(event.message + place)}\n`;
};
