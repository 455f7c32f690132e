import { linkedController } from '../../base/abort.ts';
import { isAbort } from '../../base/errors.ts';
import { sanitiseName, sanitiseText } from '../../base/sanitise.ts';
import { familiarName, imageRepository } from '../../engine/docker/shapes/names.ts';
import type { EngineEvent } from '../../engine/model/events.ts';
import type { Handler } from '../core/command-spec.ts';
import { writeOut } from '../core/output.ts';
import { checkServices, withStack } from '../core/project.ts';
import { compileFilters, hasLabel, type Judges } from '../format/filters.ts';
import { compileTemplate, unescapeFormat } from '../format/go-template.ts';
import { eventTime, parseMoment, rfc3339Nano } from '../format/time.ts';
import { servicesOf } from './verbs.ts';

type RefusalEvent = Extract<EngineEvent, { type: 'refusal' }>;
type ReplicaEvent = Extract<EngineEvent, { type: 'replica' }>;

/** `events`: docker's words and lines, from now on, until Ctrl-C or `--until`. */
export const runEvents: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const until = flags.string('until');
  const end = until === undefined ? undefined : parseMoment(until, { flag: 'until', now: context.now() });
  const matches = compileFilters<EngineEvent>(flags.list('filter'), JUDGES);
  const format = flags.bool('json') ? 'json' : flags.string('format');
  const print = printerOf(format);
  return withStack(invocation, async (stack, project) => {
    checkServices(args, project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const over = linkedController(context.interrupts.signal);
    const { signal } = over;
    const timer = end === undefined ? undefined : setTimeout(() => over.abort(), Math.max(0, end - context.now()));
    try {
      for await (const event of stack.events({ logs: false, usage: false }, signal)) {
        const text = isChosen(event, args) && matches(event) ? print(event) : undefined;
        if (text !== undefined) {
          await writeOut(context.stdout, text);
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

const isChosen = (event: EngineEvent, services: readonly string[]): boolean => {
  const service = event.type === 'replica' ? event.replica.service : event.type === 'refusal' ? event.refusal.service : undefined;
  return service !== undefined && (services.length === 0 || services.includes(service));
};

/** What is printed of an event; undefined for those that docker has not and nobody waits for. */
const printerOf = (format: string | undefined): ((event: EngineEvent) => string | undefined) => {
  if (format === undefined || format === '' || format === 'json') {
    return (event) => textOf(event, format === 'json');
  }
  const render = compileTemplate(unescapeFormat(format));
  return (event) =>
    event.type === 'refusal' || (event.type === 'replica' && isDockerEvent(event))
      ? `${sanitiseText(render(dockerEvent(event)))}\n`
      : undefined;
};

/** As docker's templates know it. */
const dockerEvent = (event: RefusalEvent | ReplicaEvent): Record<string, unknown> => {
  const isReplica = event.type === 'replica';
  const [Type, Action] = isReplica ? ['container', actionOf(event)] : ['network', 'refuse'];
  const ID = isReplica ? event.replica.id : event.refusal.replica;
  const Attributes = isReplica ? attributesOf(event) : refusalAttributes(event);
  const times = { Scope: 'local', time: Math.trunc(event.time / 1000), Time: Math.trunc(event.time / 1000), TimeNano: event.time * 1e6 };
  return { Type, Action, Status: Action, ID, From: isReplica ? Attributes.image : '', Actor: { ID, Attributes }, ...times };
};

const ofReplica = (holds: (event: ReplicaEvent, value: string) => boolean) => (event: EngineEvent, value: string) =>
  event.type === 'replica' && holds(event, value);

const JUDGES: Judges<EngineEvent> = {
  container: ofReplica(({ replica }, value) => value !== '' && [replica.name, replica.id].some((text) => text.startsWith(value))),
  event: (event, value) => {
    const action = event.type === 'replica' ? actionOf(event) : event.type === 'refusal' ? 'refuse' : '';
    return action === value || action.startsWith(`${value}:`);
  },
  image: ofReplica(({ replica }, value) =>
    [familiarName(replica.image), imageRepository(replica.image).repository].includes(familiarName(value)),
  ),
  label: ofReplica(({ replica }, value) => hasLabel(replica.labels, value)),
  type: (event, value) => (event.type === 'replica' ? 'container' : 'network') === value,
};

const textOf = (event: EngineEvent, json: boolean): string | undefined => {
  if (event.type === 'refusal') {
    return json ? refusalJson(event) : refusalLine(event);
  }
  return event.type === 'replica' && isDockerEvent(event) ? (json ? eventJson(event) : eventLine(event)) : undefined;
};

// `update` is a snapshot and `listening` is hypr's own: docker has no such events.
const isDockerEvent = (event: ReplicaEvent): boolean => event.action !== 'update' && event.action !== 'listening';

const actionOf = ({ action, replica }: ReplicaEvent): string => (action === 'health_status' ? `health_status: ${replica.health}` : action);

const attributesOf = ({ action, replica }: ReplicaEvent): Record<string, string> => {
  const labels = Object.entries(replica.labels).filter(([key]) => !key.startsWith('com.docker.compose.'));
  const exit = action === 'die' ? { exitCode: String(replica.exitCode) } : {};
  return { ...Object.fromEntries(labels), ...exit, image: familiarName(replica.image), name: replica.name };
};

/** docker compose prints a string that ends in a newline with another newline. */
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

/** docker has no such event; the words are those of its events of networks. */
const refusalAttributes = ({ refusal }: RefusalEvent): Record<string, string> => ({
  ...(refusal.to === undefined ? {} : { to: refusal.to }),
  ...(refusal.name === undefined ? {} : { name: refusal.name }),
  protocol: refusal.protocol,
  rule: refusal.rule,
  count: String(refusal.count),
  total: String(refusal.total),
});

const refusalLine = (event: RefusalEvent): string => {
  const attributes = Object.entries(refusalAttributes(event)).map(([key, value]) => sanitiseName(`${key}=${value}`));
  return `${eventTime(event.time)} network refuse ${event.refusal.replica} (${attributes.join(', ')})\n\n`;
};

const refusalJson = (event: RefusalEvent): string =>
  `${JSON.stringify({
    action: 'refuse',
    attributes: refusalAttributes(event),
    id: event.refusal.replica,
    service: event.refusal.service,
    time: rfc3339Nano(event.time).replace(/\.?0+Z$/, 'Z'),
    type: 'network',
  })}\n`;
