import { posix } from 'node:path';
import { formatDuration, quoteRune, quoteText } from '../../../base/go-text.ts';
import { expandWord, expandWords, type Lookup } from '../../dockerfile/expand.ts';
import type {
  ArgInstruction,
  CommandInstruction,
  EnvInstruction,
  HealthcheckInstruction,
  OnbuildInstruction,
  WordInstruction,
  WordsInstruction,
} from '../../dockerfile/instruction.ts';
import { StepFault } from '../layer/step-error.ts';
import { type BuildArg, lookupIn, type RuntimeConfig, type StageState, withHistory, withVariable } from './state.ts';

export type MetadataInstruction =
  | ArgInstruction
  | EnvInstruction
  | CommandInstruction
  | HealthcheckInstruction
  | WordsInstruction
  | OnbuildInstruction
  | (WordInstruction & { kind: 'user' | 'stopsignal' | 'maintainer' });

export interface MetadataContext {
  readonly escape: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** Global ARGs and the predefined ones: what a bare `ARG name` of a stage pulls in. */
  readonly globals: ReadonlyMap<string, string>;
}

/** What an instruction without files does to the image's config. Throws StepFault or ExpandError. */
export const applyMetadata = (state: StageState, instruction: MetadataInstruction, context: MetadataContext): StageState => {
  const expand = (text: string) => expandWord(text, lookupIn(state), { escape: context.escape });
  switch (instruction.kind) {
    case 'arg':
      return applyArg(state, instruction, context);
    case 'env':
    case 'label':
      return applyPairs(state, instruction, expand);
    case 'cmd':
    case 'entrypoint':
      return applyCommand(state, instruction);
    case 'healthcheck':
      return applyHealthcheck(state, instruction);
    case 'expose':
      return applyExpose(state, instruction, (text) => expandWords(text, lookupIn(state), { escape: context.escape }));
    case 'volume': {
      const values = instruction.values.map(expand);
      return set(state, { Volumes: withKeys(state.config.Volumes, values) }, `VOLUME [${values.join(' ')}]`);
    }
    case 'shell':
      return set(state, { Shell: instruction.values }, `SHELL [${instruction.values.join(' ')}]`);
    case 'onbuild':
      return { ...state, config: { ...state.config, OnBuild: [...(state.config.OnBuild ?? []), instruction.expression] } };
    case 'user': {
      const user = expand(instruction.value);
      return set(state, { User: user }, `USER ${user}`);
    }
    case 'stopsignal': {
      const signal = checkSignal(expand(instruction.value));
      return set(state, { StopSignal: signal }, `STOPSIGNAL ${signal}`);
    }
    case 'maintainer':
      return { ...withHistory(state, `MAINTAINER ${instruction.value}`), author: instruction.value };
  }
};

/** SHELL in force for shell forms. */
export const shellOf = (config: RuntimeConfig): readonly string[] => (config.Shell?.length ? config.Shell : ['/bin/sh', '-c']);

/** What the config has for a WORKDIR: an absolute one stays as it is written (BuildKit), a relative one is joined to the current. */
export const joinWorkdir = (current: string, value: string): string => (value.startsWith('/') ? value : posix.resolve('/', current, value));

const set = (state: StageState, change: RuntimeConfig, history: string): StageState =>
  withHistory({ ...state, config: { ...state.config, ...change } }, history);

/** An empty list is left out of the config, as BuildKit does. */
const without = (state: StageState, key: 'Cmd' | 'Entrypoint'): StageState => {
  const { [key]: _, ...config } = state.config;
  return { ...state, config };
};

const withKeys = (existing: Readonly<Record<string, object>> | undefined, keys: readonly string[]): Record<string, object> => ({
  ...existing,
  ...Object.fromEntries(keys.map((key) => [key, {}])),
});

/** About the build itself, and in no RUN (BuildKit, `nonEnvArgs`). */
const HIDDEN_ARGS = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);

const applyArg = (state: StageState, instruction: ArgInstruction, context: MetadataContext): StageState => {
  let next = state;
  const shown: string[] = [];
  for (const { name, value } of instruction.args) {
    const resolved = resolveArg({ name, value }, lookupIn(next), context);
    shown.push(resolved === undefined ? name : `${name}=${resolved}`);
    const isSeen = resolved !== undefined && !HIDDEN_ARGS.has(name);
    const variables = isSeen ? withVariable(next.variables, name, resolved) : next.variables;
    next = { ...next, variables, args: [...next.args, { name, value: resolved }] };
  }
  return withHistory(next, `ARG ${shown.join(' ')}`);
};

/** --build-arg, else the default (expanded only then), else the global value. */
export const resolveArg = (arg: BuildArg, lookup: Lookup, context: MetadataContext): string | undefined => {
  if (Object.hasOwn(context.buildArgs, arg.name)) {
    return context.buildArgs[arg.name];
  }
  return arg.value === undefined ? context.globals.get(arg.name) : expandWord(arg.value, lookup, { escape: context.escape });
};

const applyPairs = (state: StageState, instruction: EnvInstruction, expand: (text: string) => string): StageState => {
  const pairs = instruction.pairs.map(({ name, value }): [string, string] => [expand(name), expand(value)]);
  const history = `${instruction.kind.toUpperCase()} ${pairs.map(([name, value]) => `${name}=${value}`).join(' ')}`;
  if (instruction.kind === 'label') {
    return set(state, { Labels: { ...state.config.Labels, ...Object.fromEntries(pairs) } }, history);
  }
  const variables = pairs.reduce((known, [name, value]) => withVariable(known, name, value), state.variables);
  return withHistory({ ...state, variables, env: new Map([...state.env, ...pairs]) }, history);
};

const applyCommand = (state: StageState, instruction: CommandInstruction): StageState => {
  const { command, kind } = instruction;
  const args = command.form === 'exec' ? command.args : [...shellOf(state.config), command.args.join(' ')];
  const history = `${kind.toUpperCase()} [${args.map(quoteText).join(' ')}]`;
  if (kind === 'cmd') {
    return { ...set(without(state, 'Cmd'), { ...(args.length === 0 ? {} : { Cmd: args }), ArgsEscaped: true }, history), hasOwnCmd: true };
  }
  const kept = without(state.hasOwnCmd ? state : without(state, 'Cmd'), 'Entrypoint');
  return set(kept, args.length === 0 ? {} : { Entrypoint: args }, history);
};

const applyHealthcheck = (state: StageState, instruction: HealthcheckInstruction): StageState => {
  const { test, interval, timeout, startPeriod, startInterval, retries } = instruction;
  const Healthcheck = {
    Test: test,
    ...(interval ? { Interval: interval } : {}),
    ...(timeout ? { Timeout: timeout } : {}),
    ...(startPeriod ? { StartPeriod: startPeriod } : {}),
    ...(startInterval ? { StartInterval: startInterval } : {}),
    ...(retries ? { Retries: retries } : {}),
  };
  // BuildKit prints its structure with Go's %q.
  const times = [interval, timeout, startPeriod, startInterval].map((time) => quoteText(formatDuration(time ?? 0)));
  const shown = [`[${test.map(quoteText).join(' ')}]`, ...times, quoteRune(retries ?? 0)].join(' ');
  return set(state, { Healthcheck }, `HEALTHCHECK &{${shown}}`);
};

const applyExpose = (state: StageState, instruction: WordsInstruction, split: (text: string) => string[]): StageState => {
  const ports = instruction.values.flatMap(split).sort().flatMap(parsePort);
  const shown = ports.map((port) => `${port}:{}`).join(' ');
  return set(state, { ExposedPorts: withKeys(state.config.ExposedPorts, ports) }, `EXPOSE map[${shown}]`);
};

/** `port[-port][/proto]`; what stands before the last colon is about the host and not the image. */
const parsePort = (text: string): string[] => {
  const match = /^(?:.*:)?(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? first);
  if (match === null || first < 1 || last > 65_535 || last < first) {
    throw new StepFault(`invalid containerPort: ${text}`);
  }
  const protocol = (match[3] ?? 'tcp').toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
};

const checkSignal = (text: string): string => {
  const isNumber = /^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= 64;
  if (
    !isNumber &&
    !/^(SIG)?(HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR[12]|SEGV|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS|IOT|POLL|CLD|RTMIN(\+\d{1,2})?|RTMAX(-\d{1,2})?)$/i.test(
      text,
    )
  ) {
    throw new StepFault(`invalid signal: ${text}`);
  }
  return text;
};
