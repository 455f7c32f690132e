import { HyprError } from '../../base/errors.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import type { Image, PruneOptions, PruneResult, VolumeDetail } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import type { CliContext } from '../core/context.ts';
import { compileFilters, isYes, type Judges, labelJudges, untilJudge } from '../format/filters.ts';
import { parseMoment } from '../format/time.ts';
import { humanSize } from '../format/units.ts';

const NOTHING: PruneOptions = { images: 'none', buildsOlderThan: undefined, volumes: false, toolchain: false };

/**
 * `hypr system prune`: images and builds that nothing uses. Stacks, running or stopped, keep what they have. With a filter for labels the
 * build cache, which has none, stays.
 */
export const runSystemPrune: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const all = flags.bool('all');
  const volumes = flags.bool('volumes');
  const filters = flags.list('filter');
  if (volumes && filters.some((filter) => filter.startsWith('until='))) {
    throw new HyprError('HYPR_USAGE', 'ERROR: The "until" filter is not supported with "--volumes"');
  }
  const byLabel = filters.some((filter) => /^label!?=/.test(filter));
  const matches = imageFilter(context, filters, ['until', 'label', 'label!']);
  const age = ageOf(
    context,
    filters.filter((filter) => filter.startsWith('until=')),
  );
  return await prune(invocation, {
    command: 'hypr system prune',
    removes: [
      ...(volumes ? ['all anonymous volumes that no replica has'] : []),
      all ? 'all images that no replica was made from' : 'all dangling images',
      ...(byLabel ? [] : ['the build cache']),
    ],
    options: { images: all ? 'all' : 'dangling', buildsOlderThan: byLabel ? undefined : (age ?? 0), volumes, toolchain: !byLabel },
    ...(filters.length === 0 ? {} : { matches }),
    volumeMatches: compileFilters<Pick<VolumeDetail, 'labels'>>(
      filters.filter((filter) => !filter.startsWith('until=')),
      labelJudges(({ labels }) => labels),
    ),
  });
};

/** `hypr image prune`: images without a name; with `-a`, those that no replica was made from. */
export const runImagePrune: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const filters = flags.list('filter');
  const matches = imageFilter(context, filters, ['until', 'label', 'label!', 'dangling']);
  const dangling = filters
    .filter((filter) => filter.startsWith('dangling='))
    .at(-1)
    ?.slice('dangling='.length);
  const all = dangling === undefined ? flags.bool('all') : !isYes(dangling);
  return await prune(invocation, {
    command: 'hypr image prune',
    removes: [all ? 'all images that no replica was made from' : 'all dangling images'],
    options: { ...NOTHING, images: all ? 'all' : 'dangling' },
    ...(filters.length === 0 ? {} : { matches }),
  });
};

/** Throws HYPR_USAGE for a key that is not one of `known`. */
const imageFilter = (context: CliContext, filters: readonly string[], known: readonly string[]): ((image: Image) => boolean) => {
  const judges: Judges<Image> = {
    ...labelJudges(({ config }) => config.Labels),
    ...untilJudge<Image>(filters, context.now(), ({ created }) => created),
    dangling: (_, value) => isYes(value) || true,
  };
  return compileFilters<Image>(filters, Object.fromEntries(Object.entries(judges).filter(([key]) => known.includes(key))));
};

/** `hypr builder prune`: what builds keep to be faster next time. */
export const runBuilderPrune: Handler = async (invocation) =>
  await prune(invocation, {
    command: 'hypr builder prune',
    removes: ['the build cache'],
    options: { ...NOTHING, buildsOlderThan: ageOf(invocation.context, invocation.flags.list('filter')) ?? 0 },
  });

interface PrunePlan {
  readonly command: string;
  readonly removes: readonly string[];
  readonly options: PruneOptions;
  /** Of the images that may go; absent: all. */
  readonly matches?: (image: Image) => boolean;
  readonly volumeMatches?: (volume: Pick<VolumeDetail, 'labels'>) => boolean;
}

const prune = async ({ context, flags }: Invocation, plan: PrunePlan): Promise<number> => {
  const list = plan.removes.map((what) => `  - ${what}\n`).join('');
  const question = `WARNING! This will remove:\n${list}\nAre you sure you want to continue? [y/N] `;
  if (!flags.bool('force') && !(await confirm(context, question, `${plan.command} --force`))) {
    return 0;
  }
  const engine = await context.engine();
  const { matches, volumeMatches = () => true } = plan;
  const imageIds = matches && (await (await engine.openImages()).list()).filter(matches).map(({ id }) => id);
  // Those of stacks that are gone have no labels.
  const volumes = plan.options.volumes && volumeMatches({ labels: {} });
  const pruned = await engine.prune({ ...plan.options, volumes, ...(imageIds === undefined ? {} : { imageIds }) });
  const unused = plan.options.volumes
    ? await (await engine.openObjects()).pruneVolumes({ all: false, matches: volumeMatches })
    : { names: [], bytes: 0 };
  report(context, { ...pruned, volumes: [...pruned.volumes, ...unused.names], bytes: pruned.bytes + unused.bytes });
  return 0;
};

const report = ({ stdout }: CliContext, { images, volumes, bytes }: PruneResult): void => {
  const block = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `${title}:\n${lines.map((line) => `${sanitiseText(line)}\n`).join('')}\n`;
  stdout.write(`${block('Deleted Volumes', volumes)}${block('Deleted Images', images)}Total reclaimed space: ${humanSize(bytes)}\n`);
};

/** `until=24h`, or a time → milliseconds. Throws HYPR_USAGE. */
const ageOf = (context: CliContext, filters: readonly string[]): number | undefined => {
  let age: number | undefined;
  if (new Set(filters).size > 1 && filters.every((filter) => filter.startsWith('until='))) {
    throw new HyprError('HYPR_USAGE', 'more than one until filter specified');
  }
  for (const filter of filters) {
    if (!filter.startsWith('until=')) {
      throw new HyprError('HYPR_USAGE', `invalid filter '${filter.split('=')[0]}': --filter does not know "${filter}"`, {
        hint: 'write --filter until=24h',
      });
    }
    const now = context.now();
    age = Math.max(0, now - parseMoment(filter.slice('until='.length), { flag: 'filter until', now }));
  }
  return age;
};
