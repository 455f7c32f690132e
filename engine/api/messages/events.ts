import type { EngineEvent, LogRecord, Refusal } from '../../model/events.ts';
import type { EventJson, LogRecordJson, ProgressJson, RefusalJson, ReplicaEventJson } from '../gen/hypr_pb.ts';
import { buildEventFrom, buildEventJson } from './build-events.ts';
import { errorFrom } from './errors.ts';
import { replicaFrom, replicaJson, usageFrom } from './replicas.ts';
import { double, fromEnum, needed, neededText, optionalDouble, present, type Sent, toEnum } from './values.ts';

/** Conversion of events to messages and back. Reading throws SUPERVISOR_VERSION. */

type NotLog = Exclude<EngineEvent, { type: 'log' }>;

/** Log lines are so frequent that they have a path of their own: see engine/api/server/event-messages.ts. */
export const eventJson = (event: NotLog): Sent<EventJson> => {
  const { time } = event;
  switch (event.type) {
    case 'progress':
      return { time, progress: { ...event.progress, status: toEnum('STATUS', event.progress.status) } };
    case 'replica':
      return { time, replica: { action: toEnum('ACTION', event.action), replica: replicaJson(event.replica), gone: event.gone } };
    case 'build':
      return { time, build: buildEventJson(event.service, event.event) };
    case 'usage':
      return { time, usage: event.usage };
    case 'warning':
      return { time, warning: { message: event.message } };
    case 'refusal':
      return { time, refusal: { ...event.refusal, rule: toEnum('RULE', event.refusal.rule) } };
    case 'error':
      return { time, error: event.error };
    case 'finished':
      return { time, finished: { operation: event.operation, error: event.error } };
  }
};

/** Undefined for a kind of event that only a newer supervisor knows. */
export const eventFrom = (json: EventJson): EngineEvent | undefined => {
  const time = double(json.time);
  const { progress, replica, log, build, usage, warning, error, finished, refusal } = json;
  if (log) {
    const record = logFrom(log);
    return { type: 'log', time: record.time, record };
  }
  const buildEvent = build && buildEventFrom(build);
  return (
    (progress && { type: 'progress', time, progress: progressFrom(progress) }) ??
    (replica && { type: 'replica', time, ...replicaEventFrom(replica) }) ??
    (buildEvent && { type: 'build', time, ...buildEvent }) ??
    (usage && { type: 'usage', time, usage: usageFrom(usage) }) ??
    (warning && { type: 'warning', time, message: warning.message ?? '' }) ??
    (refusal && { type: 'refusal', time, refusal: refusalFrom(refusal) }) ??
    (error && { type: 'error', time, error: errorFrom(error) }) ??
    (finished && {
      type: 'finished',
      time,
      operation: finished.operation ?? '',
      ...present({ error: finished.error && errorFrom(finished.error) }),
    })
  );
};

/** Log lines are frequent: no intermediate objects are made. */
export const logFrom = ({ time, stderr, replica, service = '', line = '', run, seq }: LogRecordJson): LogRecord => {
  const record: LogRecord = {
    time: double(time),
    stream: stderr ? 'stderr' : 'stdout',
    replica: neededText(replica, 'the replica of a line'),
    service,
    line,
  };
  return run === undefined || seq === undefined ? record : { ...record, run: double(run), seq: double(seq) };
};

const progressFrom = (json: ProgressJson): (EngineEvent & { type: 'progress' })['progress'] => ({
  id: neededText(json.id, 'what a progress is about'),
  status: fromEnum('STATUS', json.status, 'working'),
  text: json.text ?? '',
  ...present({
    parentId: json.parentId,
    details: json.details,
    current: optionalDouble(json.current),
    total: optionalDouble(json.total),
  }),
});

const refusalFrom = ({ replica, service = '', rule, protocol = '', to, name, count, total }: RefusalJson): Refusal => ({
  replica: neededText(replica, 'the replica of a refusal'),
  service,
  rule: fromEnum('RULE', rule, 'egress'),
  protocol,
  count: double(count),
  total: double(total),
  ...present({ to, name }),
});

const replicaEventFrom = ({
  action,
  replica,
  gone,
}: ReplicaEventJson): Pick<EngineEvent & { type: 'replica' }, 'action' | 'replica' | 'gone'> => ({
  action: fromEnum('ACTION', action, 'update'),
  replica: replicaFrom(needed(replica, 'the replica of an event')),
  ...present({ gone }),
});
