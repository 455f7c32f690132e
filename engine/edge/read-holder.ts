import { ERRORS } from '../../base/error-catalogue.ts';
import { type ErrorCode, HyprError } from '../../base/errors.ts';
import type { IndexState } from '../../net/edge/pages/index-state.ts';
import type { EdgeInfo } from '../model/edge.ts';

/** What the holder of the edge says is read with care: it is the supervisor of any stack, of an older or a newer hypr, or another program at its port. */

/** What it tells who connects to its socket. Throws SUPERVISOR_VERSION. */
export const readEdgeInfo = (text: string): EdgeInfo => {
  const { pid, domain, port, systemPorts, dnsPort, tls, problems } = objectOf(text);
  if (!isNumber(pid) || !isText(domain) || !isListOf(systemPorts, isNumber) || !isListOf(problems, isText)) {
    throw malformed();
  }
  return {
    ...{ pid, domain, systemPorts, problems, tls: tls === true },
    ...(isNumber(port) ? { port } : {}),
    ...(isNumber(dnsPort) ? { dnsPort } : {}),
  };
};

export type FoundStack = Pick<IndexState['stacks'][number], 'name' | 'services'>;

/** The stacks of its `state.json`. Throws SUPERVISOR_VERSION. */
export const readIndexState = (text: string): FoundStack[] => {
  const { stacks } = objectOf(text);
  if (!isListOf(stacks, isStack)) {
    throw malformed();
  }
  return [...stacks];
};

/** The code of an error that the edge gave: EDGE_UPSTREAM for one that only another version knows. */
export const readErrorCode = (header: string | readonly string[] | undefined): ErrorCode | undefined =>
  header === undefined ? undefined : typeof header === 'string' && Object.hasOwn(ERRORS, header) ? (header as ErrorCode) : 'EDGE_UPSTREAM';

type Values = Readonly<Record<string, unknown>>;

const objectOf = (text: string): Values => {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) {
      return value;
    }
  } catch (error) {
    throw malformed(error);
  }
  throw malformed();
};

const isObject = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => Number.isSafeInteger(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isListOf = <T>(value: unknown, is: (each: unknown) => each is T): value is readonly T[] => Array.isArray(value) && value.every(is);
const isName = (value: unknown): value is Values => isObject(value) && isText(value.host) && typeof value.https === 'boolean';
const isPort = (value: unknown): value is Values => isObject(value) && isNumber(value.port);
const isService = (value: unknown): value is Values =>
  isObject(value) &&
  isText(value.name) &&
  isText(value.state) &&
  isListOf(value.names, isName) &&
  isListOf(value.ports, isPort) &&
  (value.web === undefined || isNumber(value.web)) &&
  (value.root === undefined || value.root === true);
const isStack = (value: unknown): value is FoundStack => isObject(value) && isText(value.name) && isListOf(value.services, isService);

const malformed = (cause?: unknown): HyprError =>
  new HyprError('SUPERVISOR_VERSION', 'who serves names gave an answer that this hypr does not understand', {
    hint: 'end the supervisor that serves them: its machines run on, and the next command takes them over',
    cause,
  });
