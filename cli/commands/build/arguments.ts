import { stat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { HyprError } from '../../../base/errors.ts';
import type { BuildLimits, BuildRequest, SshForward } from '../../../engine/model/types.ts';

/** `KEY=value`; a bare `KEY` takes the caller's value and is left out when there is none. */
export const parseKeyValues = (pairs: readonly string[], env: NodeJS.ProcessEnv): Record<string, string> => {
  const result: Record<string, string> = {};
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const key = equals === -1 ? pair : pair.slice(0, equals);
    const value = equals === -1 ? env[key] : pair.slice(equals + 1);
    if (key === '') {
      throw new HyprError('HYPR_USAGE', `"${pair}" has no name before "="`);
    }
    if (value !== undefined) {
      result[key] = value;
    }
  }
  return result;
};

/** `id=npm,src=FILE`, `id=npm,env=NAME`; `type` may say which. Values never appear in messages. */
export const parseSecrets = (specs: readonly string[], env: NodeJS.ProcessEnv, cwd: string): BuildRequest['secrets'] =>
  Object.fromEntries(specs.map((spec) => parseSecret(spec, env, cwd)));

const parseSecret = (spec: string, env: NodeJS.ProcessEnv, cwd: string): [string, BuildRequest['secrets'][string]] => {
  const fields = Object.fromEntries(spec.split(',').map((field) => [field.split('=', 1)[0] ?? '', field.slice(field.indexOf('=') + 1)]));
  const unknown = Object.keys(fields).find((key) => !['id', 'src', 'source', 'env', 'type'].includes(key));
  const id = fields.id ?? fields.src ?? fields.source;
  if (unknown !== undefined || !id) {
    throw new HyprError('HYPR_USAGE', `--secret: ${unknown ? `"${unknown}" is not known` : 'there is no id='}`, {
      hint: 'write --secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE',
    });
  }
  const file = fields.src ?? fields.source;
  if (file && fields.type !== 'env') {
    return [id, { file: resolve(cwd, file) }];
  }
  const name = fields.env ?? (fields.type === 'env' && file ? file : id);
  const value = env[name];
  if (value === undefined) {
    throw new HyprError('HYPR_USAGE', `--secret id=${id}: the variable ${name} is not set`, { hint: 'set it, or name a file with src=' });
  }
  return [id, { value }];
};

/** `name:address` or `name=address` → `name=address`, the form of additional hosts in a request. */
export const parseHosts = (pairs: readonly string[]): string[] =>
  pairs.map((pair) => {
    const [, name, address = ''] = /^([^:=]+)[:=]\[?([^\]]*)\]?$/.exec(pair) ?? [];
    if (name === undefined || (isIP(address) === 0 && address !== 'host-gateway')) {
      throw new HyprError('HYPR_USAGE', `--add-host: "${pair}" is not NAME:ADDRESS`);
    }
    return `${name}=${address}`;
  });

/** `64m`, `1gb`, `1048576` → bytes. */
export const parseBytes = (text: string, flag: string): number => {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text) ?? [];
  if (amount === undefined) {
    throw new HyprError('HYPR_USAGE', `--${flag}: "${text}" is not a size`, { hint: 'write it like 64m or 1g' });
  }
  return Math.trunc(Number(amount) * 1024 ** ['', 'k', 'm', 'g', 't'].indexOf(unit.toLowerCase()));
};

/** `default` is the caller's agent; `ID=PATH` the agent of a socket, or private keys between commas. */
export const parseSsh = async (specs: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<NonNullable<BuildRequest['ssh']>> =>
  Object.fromEntries(await Promise.all(specs.map((spec) => parseForward(spec, env, cwd))));

const parseForward = async (spec: string, env: NodeJS.ProcessEnv, cwd: string): Promise<[string, SshForward]> => {
  const equals = spec.indexOf('=');
  const id = (equals < 0 ? spec : spec.slice(0, equals)) || 'default';
  const given = equals < 0 ? env.SSH_AUTH_SOCK : spec.slice(equals + 1);
  if (given === undefined || given === '') {
    throw new HyprError('HYPR_USAGE', `--ssh ${spec}: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set`, {
      hint: 'start one with: eval $(ssh-agent) && ssh-add   or name a key: --ssh default=$HOME/.ssh/id_ed25519',
    });
  }
  const paths = given.split(',').map((path) => resolve(cwd, path));
  const kinds = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  const missing = paths.find((_, index) => kinds[index] === undefined);
  if (missing !== undefined) {
    throw new HyprError('HYPR_USAGE', `--ssh ${spec}: there is no ${missing}`);
  }
  const [first = ''] = paths;
  if (paths.length === 1 && kinds[0]?.isSocket()) {
    return [id, { socket: first }];
  }
  if (!kinds.every((kind) => kind?.isFile())) {
    throw new HyprError('HYPR_USAGE', `--ssh ${spec}: an agent's socket or private keys are wanted`);
  }
  return [id, { keys: paths }];
};

/** `nofile=1024`, `nproc=100:200`, `core=-1`. */
export const parseUlimits = (specs: readonly string[]): NonNullable<BuildLimits['ulimits']> =>
  Object.fromEntries(
    specs.map((spec) => {
      const [, name = '', soft = '', hard = soft] = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(spec) ?? [];
      if (!ULIMITS.includes(name)) {
        throw new HyprError('HYPR_USAGE', `--ulimit: "${spec}" is not NAME=SOFT[:HARD]`, { hint: `names: ${ULIMITS.join(', ')}` });
      }
      return [name, { soft: Number(soft), hard: Number(hard) }];
    }),
  );

/** Limits of setrlimit(2) that a guest sets. */
const ULIMITS = [
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack',
  'as',
];

/** `--memory`, `--cpus`, `--disk`, `--timeout`, `--ulimit` as a request has them. */
export const parseLimits = (flags: { string(name: string): string | undefined }, ulimits: readonly string[]): BuildLimits => {
  const size = (name: string) => {
    const text = flags.string(name);
    return text === undefined ? undefined : parseMib(text, name);
  };
  const memoryMib = size('memory');
  const diskMib = size('disk');
  const cpus = flags.string('cpus');
  const timeout = flags.string('timeout');
  return {
    ...(memoryMib === undefined ? {} : { memoryMib }),
    ...(diskMib === undefined ? {} : { diskMib }),
    ...(cpus === undefined ? {} : { cpus: parseCpus(cpus) }),
    ...(timeout === undefined ? {} : { stepTimeout: parseTimeout(timeout) }),
    ...(ulimits.length === 0 ? {} : { ulimits: parseUlimits(ulimits) }),
  };
};

const SMALLEST_MIB = 128;
const MAX_CPUS = 64;
const MINUTE = 60_000;

/** A machine of less than 128 MiB has no room for a kernel with its agent. */
export const parseMib = (text: string, flag: string): number => {
  const mib = Math.ceil(parseBytes(text, flag) / 2 ** 20);
  if (mib < SMALLEST_MIB) {
    throw new HyprError('HYPR_USAGE', `--${flag} ${text}: a build machine needs at least ${SMALLEST_MIB}m`);
  }
  return mib;
};

const parseCpus = (text: string): number => {
  const cpus = Math.ceil(Number(text));
  if (!(cpus >= 1 && cpus <= MAX_CPUS)) {
    throw new HyprError('HYPR_USAGE', `--cpus: "${text}" is not a number from 1 to ${MAX_CPUS}`);
  }
  return cpus;
};

/** `90s`, `10m`, `1h30m`; milliseconds. */
const parseTimeout = (text: string): number => {
  const [, hours = '0', minutes = '0', seconds = '0'] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
  const ms = Number(hours) * 60 * MINUTE + Number(minutes) * MINUTE + Number(seconds) * 1000;
  if (ms === 0) {
    throw new HyprError('HYPR_USAGE', `--timeout: "${text}" is not a time`, { hint: 'write it like 90s, 10m or 1h30m' });
  }
  return ms;
};
