import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { BuildEvent } from '../../model/types.ts';
import { type StatusResponse, StatusResponseSchema } from './gen/control_pb.ts';

/** What happens in a build, in BuildKit's words. `ref` tells builds apart: clients know a step by its digest. */
export class BuildProgress {
  readonly #ref: string;
  readonly #steps = new Map<number, { readonly name: string; readonly started: Timestamp }>();

  constructor(ref: string) {
    this.#ref = ref;
  }

  statusOf(event: BuildEvent): StatusResponse {
    switch (event.type) {
      case 'vertex':
        return this.#vertex(event);
      case 'log':
        return create(StatusResponseSchema, {
          logs: [
            {
              vertex: this.#digest(event.id),
              timestamp: timestampFromMs(event.time),
              stream: event.stream === 'stdout' ? 1n : 2n,
              msg: Buffer.from(event.text),
            },
          ],
        });
      case 'status': {
        const timestamp = timestampFromMs(event.time);
        const [current, total] = [event.current ?? 0, event.total ?? 0].map((bytes) => BigInt(Math.round(bytes))) as [bigint, bigint];
        const ended = total > 0n && current >= total ? { completed: timestamp } : {};
        const status = { ID: event.text, vertex: this.#digest(event.id), name: event.text, current, total, timestamp, started: timestamp };
        return create(StatusResponseSchema, { statuses: [{ ...status, ...ended }] });
      }
      case 'warning':
        return create(StatusResponseSchema, { warnings: [{ vertex: this.#digest(0), level: 1n, short: Buffer.from(event.message) }] });
    }
  }

  #vertex(event: BuildEvent & { type: 'vertex' }): StatusResponse {
    const now = timestampFromMs(event.time);
    const begun = this.#steps.get(event.id) ?? { name: event.name, started: timestampFromMs(event.time - (event.duration ?? 0)) };
    this.#steps.set(event.id, begun);
    const isEnd = event.state !== 'started';
    return create(StatusResponseSchema, {
      vertexes: [
        {
          digest: this.#digest(event.id),
          name: event.name,
          started: begun.started,
          cached: event.state === 'cached',
          ...(isEnd ? { completed: now } : {}),
          ...(event.state === 'error' || event.state === 'canceled' ? { error: event.error ?? event.state } : {}),
        },
      ],
    });
  }

  #digest(id: number): string {
    return `sha256:${createHash('sha256').update(`${this.#ref} ${id}`).digest('hex')}`;
  }
}
