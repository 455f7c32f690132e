import { HyprError } from '../../base/errors.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import type { PruneOptions, PruneResult, UsageRow } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import type { CliContext } from '../core/context.ts';
import { formatListing } from '../format/output.ts';
import { humanSize } from '../format/units.ts';

const COLUMNS = { Type: 'TYPE', TotalCount: 'TOTAL', Active: 'ACTIVE', Size: 'SIZE', Reclaimable: 'RECLAIMABLE' };

/** `hypr system df`, as docker prints it; sizes are what the disk really gives. */
export const runSystemDf: Handler = async ({ context, flags }) => {
  if (flags.bool('verbose')) {
    const { showUsage } = await import('./system-usage.ts');
    context.stdout.write(showUsage(await (await context.engine()).systemUsage(), { now: context.now(), format: flags.string('format') }));
    return 0;
  }
  const rows = (await (await context.engine()).systemDf()).map(usageRow);
  context.stdout.write(formatListing({ columns: COLUMNS, rows, json: 'lines' }, flags.string('format')));
  return 0;
};

const usageRow = ({ type, total, active, size, reclaimable }: UsageRow): Record<string, string> => {
  const share = size === 0 || type === 'Build Cache' ? '' : ` (${Math.trunc((reclaimable / size) * 100)}%)`;
  return {
    Type: type,
    TotalCount: String(total),
    Active: String(active),
    Size: humanSize(size),
    Reclaimable: `${humanSize(reclaimable)}${share}`,
  };
};

const NOTHING: PruneOptions = { images: 'none', buildsOlderThan: undefined, volumes: false, toolchain: false };

/** `hypr system prune`: images and builds that nothing uses. Stacks, running or stopped, keep what they have. */
export const runSystemPrune: Handler = async (invocation) => {
  const { flags } = invocation;
  const all = flags.bool('all');
  const volumes = flags.bool('volumes');
  return await prune(invocation, {
    command: 'hypr system prune',
    removes: [
      ...(volumes ? ['all anonymous volumes that no replica has'] : []),
      all ? 'all images that no replica was made from' : 'all dangling images',
      'the build cache',
    ],
    options: { images: all ? 'all' : 'dangling', buildsOlderThan: ageOf(flags.list('filter')) ?? 0, volumes, toolchain: true },
  });
};

/** `hypr image prune`: images without a name; with `-a`, those that no replica was made from. */
export const runImagePrune: Handler = async (invocation) => {
  const all = invocation.flags.bool('all');
  return await prune(invocation, {
    command: 'hypr image prune',
    removes: [all ? 'all images that no replica was made from' : 'all dangling images'],
    options: { ...NOTHING, images: all ? 'all' : 'dangling' },
  });
};

/** `hypr builder prune`: what builds keep to be faster next time. */
export const runBuilderPrune: Handler = async (invocation) =>
  await prune(invocation, {
    command: 'hypr builder prune',
    removes: ['the build cache'],
    options: { ...NOTHING, buildsOlderThan: ageOf(invocation.flags.list('filter')) ?? 0 },
  });

const prune = async (
  { context, flags }: Invocation,
  plan: { command: string; removes: readonly string[]; options: PruneOptions },
): Promise<number> => {
  const list = plan.removes.map((what) => `  - ${what}\n`).join('');
  const question = `WARNING! This will remove:\n${list}\nAre you sure you want to continue? [y/N] `;
  if (!flags.bool('force') && !(await confirm(context, question, `${plan.command} --force`))) {
    return 0;
  }
  const engine = await context.engine();
  const pruned = await engine.prune(plan.options);
  const unused = plan.options.volumes ? await (await engine.openObjects()).pruneVolumes({ all: false }) : { names: [], bytes: 0 };
  report(context, { ...pruned, volumes: [...pruned.volumes, ...unused.names], bytes: pruned.bytes + unused.bytes });
  return 0;
};

const report = ({ stdout }: CliContext, { images, volumes, bytes }: PruneResult): void => {
  const block = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `${title}:\n${lines.map((line) => `${sanitiseText(line)}\n`).join('')}\n`;
  stdout.write(`${block('Deleted Volumes', volumes)}${block('Deleted Images', images)}Total reclaimed space: ${humanSize(bytes)}\n`);
};

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** `until=24h` → milliseconds. */
const ageOf = (filters: readonly string[]): number | undefined => {
  let age: number | undefined;
  for (const filter of filters) {
    const text = /^until=((?:\d+[smh])+)$/.exec(filter)?.[1];
    if (text === undefined) {
      throw new HyprError('HYPR_USAGE', `--filter: "${filter}" is not known`, { hint: 'write --filter until=24h' });
    }
    age = [...text.matchAll(/(\d+)([smh])/g)].reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ''] ?? 0), 0);
  }
  return age;
};

/**
 * `hypr system check`: reads the database, every image and every layer against their digests; exit code 1 when something is
 * damaged. With `--repair` it is mended as far as it can be, and 0 when all is whole then. What killed processes left is told on
 * stderr: it is no damage.
 */
export const runSystemCheck: Handler = async ({ context, flags }) => {
  const { signal } = context.interrupts;
  const engine = await context.engine();
  const tell = (line: string): void => {
    context.stderr.write(`${sanitiseText(line)}\n`);
  };
  const show = (lines: readonly string[]): void => {
    context.stdout.write(lines.map((line) => `${sanitiseText(line)}\n`).join(''));
  };
  let faults = await engine.checkHome(signal, tell);
  show(faults);
  if (faults.length > 0 && flags.bool('repair')) {
    const { repaired, lost, kept } = await engine.repairHome(signal);
    show([...repaired.map((what) => `made again: ${what}`), ...lost.map((what) => `lost: ${what}`)]);
    if (kept !== undefined) {
      tell(`The damaged database is kept: ${kept}`);
    }
    faults = await engine.checkHome(signal);
    show(faults);
  }
  tell(faults.length === 0 ? 'Images and records are whole' : 'Something is damaged: mend it with: hypr system check --repair');
  return faults.length === 0 ? 0 : 1;
};
