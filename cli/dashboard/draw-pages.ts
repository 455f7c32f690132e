import { sanitiseName } from '../../base/sanitise.ts';
import { cut, shorten, widthOf } from '../render/width.ts';
import { signIn } from './draw-list.ts';
import { drawGraph } from './graph.ts';
import type { Look } from './screen/look.ts';
import type { DashboardModel } from './state/model.ts';
import { matchingEntries } from './state/palette.ts';

/** A page over the screen: the keys, all actions, the graph of services, or why one is as it is. Undefined: none is open. */
export const drawPage = (model: DashboardModel, look: Look, height: number): string[] | undefined => {
  switch (model.ui.mode) {
    case 'help':
      return drawHelp(model, look, height);
    case 'palette':
      return drawPalette(model, look, height);
    case 'graph':
      return drawGraph(model.plan, {
        label: (service) => labelOf(model, look, service),
        startMs: (service) => startMs(model, service),
        unicode: look.unicode,
      }).map((line) => shorten(line, look.columns, look.unicode));
    case 'why':
      return drawWhy(model, look, height);
    default:
      return undefined;
  }
};

/** The part of the page that fits; long lines go on below, because the reason of a failure is often at their end. */
const drawWhy = (model: DashboardModel, look: Look, height: number): string[] => {
  const rows = whyRows(model, look.columns);
  const top = Math.min(model.ui.pageTop, Math.max(0, rows.length - height));
  const shown = rows.slice(top, top + height);
  const below = rows.length - top - height;
  return below <= 0 ? shown : [...shown.slice(0, -1), look.paint('dim', ` ${below + 1} more lines: j or PgDn`)];
};

const whyRows = (model: DashboardModel, columns: number): string[] =>
  model.ui.page.flatMap((line) => wrapText(line, Math.max(1, columns - 2)).map((row) => ` ${row}`));

/** Rows of at most `width` columns. */
const wrapText = (text: string, width: number): string[] => {
  const rows = [cut(text, width)];
  for (let rest = text.slice(rows[0]?.length ?? 0); rest !== ''; ) {
    const row = cut(rest, width) || rest;
    rows.push(row);
    rest = rest.slice(row.length);
  }
  return rows;
};

/** The highest first line of the page `why`, at which its last line is on the screen. */
export const lastWhyTop = (model: DashboardModel, columns: number, height: number): number =>
  Math.max(0, whyRows(model, columns).length - height);

/** The table of keys; in two columns when there is no room for one. */
const drawHelp = (model: DashboardModel, look: Look, height: number): string[] => {
  const lines = (['Services', 'Logs', 'Stack'] as const).flatMap((group) => [
    look.paint('bold', ` ${group}`),
    ...model.keys.bindings.filter((key) => key.group === group).map((key) => `   ${key.label.padEnd(7)} ${key.text}`),
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
  const entries = matchingEntries(model.keys.bindings, model.ui.input);
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
