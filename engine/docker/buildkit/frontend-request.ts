import type { BuildRequest } from '../../model/types.ts';
import { ApiError, notHere } from '../http/errors.ts';

type Options = Readonly<Record<string, string>>;

/** What a client asked to be done with the result. */
export interface ExportWish {
  readonly type: string;
  readonly attributes: Options;
}

type Settings = Omit<BuildRequest, 'context' | 'stdin' | 'dockerfile' | 'additionalContexts' | 'secrets'>;

/** The options of BuildKit's Dockerfile front end, and the exporter's, as a build of hypr has them. Throws 400 and 501. */
export const settingsOf = (options: Options, wish: ExportWish | undefined): Settings => {
  refuse(options, wish);
  const noCache = options['no-cache'];
  const network = options['force-network-mode'];
  return {
    tags: wish?.attributes.name?.split(',').filter((name) => name !== '') ?? [],
    ...given('target', options.target),
    buildArgs: prefixed(options, 'build-arg:'),
    labels: prefixed(options, 'label:'),
    noCache: noCache === '',
    ...(noCache ? { noCacheFilter: noCache.split(',') } : {}),
    pull: options['image-resolve-mode'] === 'pull',
    network: network === 'none' ? 'none' : 'default',
    extraHosts: (options['add-hosts'] ?? '')
      .split(',')
      .filter((host) => host !== '')
      .map((host) => host.replace('=', ':')),
    ...given('platform', options.platform),
    ...(Number(options['shm-size']) > 0 ? { shmSize: Number(options['shm-size']) } : {}),
    provenance: 'false',
  };
};

const given = <Key extends string>(key: Key, value: string | undefined): { [K in Key]?: string } =>
  value === undefined || value === '' ? {} : ({ [key]: value } as { [K in Key]?: string });

const prefixed = (options: Options, prefix: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(options).flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [])),
  );

/** Exporters that put the image into the store. */
const INTO_STORE: readonly string[] = ['', 'moby', 'image'];

const refuse = (options: Options, wish: ExportWish | undefined): void => {
  if (options.requestid !== undefined) {
    throw notHere('docker build --check and --call by this API', 'use hypr build --check and hypr build --call');
  }
  if (wish !== undefined && !INTO_STORE.includes(wish.type)) {
    throw notHere(`the output ${wish.type} by this API`, 'use hypr build --output');
  }
  if (wish?.attributes.push === 'true') {
    throw notHere('--push by this API', 'build first, then docker push');
  }
  if ((options.platform ?? '').includes(',')) {
    throw new ApiError(400, 'one platform at a time can be put into the store: use hypr build --output type=oci');
  }
};
