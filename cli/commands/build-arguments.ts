import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { BuildRequest } from '../../engine/types.ts';

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
