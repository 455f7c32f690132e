import type { BuildEvent } from '../../../builder/model/types.ts';
import type { BuildEventJson } from '../gen/hypr_pb.ts';
import { double, fromEnum, optionalDouble, present, type Sent, toEnum } from './values.ts';

/** Conversion of build events to messages and back. */

export const buildEventJson = (service: string, event: BuildEvent): Sent<BuildEventJson> => {
  switch (event.type) {
    case 'vertex': {
      const { type, ...vertex } = event;
      return { service, vertex: { ...vertex, state: toEnum('STATE', event.state) } };
    }
    case 'log':
      return { service, log: { id: event.id, stderr: event.stream === 'stderr', text: event.text, time: event.time } };
    default: {
      const { type, ...values } = event;
      return { service, [type]: values };
    }
  }
};

/** Undefined for a kind of event that only a newer supervisor knows. */
export const buildEventFrom = (json: BuildEventJson): { service: string; event: BuildEvent } | undefined => {
  const event = readEvent(json);
  return event && { service: json.service ?? '', event };
};

const readEvent = ({ vertex, log, status, warning }: BuildEventJson): BuildEvent | undefined => {
  if (vertex) {
    const { id = 0, name = '', state, time, duration, error } = vertex;
    return {
      type: 'vertex',
      id,
      name,
      state: fromEnum('STATE', state, 'started'),
      time: double(time),
      ...present({ duration: optionalDouble(duration), error }),
    };
  }
  if (log) {
    const { id = 0, stderr = false, text = '', time } = log;
    return { type: 'log', id, stream: stderr ? 'stderr' : 'stdout', text, time: double(time) };
  }
  if (status) {
    const { id = 0, text = '', current, total, time } = status;
    return {
      type: 'status',
      id,
      text,
      time: double(time),
      ...present({ current: optionalDouble(current), total: optionalDouble(total) }),
    };
  }
  if (warning) {
    const { message = '', file, line } = warning;
    return { type: 'warning', message, ...present({ file, line }) };
  }
  return undefined;
};
