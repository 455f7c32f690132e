import { listCards } from '../../engine/index.ts';
import type { CardSummary } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { formatListing } from '../format/output.ts';

const COLUMNS = { Address: 'ADDRESS', Group: 'GROUP', Kind: 'KIND', Id: 'ID', Driver: 'DRIVER', Use: 'USABLE' };

/** `gpu list`: the host's GPUs, or all its cards, and which of them a machine of this user can have. What changes that goes to stderr. */
export const runGpuList: Handler = async ({ context, flags }) => {
  const cards = (await listCards()).filter(({ gpu }) => gpu || flags.bool('all'));
  const format = flags.string('format');
  if (cards.length === 0 && format === undefined) {
    context.stdout.write(
      flags.bool('all') ? 'this host has no PCI cards\n' : 'this host has no GPU; its other cards: hypr gpu list --all\n',
    );
    return 0;
  }
  context.stdout.write(formatListing({ columns: COLUMNS, headers: {}, rows: cards.map(rowOf), json: 'lines' }, format));
  const fixes = format === undefined ? cards.filter(({ fix }) => fix.length > 0) : [];
  for (const { address, fix } of fixes) {
    context.stderr.write(`\nto use ${address}:\n${fix.map((line) => `  ${line}\n`).join('')}`);
  }
  return 0;
};

const rowOf = ({ address, group, kind, id, driver, use, reason, fix }: CardSummary): Record<string, string> => ({
  Address: address,
  Group: group ?? '-',
  Kind: kind,
  Id: id,
  Driver: driver ?? '-',
  Use: USE[use](reason),
  Fix: fix.join('\n'),
});

const USE: Readonly<Record<CardSummary['use'], (reason: string) => string>> = {
  ready: () => 'yes',
  bind: () => 'yes: taken from its driver while a machine has it',
  no: (reason) => `no: ${reason}`,
};
