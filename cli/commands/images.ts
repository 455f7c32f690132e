import { HyprError } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import { inspectImage } from '../../engine/docker/shapes/image.ts';
import { familiarName, imageRepository, shortId } from '../../engine/docker/shapes/names.ts';
import type { Image } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { throwFailures } from '../core/print-error.ts';
import { IMAGE } from '../format/docker-types.ts';
import { hasLabel, isYes } from '../format/filters.ts';
import { goView } from '../format/go-view.ts';
import { formatListing } from '../format/output.ts';
import { goTime } from '../format/time.ts';
import { ago, humanSize } from '../format/units.ts';
import { printObjects } from './print-objects.ts';

const COLUMNS = { Repository: 'REPOSITORY', Tag: 'TAG', ID: 'IMAGE ID', CreatedSince: 'CREATED', Size: 'SIZE' };
const WITH_DIGESTS = { Repository: 'REPOSITORY', Tag: 'TAG', Digest: 'DIGEST', ID: 'IMAGE ID', CreatedSince: 'CREATED', Size: 'SIZE' };
const HEADERS = { CreatedAt: 'CREATED AT', Digest: 'DIGEST', Containers: 'CONTAINERS' };

/** `hypr images`: one row per name of an image, newest first, as docker images. */
export const runImages: Handler = async ({ context, args, flags }) => {
  const images = await (await context.engine()).openImages();
  const all = await images.list();
  const [ofImages, ofNames] = readFilters(flags.list('filter'), all);
  const rows = all
    .filter((image) => ofImages.every((filter) => filter(image)))
    .sort((a, b) => b.created - a.created)
    .flatMap((image) => imageRows(image, { now: context.now(), noTrunc: flags.bool('no-trunc') }))
    .filter((row) => args[0] === undefined || matchesName(row, args[0]))
    .filter((row) => ofNames.every((filter) => filter(row)));
  if (flags.bool('quiet')) {
    context.stdout.write([...new Set(rows.map((row) => row.ID))].map((id) => `${id}\n`).join(''));
    return 0;
  }
  const columns = flags.bool('digests') ? WITH_DIGESTS : COLUMNS;
  context.stdout.write(formatListing({ columns, headers: HEADERS, rows, json: 'lines' }, flags.string('format')));
  return 0;
};

type ImageRow = Readonly<Record<string, string>>;

const imageRows = (image: Image, at: { now: number; noTrunc: boolean }): ImageRow[] => {
  const names = image.references.length > 0 ? image.references.map(imageRepository) : [{ repository: '<none>', tag: '<none>' }];
  return names.map(({ repository, tag }) => ({
    Containers: 'N/A',
    get CreatedAt() {
      return goTime(image.created);
    },
    CreatedSince: ago(image.created, at.now),
    Digest: image.manifestDigest || '<none>',
    ID: at.noTrunc ? image.id : shortId(image.id),
    Repository: repository,
    SharedSize: 'N/A',
    Size: humanSize(image.size),
    Tag: tag,
    UniqueSize: 'N/A',
    VirtualSize: humanSize(image.size),
  }));
};

/** `nginx`, `nginx:1.26`, with `*` as in a shell. */
const matchesName = (row: ImageRow, name: string): boolean => {
  const wanted = familiarName(name);
  const pattern = new RegExp(`^${wanted.split('*').map(escapeRegExp).join('[^/]*')}$`);
  return pattern.test(row.Repository ?? '') || pattern.test(`${row.Repository}:${row.Tag}`);
};

const escapeRegExp = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&');

type Filters = readonly [ReadonlyArray<(image: Image) => boolean>, ReadonlyArray<(row: ImageRow) => boolean>];

/** Filters of images, and those of their names. Throws HYPR_USAGE. */
const readFilters = (filters: readonly string[], all: readonly Image[]): Filters => {
  const ofImages: Array<(image: Image) => boolean> = [];
  const ofNames: Array<(row: ImageRow) => boolean> = [];
  const createdOf = (name: string): number => {
    const wanted = imageRepository(name);
    const found = all.find(({ id, references }) =>
      [id, shortId(id), ...references.map(imageRepository).map(({ repository, tag }) => `${repository}:${tag}`)].includes(
        name.startsWith('sha256:') ? name : `${wanted.repository}:${wanted.tag}`,
      ),
    );
    return found?.created ?? Number.NaN;
  };
  for (const filter of filters) {
    const [key = '', value = ''] = filter.split(/=(.*)/s);
    if (key === 'reference') {
      ofNames.push((row) => matchesName(row, value));
    } else if (key === 'dangling') {
      const wanted = isYes(value);
      ofNames.push((row) => (row.Repository === '<none>') === wanted);
    } else if (key === 'label') {
      ofImages.push((image) => hasLabel(image.config.Labels, value));
    } else if (key === 'before') {
      ofImages.push((image) => image.created < createdOf(value));
    } else if (key === 'since') {
      ofImages.push((image) => image.created > createdOf(value));
    } else {
      throw new HyprError('HYPR_USAGE', `invalid filter '${key}': --filter does not know "${filter}"`, {
        hint: 'filters are reference=, dangling=, label=, before= and since=',
      });
    }
  }
  return [ofImages, ofNames];
};

/** `hypr rmi`. */
export const runRmi: Handler = async ({ context, args, flags }) => {
  const images = await (await context.engine()).openImages();
  const force = flags.bool('force');
  const failures: unknown[] = [];
  for (const name of args) {
    try {
      const lines = await images.remove([name], { force });
      context.stdout.write(lines.map((line) => `${sanitiseName(line)}\n`).join(''));
    } catch (error) {
      // As docker: what is not there needs no removing.
      if (force && error instanceof HyprError && error.code === 'IMAGE_NOT_FOUND') {
        context.stderr.write(`${sanitiseName(error.message)}\n`);
      } else {
        failures.push(error);
      }
    }
  }
  throwFailures(failures, `${failures.length} images were not removed`);
  return 0;
};

/** `hypr tag SOURCE TARGET`. */
export const runTag: Handler = async ({ context, args }) => {
  const [source = '', target = ''] = args;
  await (await (await context.engine()).openImages()).tag(source, target);
  return 0;
};

/** `hypr image inspect`: docker's keys, one JSON array. */
export const runInspect: Handler = async (invocation) => {
  const images = await (await invocation.context.engine()).openImages();
  return printObjects(invocation, async (name) => goView(IMAGE, inspectImage(await images.inspect(name))));
};
