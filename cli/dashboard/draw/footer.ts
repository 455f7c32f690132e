import { sanitiseName } from '../../../base/sanitise.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import { shorten, spread, widthOf } from '../../render/width.ts';
import type { Look } from '../screen/look.ts';
import type { DashboardModel } from '../state/model.ts';

/** For how long the steps of a start are told. */
const FRESH_MS = 15_000;
const SHOWN_SPAN_MS = 10;

/** The last row: what is being typed or asked, what was done last, or the keys and how long the start of the replica took. */
export const footerText = (model: DashboardModel, look: Look): string => {
  const { mode, input, message } = model.ui;
  const cursor = look.unicode ? '▏' : '_';
  switch (mode) {
    case 'search':
      return `/${input}${cursor}`;
    case 'filter':
      return `&${input}${cursor}${input === '' ? look.paint('dim', '  lines with this text; ! first: lines without it') : ''}`;
    case 'scale':
      return `how many replicas of ${model.current?.service ?? ''}: ${input}${cursor}`;
    case 'palette':
      return `:${input}${cursor}`;
    case 'quit':
      return look.paint('yellow', ` Stop the stack?  s stop ${dotOf(look)} d leave it running ${dotOf(look)} Esc stay`);
    case 'help':
    case 'graph':
    case 'why':
      return look.paint(
        'dim',
        ` ${model.keys.labelOf('back')} back ${dotOf(look)} ${model.keys.labelOf('down')} ${model.keys.labelOf('up')} move`,
      );
    default:
      return message === '' ? keysText(model, look) : shorten(` ${sanitiseName(message)}`, look.columns, look.unicode);
  }
};

const dotOf = (look: Pick<Look, 'unicode'>): string => (look.unicode ? '·' : '-');

const keysText = (model: DashboardModel, look: Look): string => {
  const { keys } = model;
  const dot = ` ${dotOf(look)} `;
  const words = [
    `${keys.labelOf('help')} help`,
    `${keys.labelOf('palette')} all actions`,
    `${keys.labelOf('search')} search`,
    `${keys.labelOf('why')} why`,
    `${keys.labelOf('restart')} restart`,
    `${keys.labelOf('shell')} shell`,
    `${keys.labelOf('detach')} detach`,
    `${keys.labelOf('quit')} quit`,
  ];
  const text = fitWords(words, { dot, columns: look.columns, last: 2 });
  const boot = startText(model, model.current, { dot, width: look.columns - widthOf(text) - 2 });
  return spread(` ${look.paint('dim', text)}`, look.paint('dim', boot), look.columns);
};

/** Keys in a row. What does not fit is left out word by word; the first one and the `last` ones, which are the ways out, stay. */
export const fitWords = (
  all: readonly string[],
  { dot, columns, last }: { readonly dot: string; readonly columns: number; readonly last: number },
): string => {
  const words = [...all];
  while (words.length > last + 1 && widthOf(words.join(dot)) + 1 > columns) {
    words.splice(words.length - last - 1, 1);
  }
  return words.join(dot);
};

/** How long the start of a replica took, and as many of its longest parts as fit; empty when it was long ago. */
const startText = (model: DashboardModel, replica: ReplicaStatus | undefined, room: { dot: string; width: number }): string => {
  if (replica?.bootMs === undefined || replica.state !== 'running' || model.now() - (replica.startedAt ?? 0) > FRESH_MS) {
    return '';
  }
  const parts = (replica.startSpans ?? []).filter(({ ms }) => ms >= SHOWN_SPAN_MS);
  const bySize = parts.toSorted((a, b) => b.ms - a.ms);
  for (let count = parts.length; count >= 0; count--) {
    const shown = parts.filter((part) => bySize.indexOf(part) < count);
    const text = shown.map(({ name, ms }) => `${name.split(':', 1)[0]} ${inSeconds(ms)}`).join(room.dot);
    const whole = `booted in ${inSeconds(replica.bootMs)}s${text === '' ? '' : `: ${text}`} `;
    if (widthOf(whole) < room.width) {
      return whole;
    }
  }
  return '';
};

export const inSeconds = (ms: number): string => (ms / 1000).toFixed(2);
