import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { MountConfig } from '../../compose/model/model.ts';
import { readMountMode } from '../../compose/model/mount-mode.ts';

/**
 * docker's `--mount type=bind,src=/a,dst=/b,readonly`; without a type it is a volume. `cwd`: the folder that sources start from.
 * Throws HYPR_USAGE for a key or type that is not known.
 */
export const readMount = (text: string, cwd: string): MountConfig => {
  const fields = new Map(text.split(',').map((field) => readField(field, text)));
  const type = fields.get('type') ?? 'volume';
  const target = fields.get('target') ?? '';
  const source = fields.get('source');
  const common = { target, read_only: fields.get('readonly') === 'true' };
  if (!target.startsWith('/')) {
    throw invalid(text, 'its target has to be an absolute path');
  }
  switch (type) {
    case 'bind':
      if (source === undefined) {
        throw invalid(text, 'a bind mount has a source');
      }
      return { type, source: resolve(cwd, source), ...common, bind: { create_host_path: false }, ...ownSettings(fields, text) };
    case 'volume': {
      const subpath = fields.get('volume-subpath');
      const volume = { nocopy: fields.get('volume-nocopy') === 'true', ...(subpath === undefined ? {} : { subpath }) };
      return { type, ...(source === undefined ? {} : { source }), ...common, volume };
    }
    case 'tmpfs': {
      const [size, mode] = [fields.get('tmpfs-size'), fields.get('tmpfs-mode')];
      const tmpfs = { ...(size === undefined ? {} : { size }), ...(mode === undefined ? {} : { mode: Number.parseInt(mode, 8) }) };
      return { type, target, tmpfs };
    }
    default:
      throw invalid(text, `"${type}" is none of bind, volume and tmpfs`);
  }
};

/** `x-hypr.mount=synced`, as in a Compose file. */
const ownSettings = (fields: ReadonlyMap<string, string>, text: string): Pick<MountConfig, 'x-hypr'> => {
  const mount = fields.get('x-hypr.mount');
  const read = readMountMode({ mount });
  if (typeof read === 'object') {
    throw invalid(text, `x-hypr.mount ${read.fault}`);
  }
  return read === undefined ? {} : { 'x-hypr': { mount } };
};

/** Other names of a key, and keys that say nothing here. */
const KEYS: Readonly<Record<string, string>> = {
  ...{ type: 'type', source: 'source', src: 'source', target: 'target', dst: 'target', destination: 'target' },
  ...{ readonly: 'readonly', ro: 'readonly', 'volume-nocopy': 'volume-nocopy', 'volume-subpath': 'volume-subpath' },
  ...{ 'tmpfs-size': 'tmpfs-size', 'tmpfs-mode': 'tmpfs-mode', consistency: 'consistency', 'bind-propagation': 'bind-propagation' },
  'x-hypr.mount': 'x-hypr.mount',
};

const readField = (field: string, text: string): [string, string] => {
  const [key = '', ...rest] = field.split('=');
  const known = KEYS[key.toLowerCase()];
  if (known === undefined) {
    throw invalid(text, `"${key}" is not known`);
  }
  const value = rest.length === 0 ? 'true' : rest.join('=');
  return [known, value === '1' ? 'true' : value];
};

const invalid = (text: string, why: string): HyprError =>
  new HyprError('HYPR_USAGE', `invalid argument "${text}" for --mount: ${why}`, {
    hint: 'write type=bind,src=DIR,dst=DIR[,readonly], type=volume,src=NAME,dst=DIR or type=tmpfs,dst=DIR',
  });
