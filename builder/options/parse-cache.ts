import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { BuildRequest } from '../model/types.ts';
import { parseFields, readBool, refuseUnknown } from './csv-fields.ts';
import { type Compression, parseCompression } from './parse-output.ts';

export type CacheTarget =
  | { readonly type: 'inline' }
  | {
      readonly type: 'local' | 'registry';
      /** A folder, or a reference. */
      readonly place: string;
      readonly tag: string;
      readonly max: boolean;
      readonly compression: Compression;
      readonly ignoreError: boolean;
    };

export interface CacheOrigin {
  readonly type: 'local' | 'registry';
  /** A folder, or a reference. */
  readonly place: string;
  readonly tag: string;
  readonly digest: string | undefined;
}

const SHARED = [
  'type',
  'mode',
  'compression',
  'compression-level',
  'force-compression',
  'ignore-error',
  'oci-mediatypes',
  'image-manifest',
];
const ELSEWHERE = ['gha', 's3', 'azblob'];

/**
 * Cache backends that hypr does not support (`type=gha` and the like). Compose files contain them for CI,
 * so they are skipped with a warning instead of failing the build.
 */
export const findForeignCaches = (request: BuildRequest): string[] =>
  [...(request.cacheFrom ?? []), ...(request.cacheTo ?? [])].filter(isForeign);

const isForeign = (spec: string): boolean => ELSEWHERE.includes(/(?:^|,)type=([a-z0-9]+)/.exec(spec)?.[1] ?? '');

/** `--cache-to` of a request; BUILDKIT_INLINE_CACHE=1 is `type=inline`. Throws HYPR_USAGE. */
export const parseCacheTargets = (request: BuildRequest): CacheTarget[] => {
  const inline = /^(1|true)$/i.test(request.buildArgs.BUILDKIT_INLINE_CACHE ?? '') ? ['type=inline'] : [];
  return [...(request.cacheTo ?? []), ...inline].filter((spec) => !isForeign(spec)).map((spec) => parseTarget(spec, request));
};

const parseTarget = (spec: string, request: BuildRequest): CacheTarget => {
  const flag = '--cache-to';
  const fields = parseFields(isShort(spec) ? `type=registry,ref=${spec}` : spec, flag);
  const type = typeOf(fields.get('type'), flag, ['inline', 'local', 'registry']);
  const max = isMax(fields.get('mode'), flag);
  if (type === 'inline') {
    refuseUnknown(fields, SHARED, `${flag} type=inline`);
    if (max) {
      throw new HyprError('HYPR_USAGE', `${flag} type=inline cannot have mode=max: an image holds only its own layers`);
    }
    return { type };
  }
  const place = type === 'local' ? 'dest' : 'ref';
  refuseUnknown(fields, [...SHARED, place, 'tag'], `${flag} type=${type}`);
  return {
    type: type === 'local' ? 'local' : 'registry',
    place: readPlace(fields, { key: place, flag, request }),
    tag: fields.get('tag') ?? 'latest',
    max,
    compression: parseCompression(fields),
    ignoreError: readBool(fields, 'ignore-error', flag) ?? false,
  };
};

/** `--cache-from` of a request; a bare name is an image or cache in a registry. Throws HYPR_USAGE. */
export const parseCacheOrigins = (request: BuildRequest): CacheOrigin[] =>
  (request.cacheFrom ?? [])
    .filter((spec) => !isForeign(spec))
    .map((spec) => {
      const flag = '--cache-from';
      const fields = parseFields(isShort(spec) ? `type=registry,ref=${spec}` : spec, flag);
      const type = typeOf(fields.get('type'), flag, ['local', 'registry']) === 'local' ? 'local' : 'registry';
      const place = type === 'local' ? 'src' : 'ref';
      refuseUnknown(fields, ['type', place, 'tag', 'digest'], `${flag} type=${type}`);
      return {
        type,
        place: readPlace(fields, { key: place, flag, request }),
        tag: fields.get('tag') ?? 'latest',
        digest: fields.get('digest'),
      };
    });

const isShort = (spec: string): boolean => !spec.includes('=');

const typeOf = (type: string | undefined, flag: string, known: readonly string[]): string => {
  if (type === undefined || !known.includes(type)) {
    throw new HyprError('HYPR_USAGE', `${flag}: ${type === undefined ? 'there is no type=' : `the type ${type} is not known`}`, {
      hint: `use one of: ${known.join(', ')}`,
    });
  }
  return type;
};

const isMax = (mode: string | undefined, flag: string): boolean => {
  if (mode !== undefined && mode !== 'min' && mode !== 'max') {
    throw new HyprError('HYPR_USAGE', `${flag}: mode=${mode} is neither min nor max`);
  }
  return mode === 'max';
};

const readPlace = (
  fields: ReadonlyMap<string, string | undefined>,
  { key, flag, request }: { key: string; flag: string; request: BuildRequest },
): string => {
  const value = fields.get(key);
  if (!value) {
    throw new HyprError('HYPR_USAGE', `${flag}: ${key}= is needed`);
  }
  return key === 'ref' ? value : resolve(request.folder ?? process.cwd(), value);
};
