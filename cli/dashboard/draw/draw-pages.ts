import { sanitiseName } from '../../../base/sanitise.ts';
import { cut, shorten, widthOf } from '../../render/width.ts';
import type { Look } from '../screen/look.ts';
import type { DashboardModel } from '../state/model.ts';
import { matchingEntries } from '../state/palette.ts';
import { signIn } from './draw-list.ts';
import { drawGraph } from './graph.ts';

/** A page over the screen: the keys, all actions, the graph of services, or why one is as it is. Undefined: none is open. */
export const drawPage = (model: DashboardModel, look: Look, height: number): string[] | undefined => {
  if (model.ui.mode === 'palette') {
    return drawPalette(model, look, height);
  }
  const rows = pageRows(model, look, height);
  if (rows === undefined) {
    return undefined;
  }
  const top = Math.min(model.ui.pageTop, Math.max(0, rows.length - height));
  const shown = rows.slice(top, top + height);
  const below = rows.length - top - height;
  const keys = `${model.keys.labelOf('down')} or ${model.keys.labelOf('pageDown')}`;
  return below <= 0 ? shown : [...shown.slice(0, -1), look.paint('dim', ` ${below + 1} more lines: ${keys}`)];
};

/** The highest first line of a page, at which its last line is on the screen. */
export const lastPageTop = (model: DashboardModel, look: Look, height: number): number =>
  Math.max(0, (pageRows(model, look, height) ?? []).length - height);

/** All rows of the page that is open and may be longer than the screen. */
const pageRows = (model: DashboardModel, look: Look, height: number): string[] | undefined => {
  switch (model.ui.mode) {
    case 'help':
      return helpRows(model, look, height);
    case 'graph':
      return drawGraph(model.plan, {
        label: (service) => labelOf(model, look, service),
        startMs: (service) => startMs(model, service),
        unicode: look.unicode,
      }).map((line) => shorten(line, look.columns, look.unicode));
    case 'why':
      // Long lines go on below, because the reason of a failure is often at their end.
      return model.ui.page.flatMap((line) => wrapText(line, Math.max(1, look.columns - 2)).map((row) => ` ${row}`));
    default:
      return undefined;
  }
};

/** Rows of at most `width` columns, cut between words where there are some. */
const wrapText = (text: string, width: number): string[] => {
  const rows: string[] = [];
  for (let rest = text; rest !== '' || rows.length === 0; ) {
    const most = cut(rest, width) || rest;
    // The blanks that a line begins with are no place to cut it.
    const blank = most.length < rest.length ? most.trimEnd().lastIndexOf(' ') : -1;
    const row = blank > most.length / 2 ? most.slice(0, blank + 1) : most;
    rows.push(row.trimEnd());
    rest = rest.slice(row.length);
  }
  return rows;
};

/** Columns of a key and the blanks before it. */
const KEY_WIDTH = 11;

/** The table of keys; in two columns where one is too long for the screen and nothing has to be cut for it. What is too long goes on below. */
const helpRows = (model: DashboardModel, look: Look, height: number): string[] => {
  const lines = (['Services', 'Logs', 'Stack'] as const).flatMap((group) => [
    look.paint('bold', ` ${group}`),
    ...model.keys.bindings
      .filter((key) => key.group === group)
      .flatMap((key) => {
        const [first, ...more] = wrapText(key.text, Math.max(1, look.columns - KEY_WIDTH));
        return [`   ${key.label.padEnd(7)} ${first}`, ...more.map((row) => `${' '.repeat(KEY_WIDTH)}${row}`)];
      }),
  ]);
  const half = Math.ceil(lines.length / 2);
  const width = Math.trunc(look.columns / 2);
  if (lines.length <= height || lines.some((line) => widthOf(line) >= width)) {
    return lines;
  }
  return lines.slice(0, half).map((line, index) => `${line}${' '.repeat(width - widthOf(line))}${lines[half + index] ?? ''}`);
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
