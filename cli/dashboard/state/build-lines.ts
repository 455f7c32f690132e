import type { EngineEvent } from '../../../engine/model/events.ts';
import { splitLines } from '../../render/build-log.ts';

/** What of a build's event is told in the log. */
export const buildLines = (event: Extract<EngineEvent, { type: 'build' }>['event']): string[] => {
  switch (event.type) {
    case 'vertex':
      return event.state === 'started'
        ? [`=> ${event.name}`]
        : event.state === 'error'
          ? [`=> ERROR ${event.name}: ${event.error ?? 'failed'}`]
          : [];
    case 'log':
      return splitLines(event.text);
    case 'status':
      return [];
    case 'warning':
      return [`WARN: ${event.message}`];
  }
};
