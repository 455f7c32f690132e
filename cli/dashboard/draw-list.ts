import { sanitiseName } from '../../base/sanitise.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import type { Colour, Paint } from '../core/style.ts';
import { shortName } from '../format/logs.ts';
import { refusedPlace } from '../format/refusal.ts';
import { replicaLinks } from '../format/summary.ts';
import { binarySize, shortDuration } from '../format/units.ts';
import { cut, spread, widthOf } from '../render/width.ts';
import type { DashboardModel } from './model.ts';

export interface Look {
  readonly paint: Paint;
  /** Keep the colours of log lines. */
  readonly color: boolean;
  readonly unicode: boolean;
  readonly columns: number;
  readonly rows: number;
}

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
      return replica.health === 'unhealthy' ? SIGNS.sick : replica.health === 'starting' ? SIGNS.coming : SIGNS.good;
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

/** `healthy 2m`, `exit 137 ×3`, `restarting ×2`. */
export const stateText = (replica: ReplicaStatus, look: Pick<Look, 'unicode'>, now: number): string => {
  const times = replica.restarts > 0 ? ` ${look.unicode ? '×' : 'x'}${replica.restarts}` : '';
  const age = replica.startedAt === undefined ? '' : ` ${shortDuration(now - replica.startedAt)}`;
  if (replica.state === 'running') {
    const word = replica.health === 'none' ? 'up' : replica.health === 'starting' ? 'checking' : replica.health;
    return `${word}${age}${times}`;
  }
  return `${replica.state === 'exited' ? `exit ${replica.exitCode}` : replica.state}${times}`;
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

/** The list of replicas, two lines each while there is room: state and use, then addresses or the reason. */
export const drawList = (model: DashboardModel, look: Look, size: { readonly width: number; readonly height: number }): string[] => {
  const { sorted } = model;
  const roomy = sorted.length * 2 <= size.height;
  const lines: string[] = [];
  let cursorAt = 0;
  for (const replica of sorted) {
    const selected = replica.name === model.current?.name;
    if (selected) {
      cursorAt = lines.length;
    }
    lines.push(drawReplica(model, replica, { look, width: size.width, selected }));
    if (roomy || selected) {
      lines.push(cut(`    ${secondLine(model, replica, look)}`, size.width));
    }
  }
  const start = Math.max(0, Math.min(cursorAt - Math.trunc(size.height / 2), lines.length - size.height));
  return lines.slice(start, start + size.height);
};

const drawReplica = (model: DashboardModel, replica: ReplicaStatus, at: { look: Look; width: number; selected: boolean }): string => {
  const { look, width } = at;
  const sign = signOf(replica);
  const chosen = model.ui.chosen.has(replica.name) ? '+' : ' ';
  const cursor = at.selected ? (look.unicode ? '›' : '>') : ' ';
  const name = shortName(replica.name, model.stack);
  const longest = Math.max(...model.sorted.map((each) => widthOf(shortName(each.name, model.stack))), 0);
  const nameWidth = Math.min(16, longest, Math.max(8, width - 30));
  const shown = cut(name, nameWidth);
  const padded = shown + ' '.repeat(Math.max(0, nameWidth - widthOf(shown)));
  const symbol = look.paint(sign.colour, look.unicode ? sign.symbol : sign.ascii);
  const left = `${cursor}${chosen}${symbol} ${at.selected ? look.paint('bold', padded) : padded} ${stateText(replica, look, model.now())}`;
  const usage = usageText(model, replica.name, look);
  const fits = widthOf(left) + widthOf(usage) < width;
  return spread(left, fits ? usage : usageText(model, replica.name, { unicode: false }), width);
};

/** The reason of a failure, or the last connection that was refused, and the addresses of the replica. */
const secondLine = (model: DashboardModel, replica: ReplicaStatus, look: Look): string => {
  const links = replicaLinks(replica, model.urls.get(replica.service));
  const well = replica.state === 'running' && replica.health !== 'unhealthy';
  if (replica.reason !== undefined && !well) {
    return look.paint('red', sanitiseName(replica.reason));
  }
  const refusal = model.refusals.get(replica.name);
  const refused = refusal === undefined ? [] : [look.paint('yellow', `${refusal.total} refused: ${sanitiseName(refusedPlace(refusal))}`)];
  return [...refused, ...links.map((link) => hyperlink(look.paint('cyan', link), link))].join('  ');
};

/** OSC 8; terminals without it show the text, which is the address itself. */
const hyperlink = (text: string, url: string): string =>
  url.startsWith('http') ? `\u001b]8;;${url}\u001b\\${text}\u001b]8;;\u001b\\` : text;
