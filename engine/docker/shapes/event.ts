import type { RecordedEvent } from '../../model/events.ts';

/** An event as `GET /events` has it. The older members stand beside the newer ones, as docker has them. */
export const eventMessage = ({ type, action, id, attributes, time }: RecordedEvent): unknown => ({
  ...(type === 'container' || type === 'image'
    ? { status: action, id, ...(attributes.image === undefined ? {} : { from: attributes.image }) }
    : {}),
  Type: type,
  Action: action,
  Actor: { ID: id, Attributes: attributes },
  scope: 'local',
  time: Math.floor(time / 1000),
  timeNano: Math.round(time * 1e6),
});
