/**
 * Progress is data: whoever works reports what happens to a thing with an id, and a renderer decides
 * how it looks. The fields are those of `docker compose --progress json`.
 */
export interface Progress {
  /** What it is about, e.g. `Image nginx:1.26`, `Container shop-db-1`, `Network shop_default`. */
  readonly id: string;
  readonly parentId?: string;
  readonly status: 'working' | 'done' | 'warning' | 'error';
  /** One word as docker compose says it: Pulling, Pulled, Creating, Created, Started, Healthy… */
  readonly text: string;
  readonly details?: string;
  /** Bytes (or items) done and in all. */
  readonly current?: number;
  readonly total?: number;
}

export type ProgressSink = (progress: Progress) => void;

export const noProgress: ProgressSink = () => {};
