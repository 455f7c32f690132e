import type { LogRecord } from '../../../engine/model/events.ts';

export interface LogEntry {
  /** Orders all lines: those that came while the dashboard was open count up from 1, those read from disk are below. */
  readonly seq: number;
  readonly time: number;
  /** Empty for a mark the user made. */
  readonly replica: string;
  readonly line: string;
  readonly kind: LineKind;
  /** The run that wrote it, and how far its stream was; what ties a line of the screen to one on disk. */
  readonly run?: number | undefined;
  readonly position?: number | undefined;
}

/**
 * `event`: what hypr says of a replica, between its lines; `warning`: what hypr warns of; `build`: the output of its image's build; `gap`: lines that are on disk
 * and not in memory.
 */
export type LineKind = LogRecord['stream'] | 'mark' | 'event' | 'warning' | 'build' | 'gap';

/** Between the window on the past and the lines in memory. */
export const GAP: LogEntry = { seq: 0, time: 0, replica: '', line: 'lines in between are on disk', kind: 'gap' };

const MAX_LINE = 16_384;

export const entryOf = (record: LogRecord, seq: number): LogEntry => ({
  seq,
  time: record.time,
  replica: record.replica,
  line: record.line.length > MAX_LINE ? `${record.line.slice(0, MAX_LINE)}…` : record.line,
  kind: record.stream,
  run: record.run,
  position: record.seq,
});
