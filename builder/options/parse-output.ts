import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { BuildRequest } from '../model/types.ts';
import { formatReference, parseReference } from '../registry/config/reference.ts';
import { type Annotations, parseAnnotations, parseOutputAnnotation } from './annotations.ts';
import { parseFields, readBool, refuseUnknown } from './csv-fields.ts';

export type CompressionName = 'uncompressed' | 'gzip' | 'zstd';

export interface Compression {
  readonly type: CompressionName;
  readonly level: number | undefined;
}

type Destination = { readonly path: string } | { readonly stream: NodeJS.WritableStream };

/** The options that determine the bytes of an image. */
export interface ImageForm {
  /** Full references. */
  readonly names: readonly string[];
  readonly compression: Compression;
  readonly ociTypes: boolean;
  readonly rewriteTimestamp: boolean;
  readonly annotations: Annotations;
}

export type Output =
  | { readonly type: 'local'; readonly path: string; readonly clear: boolean; readonly split: boolean }
  | { readonly type: 'tar'; readonly to: Destination }
  | { readonly type: 'oci' | 'docker'; readonly form: ImageForm; readonly to: Destination; readonly asFolder: boolean }
  | { readonly type: 'image'; readonly form: ImageForm; readonly push: boolean; readonly byDigest: boolean; readonly store: boolean }
  | { readonly type: 'cacheonly' };

const FLAG = '--output';
const FORM_KEYS = ['name', 'compression', 'compression-level', 'force-compression', 'oci-mediatypes', 'rewrite-timestamp', 'buildinfo'];
const KEYS: Readonly<Record<Output['type'], readonly string[]>> = {
  local: ['type', 'dest', 'mode', 'platform-split'],
  tar: ['type', 'dest', 'platform-split'],
  oci: ['type', 'dest', 'tar', ...FORM_KEYS],
  docker: ['type', 'dest', 'tar', 'context', ...FORM_KEYS],
  image: ['type', 'push', 'push-by-digest', 'unpack', 'store', 'dangling-name-prefix', 'name-canonical', ...FORM_KEYS],
  cacheonly: ['type'],
};

/**
 * Parses the outputs of a build, with buildx's types and short forms (`-o dir`, `-o -`). Without any, the image
 * goes into the store. Throws HYPR_USAGE, HYPR_UNSUPPORTED, IMAGE_REFERENCE.
 */
export const parseOutputs = (request: BuildRequest): Output[] => {
  const shared = parseAnnotations(request.annotations ?? []);
  const specs = request.outputs ?? [];
  const outputs = (specs.length === 0 ? ['type=image'] : specs).map((spec) => parseOutput(spec, request, shared));
  if (outputs.filter((output) => 'to' in output && 'stream' in output.to).length > 1) {
    throw new HyprError('HYPR_USAGE', 'only one output can go to standard output');
  }
  const paths = outputs.flatMap((output) =>
    'path' in output ? [output.path] : 'to' in output && 'path' in output.to ? [output.to.path] : [],
  );
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined) {
    throw new HyprError('HYPR_USAGE', `two outputs go to ${twice}`);
  }
  return outputs;
};

/** BUILDKIT_MULTI_PLATFORM=1: the result has the form for several platforms, although it is for one. */
export const isMultiPlatform = ({ buildArgs }: Pick<BuildRequest, 'buildArgs'>): boolean =>
  /^(1|t|true)$/i.test(buildArgs.BUILDKIT_MULTI_PLATFORM ?? '');

const parseOutput = (spec: string, request: BuildRequest, shared: Annotations): Output => {
  const fields = parseFields(longForm(spec), FLAG);
  const word = fields.get('type') ?? '';
  const type = word === 'registry' ? 'image' : word;
  if (!isOutputType(type)) {
    throw new HyprError('HYPR_USAGE', `${FLAG} ${spec}: ${word === '' ? 'there is no type=' : `the type ${word} is not known`}`, {
      hint: `use one of: ${Object.keys(KEYS).join(', ')}, registry`,
    });
  }
  const annotated = new Map([...fields].filter(([key]) => key.startsWith('annotation')));
  const plain = new Map([...fields].filter(([key]) => !annotated.has(key)));
  refuseUnknown(plain, KEYS[type], `${FLAG} type=${word}`);
  const path = plain.get('dest');
  switch (type) {
    case 'cacheonly':
      return { type };
    case 'local':
      return { type, path: needFolder(path, request), clear: isDelete(plain), split: readBool(plain, 'platform-split', FLAG) ?? false };
    case 'tar':
      return { type, to: destination(path ?? '-', request) };
    case 'oci':
    case 'docker': {
      if (type === 'docker' && path === undefined) {
        return { type: 'image', form: parseForm(plain, annotated, { request, shared }), push: false, byDigest: false, store: true };
      }
      const asFolder = readBool(plain, 'tar', FLAG) === false;
      const to = asFolder ? { path: needFolder(path, request) } : destination(path ?? '-', request);
      return { type, form: parseForm(plain, annotated, { request, shared }), to, asFolder };
    }
    case 'image':
      return parseImage(plain, annotated, { request, shared, pushes: word === 'registry' });
  }
};

const isOutputType = (word: string): word is Output['type'] => Object.hasOwn(KEYS, word);

/** `dir` and `-`; anything with a comma or `=` is the long form, as in buildx. */
const longForm = (spec: string): string => {
  if (spec === '-') {
    return 'type=tar,dest=-';
  }
  return /^"?[\w-]+=/.test(spec) || spec.includes(',') ? spec : `type=local,"dest=${spec.replaceAll('"', '""')}"`;
};

const isDelete = (fields: ReadonlyMap<string, string | undefined>): boolean => {
  const mode = fields.get('mode') ?? 'copy';
  if (mode !== 'copy' && mode !== 'delete') {
    throw new HyprError('HYPR_USAGE', `${FLAG}: mode=${mode} is neither copy nor delete`);
  }
  return mode === 'delete';
};

const needFolder = (path: string | undefined, request: BuildRequest): string => {
  if (!path || path === '-') {
    throw new HyprError('HYPR_USAGE', `${FLAG}: a folder is needed: dest=PATH`);
  }
  return resolve(request.folder ?? process.cwd(), path);
};

const destination = (path: string, request: BuildRequest): Destination => {
  if (path !== '-') {
    return { path: needFolder(path, request) };
  }
  const { stdout } = request;
  if (stdout === undefined || ('isTTY' in stdout && stdout.isTTY === true)) {
    throw new HyprError('HYPR_USAGE', `${FLAG}: an archive is not written to a terminal`, {
      hint: 'name a file: dest=FILE, or use a pipe',
    });
  }
  return { stream: stdout };
};

interface Shared {
  readonly request: BuildRequest;
  readonly shared: Annotations;
}

const parseForm = (
  fields: ReadonlyMap<string, string | undefined>,
  annotated: ReadonlyMap<string, string | undefined>,
  { request, shared }: Shared,
): ImageForm => {
  const named = (fields.get('name') ?? '').split(',').filter((name) => name !== '');
  return {
    names: [...new Set([...request.tags, ...named].map((name) => formatReference(parseReference(name))))],
    compression: parseCompression(fields),
    ociTypes: readBool(fields, 'oci-mediatypes', FLAG) ?? true,
    rewriteTimestamp: readBool(fields, 'rewrite-timestamp', FLAG) ?? false,
    annotations: [...annotated].reduce((all, [key, value]) => parseOutputAnnotation(all, key, value ?? ''), shared),
  };
};

const parseImage = (
  fields: ReadonlyMap<string, string | undefined>,
  annotated: ReadonlyMap<string, string | undefined>,
  input: Shared & { readonly pushes: boolean },
): Output => {
  const form = parseForm(fields, annotated, input);
  const byDigest = readBool(fields, 'push-by-digest', FLAG) ?? false;
  const push = byDigest || (readBool(fields, 'push', FLAG) ?? input.pushes);
  if (push && form.names.length === 0) {
    throw new HyprError('HYPR_USAGE', 'an image that is pushed needs a name', { hint: 'name it with -t, or with name= of the output' });
  }
  return { type: 'image', form, push, byDigest, store: readBool(fields, 'store', FLAG) ?? true };
};

/** Levels as BuildKit: gzip 0 to 9, zstd 0 to 22. Shared with caches. */
export const parseCompression = (fields: ReadonlyMap<string, string | undefined>): Compression => {
  const type = fields.get('compression') ?? 'gzip';
  if (type === 'estargz') {
    throw new HyprError('HYPR_UNSUPPORTED', 'compression=estargz: lazily pulled layers are not supported', {
      hint: 'use gzip, zstd or uncompressed',
    });
  }
  if (type !== 'gzip' && type !== 'zstd' && type !== 'uncompressed') {
    throw new HyprError('HYPR_USAGE', `compression=${type} is not known`, { hint: 'use gzip, zstd or uncompressed' });
  }
  const text = fields.get('compression-level');
  const max = type === 'zstd' ? 22 : 9;
  if (text !== undefined && (!/^\d{1,2}$/.test(text) || Number(text) > max)) {
    throw new HyprError('HYPR_USAGE', `compression-level=${text} is not a level of ${type}: 0 to ${max}`);
  }
  return { type, level: text === undefined ? undefined : Number(text) };
};
