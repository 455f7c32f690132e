import { isAbsolute } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { VolumeConfig } from '../../compose/model/model.ts';
import { parseBytes } from '../../compose/model/units.ts';
import { readDiskSize } from './disk-size.ts';

/** What backs a volume: hypr's own storage, a folder of this host, or memory. */
export type VolumeDevice =
  | { readonly kind: 'own'; readonly sizeMib?: number }
  | { readonly kind: 'bind'; readonly source: string; readonly readOnly: boolean }
  | { readonly kind: 'tmpfs'; readonly readOnly: boolean; readonly size: number | undefined; readonly mode: number | undefined };

/**
 * Interprets `driver_opts` of docker's `local` driver, which are a mount's type, device and options (mount(8)), or a `size`, which is all that the
 * volume can hold. Throws
 * COMPOSE_INVALID, and HYPR_UNSUPPORTED for mounts that only the host could make.
 */
export const volumeDevice = (config: VolumeConfig | undefined): VolumeDevice => {
  const { type = '', device = '', o = '' } = config?.driver_opts ?? {};
  if (config === undefined || config.external === true) {
    return { kind: 'own' };
  }
  if (type === '' && device === '' && (o === '' || /^size=[^,]*$/.test(o))) {
    return ownVolume(config, config.driver_opts?.size ?? (o === '' ? undefined : o.slice('size='.length)));
  }
  const options = new Map(o.split(',').map((option) => option.split('=') as [string, string | undefined]));
  const readOnly = options.has('ro');
  if (options.has('bind') || options.has('rbind') || type === 'bind') {
    if (!isAbsolute(device)) {
      throw new HyprError('COMPOSE_INVALID', `volume ${config.name}: driver_opts.device must be a folder of this host, not "${device}"`);
    }
    return { kind: 'bind', source: device, readOnly };
  }
  if (type === 'tmpfs') {
    const [size, mode] = [options.get('size'), options.get('mode')];
    return {
      kind: 'tmpfs',
      readOnly,
      size: size === undefined ? undefined : parseBytes(size),
      mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
    };
  }
  throw new HyprError('HYPR_UNSUPPORTED', `volume ${config.name}: hypr does not mount ${[type, device].join(' ').trim() || `"${o}"`}`, {
    hint: 'mount it on this host, and name that folder: driver_opts: {type: none, o: bind, device: /the/folder}',
  });
};

const ownVolume = ({ name }: VolumeConfig, size: string | undefined): VolumeDevice =>
  size === undefined ? { kind: 'own' } : { kind: 'own', sizeMib: readDiskSize(size, `volume ${name}`) };
