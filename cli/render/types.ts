import type { Progress } from '../../base/progress.ts';
import type { EngineEvent } from '../../engine/model/events.ts';
import type { BuildEvent } from '../../engine/model/types.ts';
import { refusalText } from '../format/refusal.ts';

/** Shows how an operation gets on. Fed with data only; writes to stderr, so that stdout stays clean. */
export interface ProgressRenderer {
  onProgress(progress: Progress): void;
  onWarning(message: string): void;
  /** A step of a service's build; undefined where there is no place for it. */
  onBuild?(service: string, event: BuildEvent): void;
  /** Runs `write` while the picture is out of the way, for log lines between progress. */
  aside(write: () => void): void;
  /** Leaves the last picture on the screen and gives the terminal back. Safe to call twice. */
  close(): void;
}

export interface BuildRenderer {
  /** `service` tells builds of one command apart; vertex numbers are unique within one. */
  onEvent(service: string, event: BuildEvent): void;
  /** Shows what it holds back, before something else is written that comes after it. */
  flush?(): void;
  close(): void;
}

/** Progress, builds and warnings of an engine's stream of events; the rest is for others. */
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
