import { createHash } from 'node:crypto';
import type { BuildEvent } from '../../engine/model/types.ts';
import type { OutputStream } from '../core/context.ts';
import { withService } from './build-log.ts';
import type { BuildRenderer } from './types.ts';

type VertexEvent = Extract<BuildEvent, { type: 'vertex' }>;

/** Milliseconds as Go's time.Time in JSON. */
const stamp = (time: number): string => new Date(time).toISOString();

/**
 * `--progress rawjson`: BuildKit's SolveStatus, one object in a line, with vertexes, statuses, logs or warnings.
 * Bytes are base64 as in Go's JSON. A vertex' digest stands for its service, number and name.
 */
export const createRawJsonBuild = (stream: OutputStream): BuildRenderer => {
  const vertices = new Map<string, { readonly digest: string; readonly name: string; readonly started: number }>();
  const write = (status: object) => stream.write(`${JSON.stringify(status)}\n`);
  const find = (service: string, id: number) => vertices.get(`${service}/${id}`)?.digest;

  const onVertex = (service: string, event: VertexEvent): void => {
    const key = `${service}/${event.id}`;
    const name = withService(service, event.name);
    const digest = `sha256:${createHash('sha256').update(`${key}/${name}`).digest('hex')}`;
    const vertex = vertices.get(key) ?? { digest, name, started: event.time - (event.duration ?? 0) };
    vertices.set(key, vertex);
    write({ vertexes: [{ digest: vertex.digest, name: vertex.name, started: stamp(vertex.started), ...endOf(event) }] });
  };

  return {
    onEvent: (service, event) => {
      switch (event.type) {
        case 'vertex':
          onVertex(service, event);
          return;
        case 'log':
          write({
            logs: [
              {
                vertex: find(service, event.id),
                stream: event.stream === 'stdout' ? 1 : 2,
                data: Buffer.from(event.text).toString('base64'),
                timestamp: stamp(event.time),
              },
            ],
          });
          return;
        case 'status': {
          const { text, current = 0, total, time } = event;
          const at = stamp(time);
          const isDone = total === undefined || current >= total;
          const size = total === undefined ? {} : { total };
          const times = { timestamp: at, started: at, ...(isDone ? { completed: at } : {}) };
          write({ statuses: [{ id: text, vertex: find(service, event.id), ...size, current, ...times }] });
          return;
        }
        case 'warning':
          write({ warnings: [warningOf(event)] });
      }
    },
    close: () => {},
  };
};

const endOf = (event: VertexEvent): object => {
  switch (event.state) {
    case 'started':
      return {};
    case 'cached':
      return { completed: stamp(event.time), cached: true };
    case 'done':
      return { completed: stamp(event.time) };
    case 'canceled':
      return { completed: stamp(event.time), error: 'context canceled' };
    case 'error':
      return { completed: stamp(event.time), error: event.error ?? 'failed' };
  }
};

const warningOf = ({ message, file, line }: Extract<BuildEvent, { type: 'warning' }>): object => ({
  level: 1,
  short: Buffer.from(message).toString('base64'),
  ...(file === undefined ? {} : { sourceInfo: { filename: file } }),
  ...(line === undefined ? {} : { range: [{ start: { line }, end: { line } }] }),
});
