import { sanitiseName } from '../../base/sanitise.ts';
import { shorten, widthOf } from '../render/width.ts';
import { type Look, signIn } from './draw-list.ts';
import { drawGraph } from './graph.ts';
import { KEYS } from './state/keys.ts';
import type { DashboardModel } from './state/model.ts';
import { matchingEntries } from './state/palette.ts';

/** A page over the screen: the keys, all actions, the graph of services, or why one is as it is. Undefined: none is open. */
export const drawPage = (model: DashboardModel, look: Look, height: number): string[] | undefined => {
  switch (model.ui.mode) {
    case 'help':
      return drawHelp(look, height);
    case 'palette':
      return drawPalette(model, look, height);
    case 'graph':
      return drawGraph(model.plan, {
        label: (service) => labelOf(model, look, service),
        startMs: (service) => startMs(model, service),
        unicode: look.unicode,
      }).map((line) => shorten(line, look.columns, look.unicode));
    case 'why':
      return model.ui.page.map((line) => ` ${line}`);
    default:
      return undefined;
  }
};

/** The table of keys; in two columns when there is no room for one. */
const drawHelp = (look: Look, height: number): string[] => {
  const lines = (['Services', 'Logs', 'Stack'] as const).flatMap((group) => [
    look.paint('bold', ` ${group}`),
    ...KEYS.filter((key) => key.group === group).map((key) => `   ${key.label.padEnd(7)} ${key.text}`),
  ]);
  if (lines.length <= height) {
    return lines;
  }
  const half = Math.ceil(lines.length / 2);
  const width = Math.trunc(look.columns / 2);
  return lines.slice(0, half).map((line, index) => {
    const left = shorten(line, width - 1, look.unicode);
    return `${left}${' '.repeat(width - widthOf(left))}${lines[half + index] ?? ''}`;
  });
};

const drawPalette = (model: DashboardModel, look: Look, height: number): string[] => {
  const entries = matchingEntries(model.ui.input);
  const first = Math.max(0, model.ui.chosenEntry - height + 1);
  const cursor = look.unicode ? '›' : '>';
  return entries.slice(first, first + height).map((entry, index) => {
    const isChosen = first + index === model.ui.chosenEntry;
    const text = `${isChosen ? cursor : ' '} ${entry.action.padEnd(12)} ${entry.label.padEnd(7)} ${entry.text}`;
    return isChosen ? look.paint('bold', text) : text;
  });
};

const labelOf = (model: DashboardModel, look: Look, service: string): string => {
  const mine = model.sorted.filter((replica) => replica.service === service);
  const signs = mine.map((replica) => {
    const sign = signIn(model, replica);
    return look.paint(sign.colour, look.unicode ? sign.symbol : sign.ascii);
  });
  return `${signs.join('')} ${sanitiseName(service)}`;
};

/** Parts of a start that come after the boot. */
const AFTER_BOOT: ReadonlySet<string> = new Set(['start the workload', 'healthy']);

/** How long the service took to be ready: its start, and its health check. */
const startMs = (model: DashboardModel, service: string): number | undefined => {
  const times = model.sorted
    .filter((replica) => replica.service === service && replica.bootMs !== undefined)
    .map(
      ({ startSpans = [], bootMs = 0 }) =>
        bootMs + startSpans.filter(({ name }) => AFTER_BOOT.has(name)).reduce((sum, { ms }) => sum + ms, 0),
    );
  return times.length === 0 ? undefined : Math.max(...times);
};
