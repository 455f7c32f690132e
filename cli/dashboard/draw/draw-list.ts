import { sanitiseName } from '../../../base/sanitise.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import type { Colour } from '../../core/style.ts';
import { shortName } from '../../format/logs.ts';
import { refusedPlace } from '../../format/refusal.ts';
import { replicaLinks } from '../../format/summary.ts';
import { binarySize, shortDuration } from '../../format/units.ts';
import { shorten, spread, widthOf } from '../../render/width.ts';
import type { Look } from '../screen/look.ts';
import type { DashboardModel } from '../state/model.ts';
import { phaseOf } from '../state/phase.ts';

interface Sign {
  readonly symbol: string;
  readonly ascii: string;
  readonly colour: Colour;
}

const SIGNS = {
  good: { symbol: '●', ascii: '*', colour: 'green' },
  coming: { symbol: '◐', ascii: '~', colour: 'yellow' },
  sick: { symbol: '◍', ascii: '!', colour: 'red' },
  failed: { symbol: '✗', ascii: 'x', colour: 'red' },
  ended: { symbol: '○', ascii: 'o', colour: 'dim' },
  frozen: { symbol: '‖', ascii: '=', colour: 'blue' },
} as const satisfies Record<string, Sign>;

/** One sign for state and health together. */
export const signOf = (replica: ReplicaStatus): Sign => {
  switch (replica.state) {
    case 'running':
      return replica.stall !== undefined || replica.health === 'unhealthy'
        ? SIGNS.sick
        : replica.health === 'starting'
          ? SIGNS.coming
          : SIGNS.good;
    case 'starting':
    case 'stopping':
    case 'restarting':
      return SIGNS.coming;
    case 'paused':
    case 'suspended':
      return SIGNS.frozen;
    case 'exited':
      return replica.exitCode === 0 ? SIGNS.ended : SIGNS.failed;
    case 'dead':
      return SIGNS.failed;
    case 'created':
      return SIGNS.ended;
  }
};

/** The sign of a replica with what its model knows: one that ends again and again is in trouble while it runs, too. */
export const signIn = (model: DashboardModel, replica: ReplicaStatus): Sign => {
  if (model.exits.isLooping(replica, model.now())) {
    return SIGNS.failed;
  }
  const phase = phaseOf(model, replica);
  return phase === undefined ? signOf(replica) : phase.failed ? SIGNS.failed : SIGNS.coming;
};

export const isInTrouble = (model: DashboardModel, replica: ReplicaStatus): boolean => signIn(model, replica).colour === 'red';

/** `healthy 2m`, `exit 137 ×3`, `restarting exit 3 ×2`, `up 2s exit 3 ×8`, `waiting 12s for db: healthy`. */
export const stateText = (model: DashboardModel, replica: ReplicaStatus, look: Pick<Look, 'unicode'>): string => {
  const phase = phaseOf(model, replica);
  if (phase !== undefined) {
    return `${phase.state} ${phase.detail}`.trimEnd();
  }
  const now = model.now();
  const times = replica.restarts > 0 ? ` ${look.unicode ? '×' : 'x'}${replica.restarts}` : '';
  const code = model.exits.codeOf(replica.name) ?? (replica.state === 'restarting' ? replica.exitCode : undefined);
  const last = replica.restarts > 0 && code !== undefined ? ` exit ${code}` : '';
  if (replica.state === 'running') {
    if (replica.stall !== undefined) {
      return replica.stall.kind === 'full' ? 'held: disk full' : `silent ${shortDuration(now - replica.stall.since)}`;
    }
    const word = replica.health === 'none' ? 'up' : replica.health === 'starting' ? 'checking' : replica.health;
    const age = replica.startedAt === undefined ? '' : ` ${shortDuration(now - replica.startedAt)}`;
    return `${word}${age}${last}${times}`;
  }
  if (replica.state === 'exited') {
    return `exit ${replica.exitCode}${times}`;
  }
  return `${replica.state === 'starting' && replica.restarts > 0 ? 'restarting' : replica.state}${last}${times}`;
};

/** ` 12% 84.1MiB`, with the last samples as a small chart where there is room. */
export const usageText = (model: DashboardModel, name: string, look: Pick<Look, 'unicode'>): string => {
  const usage = model.usage.get(name);
  if (usage === undefined) {
    return '';
  }
  const chart = look.unicode ? `${sparkline((model.cpu.get(name) ?? []).slice(-5))} ` : '';
  return `${chart}${Math.round(usage.cpu)}% ${binarySize(usage.memory).replace(/(\.\d)\d*/, '$1')}`;
};

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

export const sparkline = (samples: readonly number[]): string => {
  const top = Math.max(100, ...samples);
  return samples.map((sample) => BARS[Math.min(7, Math.trunc((Math.max(0, sample) * 8) / top))]).join('');
};

/** The list of replicas: state and use, and below it the reason or the addresses, of all where there is room. */
export const drawList = (model: DashboardModel, look: Look, size: { readonly width: number; readonly height: number }): string[] => {
  const { sorted, current } = model;
  const longest = Math.max(...sorted.map((each) => widthOf(shortName(each.name, model.stack))), 0);
  const nameWidth = Math.min(20, longest, Math.max(8, size.width - 30));
  const blocks = sorted.map((replica) => {
    const selected = replica.name === current?.name;
    const second = secondLine(model, replica, look);
    const below = second === '' ? [] : [shorten(`    ${second}`, size.width, look.unicode)];
    return { selected, first: drawReplica(model, replica, { look, width: size.width, nameWidth, selected }), below };
  });
  const roomy = blocks.reduce((count, { below }) => count + 1 + below.length, 0) <= size.height;
  const lines: string[] = [];
  let cursorAt = 0;
  for (const { selected, first, below } of blocks) {
    cursorAt = selected ? lines.length : cursorAt;
    lines.push(first, ...(roomy || selected ? below : []));
  }
  const start = Math.max(0, Math.min(cursorAt - Math.trunc(size.height / 2), lines.length - size.height));
  return lines.slice(start, start + size.height);
};

const drawReplica = (
  model: DashboardModel,
  replica: ReplicaStatus,
  { look, width, nameWidth, selected }: { look: Look; width: number; nameWidth: number; selected: boolean },
): string => {
  const sign = signIn(model, replica);
  const chosen = model.ui.chosen.has(replica.name) ? '+' : ' ';
  const cursor = selected ? (look.unicode ? '›' : '>') : ' ';
  const shown = shorten(shortName(replica.name, model.stack), nameWidth, look.unicode);
  const padded = shown + ' '.repeat(Math.max(0, nameWidth - widthOf(shown)));
  const symbol = look.paint(sign.colour, look.unicode ? sign.symbol : sign.ascii);
  const left = `${cursor}${chosen}${symbol} ${selected ? look.paint('bold', padded) : padded} ${stateText(model, replica, look)}`;
  const usage = usageText(model, replica.name, look);
  const fits = widthOf(left) + widthOf(usage) < width;
  return spread(left, fits ? usage : usageText(model, replica.name, { unicode: false }), width, look.unicode);
};

/** The output of its build, the reason of a failure, or the last connection that was refused, and the addresses of the replica. */
export const secondLine = (model: DashboardModel, replica: ReplicaStatus, look: Look): string => {
  const phase = phaseOf(model, replica);
  if (phase !== undefined) {
    return phase.output === undefined ? '' : look.paint(phase.failed ? 'red' : 'dim', phase.output);
  }
  const links = replicaLinks(replica, model.urls.get(replica.service));
  const well = replica.state === 'running' && replica.health !== 'unhealthy';
  if (replica.reason !== undefined && !well) {
    return look.paint('red', sanitiseName(replica.reason));
  }
  const refusal = model.refusals.get(replica.name);
  const refused = refusal === undefined ? [] : [look.paint('yellow', `${refusal.total} refused: ${sanitiseName(refusedPlace(refusal))}`)];
  const shown = replica.state === 'running' || replica.state === 'paused' ? links : [];
  return [...refused, ...shown.map((link) => hyperlink(look.paint('cyan', link), link))].join('  ');
};

/** OSC 8; terminals without it show the text, which is the address itself. */
const hyperlink = (text: string, url: string): string =>
  url.startsWith('http') ? `\u001b]8;;${url}\u001b\\${text}\u001b]8;;\u001b\\` : text;
