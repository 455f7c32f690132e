import type { RecordedEvent } from '../../model/events.ts';
import { OWN_LABELS } from '../../state/project-labels.ts';

/** Labels come from images. */
const LONGEST_LINE = 64 * 1024;

/** An event as a line of the record, with its line break. Of one that is too long only the attributes by which it is found stay. */
export const lineOf = (event: RecordedEvent): string => {
  const line = `${JSON.stringify(event)}\n`;
  return line.length <= LONGEST_LINE ? line : `${JSON.stringify({ ...event, attributes: foundBy(event) })}\n`;
};

const foundBy = ({ attributes }: RecordedEvent): RecordedEvent['attributes'] => {
  const { name = '', image = '' } = attributes;
  return { ...Object.fromEntries(Object.entries(attributes).filter(isOfProject)), image, name };
};

const isOfProject = ([key, value]: readonly [string, string]): boolean => OWN_LABELS.has(key) && value.length <= 1024;

/**
 * The event of a line, of whichever version of hypr; undefined for a line that a full disk or a killed writer tore, and for one that is no event
 * of a type that is known here. Attributes that are no text are left out.
 */
export const eventOf = (line: string): RecordedEvent | undefined => {
  const { time, type, action, id, attributes, stack = '', service = '' } = membersOf(line);
  const isEvent =
    typeof time === 'number' && isType(type) && isText(action) && isText(id) && isObject(attributes) && isText(stack) && isText(service);
  return isEvent ? { time, type, action, id, attributes: textsOf(attributes), stack, service } : undefined;
};

const membersOf = (line: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
};

const textsOf = (values: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).flatMap(([key, value]) => (isText(value) ? [[key, value]] : [])));

const TYPES: ReadonlySet<unknown> = new Set<RecordedEvent['type']>(['container', 'image', 'network', 'volume']);
const isType = (value: unknown): value is RecordedEvent['type'] => TYPES.has(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
