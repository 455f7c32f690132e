import { parseDuration } from './durations.ts';
import { SyntaxFault } from './errors.ts';
import { type FlagType, readFlags } from './flags.ts';
import { parseHeredocWord } from './heredoc.ts';
import type {
  CommandLine,
  FromInstruction,
  Instruction,
  RawInstruction,
  RunInstruction,
  SourcesAndTarget,
  StageInstruction,
} from './instruction.ts';
import { parseMount } from './mount.ts';
import { didYouMean } from './suggest.ts';

/** Parses a logical line into an instruction: flags, argument counts, forms. Throws SyntaxFault with BuildKit's message. */
export const parseInstruction = (raw: RawInstruction): Instruction => {
  const parse = Object.hasOwn(PARSERS, raw.keyword) ? PARSERS[raw.keyword] : undefined;
  if (parse === undefined) {
    const names = Object.keys(PARSERS).map((name) => name.toUpperCase());
    const keyword = raw.keyword.toUpperCase();
    throw new SyntaxFault(`unknown instruction: ${keyword}${didYouMean(keyword, names)}`);
  }
  return parse(raw);
};

type Parser<T = Instruction> = (raw: RawInstruction) => T;

const baseOf = (raw: RawInstruction) => ({ range: raw.range, text: raw.original.trim(), comments: raw.comments });

const requireSome = (raw: RawInstruction): void => {
  if (raw.args.length === 0) {
    throw new SyntaxFault(`${raw.keyword.toUpperCase()} requires at least one argument`);
  }
};

const NO_FLAGS: Readonly<Record<string, FlagType>> = {};

const parseFrom: Parser<FromInstruction> = (raw) => {
  const flags = readFlags(raw.flags, { platform: 'string' });
  const [image = '', as, name] = raw.args;
  if (raw.args.length !== 1 && !(raw.args.length === 3 && as?.toLowerCase() === 'as')) {
    throw new SyntaxFault('FROM requires either one or three arguments');
  }
  if (name !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(name.toLowerCase())) {
    throw new SyntaxFault(`invalid name for build stage: ${JSON.stringify(name)}, name can't start with a number or contain symbols`);
  }
  return { ...baseOf(raw), kind: 'from', image, platform: flags.text('platform'), name: name?.toLowerCase() };
};

const parseArg: Parser<StageInstruction> = (raw) => {
  readFlags(raw.flags, NO_FLAGS);
  requireSome(raw);
  const args = raw.args.map((word) => {
    const at = word.indexOf('=');
    if (at === 0) {
      throw new SyntaxFault('ARG names can not be blank');
    }
    return at < 0 ? { name: word, value: undefined } : { name: word.slice(0, at), value: word.slice(at + 1) };
  });
  return { ...baseOf(raw), kind: 'arg', args };
};

const parsePairs =
  (kind: 'env' | 'label'): Parser<StageInstruction> =>
  (raw) => {
    readFlags(raw.flags, NO_FLAGS);
    requireSome(raw);
    if (raw.pairs.some(({ name }) => name === '')) {
      throw new SyntaxFault(`${raw.keyword.toUpperCase()} names can not be blank`);
    }
    return { ...baseOf(raw), kind, pairs: raw.pairs };
  };

const commandOf = (raw: RawInstruction, args: readonly string[] = raw.args): CommandLine => ({ form: raw.json ? 'exec' : 'shell', args });

const parseRun: Parser<RunInstruction> = (raw) => {
  const flags = readFlags(raw.flags, { mount: 'strings', network: 'string', security: 'string', device: 'strings' });
  const mounts = flags.list('mount').map(parseMount);
  const network = parseNetwork(flags.text('network'));
  const security = flags.text('security');
  if (security !== undefined && security !== 'sandbox' && security !== 'insecure') {
    throw new SyntaxFault(`security ${JSON.stringify(security)} is not valid`);
  }
  const rest = { mounts, network, security, devices: flags.list('device'), heredocs: raw.heredocs };
  return { ...baseOf(raw), kind: 'run', command: commandOf(raw), ...rest };
};

const parseNetwork = (mode: string | undefined): RunInstruction['network'] => {
  if (mode === undefined || mode === 'default' || mode === 'none' || mode === 'host') {
    return mode;
  }
  throw new SyntaxFault(`invalid network mode: ${mode}`);
};

const SOURCE_FLAGS = { chown: 'string', chmod: 'string', link: 'bool', exclude: 'strings' } as const;

const parseCopy: Parser<StageInstruction> = (raw) => {
  const flags = readFlags(raw.flags, { ...SOURCE_FLAGS, from: 'string', parents: 'bool' });
  const from = flags.text('from');
  return { ...baseOf(raw), kind: 'copy', ...parseSources(raw, flags), from, parents: flags.flag('parents') ?? false };
};

const parseAdd: Parser<StageInstruction> = (raw) => {
  const flags = readFlags(raw.flags, { ...SOURCE_FLAGS, checksum: 'string', 'keep-git-dir': 'bool', unpack: 'bool' });
  const rest = { checksum: flags.text('checksum'), keepGitDir: flags.flag('keep-git-dir') ?? false, unpack: flags.flag('unpack') };
  return { ...baseOf(raw), kind: 'add', ...parseSources(raw, flags), ...rest };
};

const parseSources = (raw: RawInstruction, flags: ReturnType<typeof readFlags>): SourcesAndTarget => {
  const keyword = raw.keyword.toUpperCase();
  const target = raw.args.at(-1);
  if (target === undefined || raw.args.length < 2) {
    const only = raw.args.length === 1 ? ', but only one was provided. Destination could not be determined' : '';
    throw new SyntaxFault(`${keyword} requires at least two arguments${only}`);
  }
  if (raw.heredocs.length > 0 && parseHeredocWord(target) !== undefined) {
    throw new SyntaxFault(`${keyword} cannot accept a heredoc as a destination`);
  }
  const words = raw.args.slice(0, -1);
  const sources = raw.json || raw.heredocs.length === 0 ? words : words.filter((word) => parseHeredocWord(word) === undefined);
  const chown = flags.text('chown');
  const chmod = flags.text('chmod');
  return { sources, documents: raw.heredocs, target, chown, chmod, link: flags.flag('link') ?? false, exclude: flags.list('exclude') };
};

const parseCommand =
  (kind: 'cmd' | 'entrypoint'): Parser<StageInstruction> =>
  (raw) => {
    readFlags(raw.flags, NO_FLAGS);
    return { ...baseOf(raw), kind, command: commandOf(raw) };
  };

const HEALTH_FLAGS = {
  interval: 'string',
  timeout: 'string',
  'start-period': 'string',
  'start-interval': 'string',
  retries: 'string',
} as const;

const parseHealthcheck: Parser<StageInstruction> = (raw) => {
  requireSome(raw);
  const flags = readFlags(raw.flags, HEALTH_FLAGS);
  const retries = flags.text('retries');
  if (retries !== undefined && !/^\d{1,9}$/.test(retries)) {
    throw new SyntaxFault(`--retries must be a whole number that is not negative (${retries})`);
  }
  const duration = (name: string) => parseHealthDuration(name, flags.text(name));
  return {
    ...baseOf(raw),
    kind: 'healthcheck',
    test: parseHealthTest(raw),
    interval: duration('interval'),
    timeout: duration('timeout'),
    startPeriod: duration('start-period'),
    startInterval: duration('start-interval'),
    retries: retries === undefined ? undefined : Number(retries),
  };
};

const parseHealthTest = (raw: RawInstruction): string[] => {
  const [type = '', ...args] = raw.args;
  if (type.toUpperCase() === 'NONE') {
    if (args.length > 0) {
      throw new SyntaxFault('HEALTHCHECK NONE takes no arguments');
    }
    return ['NONE'];
  }
  if (type.toUpperCase() !== 'CMD') {
    throw new SyntaxFault(`unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  }
  if (args.length === 0) {
    throw new SyntaxFault('missing command after HEALTHCHECK CMD');
  }
  return [raw.json ? 'CMD' : 'CMD-SHELL', ...args];
};

const parseHealthDuration = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined) {
    return undefined;
  }
  const value = parseDuration(text);
  if (value < 0) {
    throw new SyntaxFault(`interval ${JSON.stringify(name)} cannot be negative`);
  }
  if (value > 0 && value < 1e6) {
    throw new SyntaxFault(`interval ${JSON.stringify(name)} cannot be less than 1ms`);
  }
  return value;
};

const parseWord =
  (kind: 'workdir' | 'user' | 'stopsignal' | 'maintainer'): Parser<StageInstruction> =>
  (raw) => {
    readFlags(raw.flags, NO_FLAGS);
    const [value] = raw.args;
    if (value === undefined || raw.args.length !== 1) {
      throw new SyntaxFault(`${raw.keyword.toUpperCase()} requires exactly one argument`);
    }
    return { ...baseOf(raw), kind, value };
  };

const parseWords =
  (kind: 'expose' | 'volume'): Parser<StageInstruction> =>
  (raw) => {
    readFlags(raw.flags, NO_FLAGS);
    requireSome(raw);
    if (kind === 'volume' && raw.args.some((value) => value.trim() === '')) {
      throw new SyntaxFault('VOLUME specified can not be an empty string');
    }
    return { ...baseOf(raw), kind, values: raw.args };
  };

const parseShell: Parser<StageInstruction> = (raw) => {
  readFlags(raw.flags, NO_FLAGS);
  requireSome(raw);
  if (!raw.json) {
    throw new SyntaxFault('SHELL requires the arguments to be in JSON form');
  }
  return { ...baseOf(raw), kind: 'shell', values: raw.args };
};

const parseOnbuild: Parser<StageInstruction> = (raw) => {
  readFlags(raw.flags, NO_FLAGS);
  requireSome(raw);
  const trigger = raw.trigger?.keyword.toUpperCase() ?? '';
  if (trigger === 'ONBUILD') {
    throw new SyntaxFault("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (trigger === 'MAINTAINER' || trigger === 'FROM') {
    throw new SyntaxFault(`${trigger} isn't allowed as an ONBUILD trigger`);
  }
  const line = raw.original.trim().replace(/^onbuild\s+/i, '');
  const bodies = raw.heredocs.map((doc) => `\n${doc.written}${doc.name}`).join('');
  // Errors in the trigger are reported here, not when another build uses the image.
  if (raw.trigger !== undefined) {
    parseInstruction({ ...raw.trigger, heredocs: raw.heredocs });
  }
  return { ...baseOf(raw), kind: 'onbuild', expression: line + bodies };
};

const PARSERS: Readonly<Record<string, Parser>> = {
  add: parseAdd,
  arg: parseArg,
  cmd: parseCommand('cmd'),
  copy: parseCopy,
  entrypoint: parseCommand('entrypoint'),
  env: parsePairs('env'),
  expose: parseWords('expose'),
  from: parseFrom,
  healthcheck: parseHealthcheck,
  label: parsePairs('label'),
  maintainer: parseWord('maintainer'),
  onbuild: parseOnbuild,
  run: parseRun,
  shell: parseShell,
  stopsignal: parseWord('stopsignal'),
  user: parseWord('user'),
  volume: parseWords('volume'),
  workdir: parseWord('workdir'),
};
