/**
 * Progress is data: operations report events about things with ids, and a renderer decides how they
 * look. The fields are those of `docker compose --progress json`.
 */
export interface Progress {
  /** What it is about, e.g. `Image nginx:1.26`, `Container shop-db-1`, `Network shop_default`. */
  readonly id: string;
  readonly parentId?: string;
  readonly status: 'working' | 'done' | 'warning' | 'error';
  /** Docker compose's word for the state: Pulling, Pulled, Creating, Created, Started, Healthy… */
  readonly text: string;
  readonly details?: string;
  /** Bytes (or items) done, and their total. */
  readonly current?: number;
  readonly total?: number;
}

export type ProgressSink = (progress: Progress) => void;

export const noProgress: ProgressSink = () => {};
