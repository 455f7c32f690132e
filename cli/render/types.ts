import type { Progress } from '../../base/progress.ts';
import type { EngineEvent } from '../../engine/model/events.ts';
import type { BuildEvent } from '../../engine/model/types.ts';
import type { OutputStream } from '../core/context.ts';
import type { Paint } from '../core/style.ts';
import type { Terminal } from '../core/terminal.ts';
import { refusalText } from '../format/refusal.ts';

export interface TtyOptions {
  readonly stream: OutputStream;
  readonly terminal: Terminal;
  readonly paint: Paint;
  readonly unicode: boolean;
  readonly now: () => number;
  /** The verb after `[+]`: `up 3/3`. */
  readonly title: string;
  readonly prefix?: string;
}

/** Shows the progress of an operation. Gets data only; writes to stderr, so that stdout stays clean. */
export interface ProgressRenderer {
  onProgress(progress: Progress): void;
  onWarning(message: string): void;
  /** A step of a service's build; undefined if the renderer does not show builds. */
  onBuild?(service: string, event: BuildEvent): void;
  /** Runs `write` while the display is cleared, for log lines between progress. */
  printAbove(write: () => void): void;
  /** Leaves the last state on the screen and releases the terminal. Safe to call twice. */
  close(): void;
}

export interface BuildRenderer {
  /** `service` tells builds of one command apart; vertex numbers are unique within one. */
  onEvent(service: string, event: BuildEvent): void;
  /** Prints buffered output, before other output that has to come after it. */
  flush?(): void;
  close(): void;
}

/** Passes progress, builds and warnings of the engine's events to a renderer; ignores other events. */
export const feedEvent = (renderer: ProgressRenderer, event: EngineEvent): void => {
  if (event.type === 'progress') {
    renderer.onProgress(event.progress);
  } else if (event.type === 'build') {
    renderer.onBuild?.(event.service, event.event);
  } else if (event.type === 'warning') {
    renderer.onWarning(event.message);
  } else if (event.type === 'refusal') {
    renderer.onWarning(refusalText(event.refusal));
  }
};
