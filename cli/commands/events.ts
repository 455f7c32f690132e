import { linkedController } from '../../base/abort.ts';
import { isAbort } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { EngineEvent } from '../../engine/model/events.ts';
import type { Handler } from '../core/command-spec.ts';
import { writeOut } from '../core/output.ts';
import { checkServices, withStack } from '../core/project.ts';
import { familiarName } from '../format/replica.ts';
import { eventTime, parseMoment, rfc3339Nano } from '../format/time.ts';
import { servicesOf } from './verbs.ts';

type ReplicaEvent = Extract<EngineEvent, { type: 'replica' }>;

/** `events`: docker's words and lines, from now on, until Ctrl-C or `--until`. */
export const runEvents: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const until = flags.string('until');
  const end = until === undefined ? undefined : parseMoment(until, { flag: 'until', now: context.now() });
  return withStack(invocation, async (stack, project) => {
    checkServices(args, project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const over = linkedController(context.interrupts.signal);
    const { signal } = over;
    const timer = end === undefined ? undefined : setTimeout(() => over.abort(), Math.max(0, end - context.now()));
    try {
      for await (const event of stack.events({ logs: false, usage: false }, signal)) {
        if (event.type === 'replica' && isDockerEvent(event) && (args.length === 0 || args.includes(event.replica.service))) {
          await writeOut(context.stdout, flags.bool('json') ? eventJson(event) : eventLine(event));
        }
      }
    } catch (error) {
      if (!signal.aborted || !isAbort(error)) {
        throw error;
      }
    } finally {
      clearTimeout(timer);
    }
    return context.interrupts.signal.aborted ? 130 : 0;
  });
};

// `update` is a snapshot and `listening` is hypr's own: docker has no such events.
const isDockerEvent = (event: ReplicaEvent): boolean => event.action !== 'update' && event.action !== 'listening';

const actionOf = ({ action, replica }: ReplicaEvent): string => (action === 'health_status' ? `health_status: ${replica.health}` : action);

const attributesOf = ({ action, replica }: ReplicaEvent): Record<string, string> => {
  const labels = Object.entries(replica.labels).filter(([key]) => !key.startsWith('com.docker.compose.'));
  const exit = action === 'die' ? { exitCode: String(replica.exitCode) } : {};
  return { ...Object.fromEntries(labels), ...exit, image: familiarName(replica.image), name: replica.name };
};

/** The string of docker compose ends with a newline and is printed with a further one. */
export const eventLine = (event: ReplicaEvent): string => {
  const attributes = Object.entries(attributesOf(event)).map(([key, value]) => sanitiseName(`${key}=${value}`));
  return `${eventTime(event.time)} container ${actionOf(event)} ${event.replica.id} (${attributes.join(', ')})\n\n`;
};

export const eventJson = (event: ReplicaEvent): string =>
  `${JSON.stringify({
    action: actionOf(event),
    attributes: attributesOf(event),
    id: event.replica.id,
    service: event.replica.service,
    time: rfc3339Nano(event.time).replace(/\.?0+Z$/, 'Z'),
    type: 'container',
  })}\n`;
