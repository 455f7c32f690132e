import { HyprError } from '../../base/errors.ts';
import { sanitiseName, sanitiseText } from '../../base/sanitise.ts';
import { eventMessage } from '../../engine/docker/shapes/event.ts';
import { familiarName, imageRepository } from '../../engine/docker/shapes/names.ts';
import type { RecordedEvent } from '../../engine/model/events.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { warn, writeOut } from '../core/output.ts';
import { checkServices, isWithoutFile, withStack } from '../core/project.ts';
import { compileFilters, hasLabel, type Judges } from '../format/filters.ts';
import { compileTemplate, unescapeFormat } from '../format/go-template.ts';
import { eventTime, parseMoment, rfc3339Nano } from '../format/time.ts';
import { servicesOf } from './verbs.ts';

/** `events`: of the stack, in docker compose's words; where there is no Compose file, as `system events`. */
export const runEvents: Handler = async (invocation) => {
  const { flags } = invocation;
  return printEvents(invocation, await stackOf(invocation), flags.bool('json') ? 'json' : flags.string('format'));
};

/** `system events`: docker's events of everything that is in this home. */
export const runSystemEvents: Handler = (invocation) => printEvents(invocation, undefined, invocation.flags.string('format'));

/** From `--since` or from now on, until Ctrl-C or `--until`. */
const printEvents = async (invocation: Invocation, stack: string | undefined, format: string | undefined): Promise<number> => {
  const { context, args, flags } = invocation;
  const [since, until] = ['since', 'until'].map((flag) => momentOf(invocation, flag));
  if (since !== undefined && until !== undefined && since > until) {
    throw new HyprError('HYPR_USAGE', `--since ${flags.string('since')} is after --until ${flags.string('until')}`);
  }
  const matches = compileFilters<RecordedEvent>(flags.list('filter'), JUDGES);
  const print = printerOf(format, stack !== undefined);
  const { signal } = context.interrupts;
  const objects = await (await context.engine()).openObjects();
  const onNotice = stack === undefined ? (message: string) => warn(context.stderr, message) : undefined;
  for await (const event of objects.events({ since, until, signal, onNotice })) {
    const isMeant = stack === undefined || (event.stack === stack && (args.length === 0 || args.includes(event.service)));
    if (isMeant && matches(event)) {
      await writeOut(context.stdout, print(withShownImage(event)));
    }
  }
  return signal.aborted ? 130 : 0;
};

const momentOf = ({ context, flags }: Invocation, flag: string): number | undefined => {
  const text = flags.string(flag);
  return text === undefined ? undefined : parseMoment(text, { flag, now: context.now() });
};

/** The stack whose events are meant, after a look at the names of services; undefined for all stacks. */
const stackOf = async (invocation: Invocation): Promise<string | undefined> => {
  const { args, viaCompose } = invocation;
  try {
    return await withStack(invocation, async (stack, project) => {
      // Also tells of a supervisor that is older than the record, and starts one where machines run that nobody watches.
      const running = await servicesOf(stack);
      checkServices(args, project ? { ...project.services, ...project.disabledServices } : running);
      return stack.name;
    });
  } catch (error) {
    if (!viaCompose && args.length === 0 && isWithoutFile(error)) {
      return undefined;
    }
    throw error;
  }
};

/** What is printed of an event. */
const printerOf = (format: string | undefined, ofStack: boolean): ((event: RecordedEvent) => string) => {
  if (format === undefined || format === '') {
    return ofStack ? composeLine : dockerLine;
  }
  if (format === 'json') {
    return ofStack ? composeJson : (event) => `${JSON.stringify(eventMessage(event))}\n`;
  }
  const render = compileTemplate(unescapeFormat(format));
  return (event) => `${sanitiseText(render(dockerEvent(event)))}\n`;
};

/** As docker's templates know it. */
const dockerEvent = ({ type, action, id, attributes, time }: RecordedEvent): Record<string, unknown> => {
  const seconds = Math.trunc(time / 1000);
  const times = { Scope: 'local', time: seconds, Time: seconds, TimeNano: time * 1e6 };
  const from = type === 'container' ? attributes.image : '';
  return { Type: type, Action: action, Status: action, ID: id, From: from, Actor: { ID: id, Attributes: attributes }, ...times };
};

const ofType = (type: RecordedEvent['type']) => (event: RecordedEvent, value: string) =>
  event.type === type && value !== '' && [event.id, event.attributes.name].some((text) => text?.startsWith(value) === true);

const JUDGES: Judges<RecordedEvent> = {
  container: ofType('container'),
  event: ({ action }, value) => action === value || action.startsWith(`${value}:`),
  image: (event, value) => {
    const { image } = event.attributes;
    return image === undefined
      ? ofType('image')(event, value)
      : [familiarName(image), imageRepository(image).repository].includes(familiarName(value));
  },
  label: (event, value) => hasLabel(event.attributes, value),
  network: ofType('network'),
  type: (event, value) => event.type === value,
  volume: ofType('volume'),
};

/** With the names of images as they are shown. */
const withShownImage = (event: RecordedEvent): RecordedEvent => {
  const { image } = event.attributes;
  return image === undefined ? event : { ...event, attributes: { ...event.attributes, image: familiarName(image) } };
};

/** docker compose keeps its own labels to itself. */
const composeAttributes = ({ attributes }: RecordedEvent): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).filter(([key]) => !key.startsWith('com.docker.compose.')));

const attributeList = (entries: ReadonlyArray<readonly [string, string]>): string =>
  entries.map(([key, value]) => sanitiseName(`${key}=${value}`)).join(', ');

/** docker compose prints a string that ends in a newline with another newline. */
const composeLine = (event: RecordedEvent): string =>
  `${eventTime(event.time)} ${event.type} ${event.action} ${event.id} (${attributeList(Object.entries(composeAttributes(event)))})\n\n`;

const composeJson = (event: RecordedEvent): string =>
  `${JSON.stringify({
    action: event.action,
    attributes: composeAttributes(event),
    id: event.id,
    service: event.service,
    time: rfc3339Nano(event.time).replace(/\.?0+Z$/, 'Z'),
    type: event.type,
  })}\n`;

const dockerLine = ({ time, type, action, id, attributes }: RecordedEvent): string => {
  const sorted = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${rfc3339Nano(time)} ${type} ${action} ${id}${sorted.length === 0 ? '' : ` (${attributeList(sorted)})`}\n`;
};
