import type { MountConfig } from '../../../compose/model/model.ts';
import { ApiError, notHere } from '../http/errors.ts';
import { asList, asMap, asRecord, asText, asTexts } from '../http/values.ts';

type Keys = Readonly<Record<string, unknown>>;

/** `Binds`, `Mounts`, `Tmpfs` and `Volumes` of a request as a service has them. Throws 400, and 501 for mounts of other types. */
export const mountsOf = (config: Keys, host: Keys): { volumes: MountConfig[]; tmpfs: string[] } => {
  const mounts = [...asTexts(host.Binds).map(bindOf), ...asList(host.Mounts).map((mount) => mountOf(asRecord(mount)))];
  const taken = new Set(mounts.map(({ target }) => target));
  const anonymous = Object.keys(asRecord(config.Volumes)).filter((target) => !taken.has(target));
  return {
    volumes: [...mounts, ...anonymous.map((target): MountConfig => ({ type: 'volume', target }))],
    tmpfs: Object.entries(asMap(host.Tmpfs)).map(([path, options]) => (options === '' ? path : `${path}:${options}`)),
  };
};

/** `SOURCE:TARGET[:OPTIONS]`: a path of this host is a bind mount, another source the name of a volume. */
const bindOf = (text: string): MountConfig => {
  const parts = text.split(':');
  const [source = '', target, options = ''] = parts;
  if (parts.length > 3 || (target !== undefined && !target.startsWith('/'))) {
    throw new ApiError(400, `invalid volume specification: '${text}'`);
  }
  if (target === undefined) {
    return { type: 'volume', target: source };
  }
  const flags = options.split(',');
  const common = { source, target, read_only: flags.includes('ro') };
  return source.startsWith('/')
    ? { type: 'bind', ...common, bind: { create_host_path: true } }
    : { type: 'volume', ...common, volume: { nocopy: flags.includes('nocopy') } };
};

const mountOf = (mount: Keys): MountConfig => {
  const target = asText(mount.Target) ?? '';
  const source = asText(mount.Source);
  const common = { target, read_only: mount.ReadOnly === true, ...(source === undefined ? {} : { source }) };
  const type = asText(mount.Type) ?? '';
  if (!target.startsWith('/')) {
    throw new ApiError(400, `invalid mount config for type "${type}": field Target must be an absolute path`);
  }
  switch (type) {
    case 'bind':
      return { type, ...common, bind: { create_host_path: asRecord(mount.BindOptions).CreateMountpoint === true } };
    case 'volume': {
      const options = asRecord(mount.VolumeOptions);
      const subpath = asText(options.Subpath);
      return { type, ...common, volume: { nocopy: options.NoCopy === true, ...(subpath === undefined ? {} : { subpath }) } };
    }
    case 'tmpfs': {
      const { SizeBytes, Mode } = asRecord(mount.TmpfsOptions);
      return { type, target, tmpfs: { ...(SizeBytes ? { size: String(SizeBytes) } : {}), ...(Mode ? { mode: Number(Mode) } : {}) } };
    }
    default:
      throw notHere(`a mount of type "${type}"`, 'use a bind mount, a volume or tmpfs');
  }
};
