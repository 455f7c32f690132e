import { sanitiseText } from '../../base/sanitise.ts';
import type { UsageRow } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
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
