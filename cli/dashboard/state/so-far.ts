import type { EngineEvent } from '../../../engine/model/events.ts';
import type { DashboardModel } from './model.ts';

/**
 * How far the operations of a dashboard are, as the events that a display that begins now has not seen: the last progress of each
 * resource and of its parts, and the steps of builds that began with them, without the output that they have had so far.
 */
export const eventsSoFar = (model: DashboardModel): EngineEvent[] => {
  const time = model.now();
  const since = model.busySince ?? time;
  const progress = [...model.progress.values()].flatMap((whole) => [whole, ...(model.parts.get(whole.id)?.values() ?? [])]);
  return [
    ...progress.map((last) => ({ type: 'progress' as const, time, progress: last })),
    ...[...model.builds].flatMap(([service, build]) =>
      build.steps(since).map((event) => ({ type: 'build' as const, time, service, event })),
    ),
  ];
};
