import { sanitiseName } from '../../../base/sanitise.ts';
import type { ReplicaStatus } from '../../../engine/model/events.ts';
import { shortName } from '../../format/logs.ts';
import { humanSize } from '../../format/units.ts';
import { cut, shorten, spread, widthOf } from '../../render/width.ts';
import { countMatches, countNewer } from '../logs/log-view.ts';
import type { Look } from '../screen/look.ts';
import { type DashboardModel, FLOOD } from '../state/model.ts';
import { drawList, isInTrouble, secondLine, signIn, stateText, usageText } from './draw-list.ts';
import { drawLogs } from './draw-logs.ts';
import { drawPage } from './draw-pages.ts';
import { footerText } from './footer.ts';

const NARROW = 100;
export const LEAST = { columns: 40, rows: 8 } as const;

/**
 * The whole screen as exactly rows−1 lines: at full height Ink 6 would clear the scrollback with every frame.
 * From 100 columns on list and logs are side by side, below that the list is a row of tabs.
 */
export const drawScreen = (model: DashboardModel, look: Look): string[] => {
  const height = Math.max(1, look.rows - 1);
  if (look.columns < LEAST.columns || look.rows < LEAST.rows) {
    return fill(drawTooSmall(model, look), height).map((line) => cut(line, look.columns));
  }
  const body = height - 2;
  const content = drawPage(model, look, body) ?? (look.columns < NARROW ? drawTabs(model, look, body) : drawColumns(model, look, body));
  return [drawTitle(model, look), ...fill(content, body), footerText(model, look)].map((line) => shorten(line, look.columns, look.unicode));
};

/** Rows of the log pane, for paging. */
export const logRows = (look: Pick<Look, 'columns' | 'rows'>): number => Math.max(1, look.rows - 4 - (look.columns < NARROW ? 2 : 0));

/** What matters most in a window in which nothing can be laid out. */
const drawTooSmall = (model: DashboardModel, look: Look): string[] => {
  const times = look.unicode ? '×' : 'x';
  const { sorted } = model;
  const sick = sorted.filter((replica) => isInTrouble(model, replica)).length;
  return [
    `${sorted.filter(({ state }) => state === 'running').length}/${sorted.length} running${sick > 0 ? `, ${sick} in trouble` : ''}`,
    `too small: ${look.columns}${times}${look.rows}, needs ${LEAST.columns}${times}${LEAST.rows}`,
    'd detach, q quit',
  ];
};

const drawTitle = (model: DashboardModel, look: Look): string => {
  const { sorted } = model;
  const up = sorted.filter((replica) => replica.state === 'running').length;
  const sick = sorted.filter((replica) => isInTrouble(model, replica)).map((replica) => shortName(replica.name, model.stack));
  const left = ` ${look.paint('bold', model.stack)}  ${up}/${sorted.length} running${model.isWatching ? '  watching' : ''}`;
  const counted = sick.length === 0 ? '' : `  ${sick.length} in trouble`;
  const named = sick.length === 0 ? '' : `${counted}: ${sick.join(', ')}`;
  const operation = operationText(model);
  const fits = (text: string): boolean => widthOf(left) + widthOf(text) + 24 <= look.columns;
  const start = `${left}${look.paint('red', fits(named) ? named : counted)}`;
  return spread(start, look.paint('blue', shorten(operation, look.columns - widthOf(start) - 1, look.unicode)), look.columns);
};

/** `[+] up 2/5 Image nginx Pulling 12MB/40MB `: the engine's current operation. */
const operationText = (model: DashboardModel): string => {
  if (model.operation === undefined) {
    return '';
  }
  const all = [...model.progress.values()];
  const done = all.filter((progress) => progress.status !== 'working').length;
  const now = all.findLast((progress) => progress.status === 'working');
  const amount = now?.total ? ` ${humanSize(now.current ?? 0)}/${humanSize(now.total)}` : '';
  const what = now ? ` ${sanitiseName(`${now.id} ${now.text}`)}${amount}` : '';
  return `[+] ${model.operation} ${done}/${all.length}${what} `;
};

const drawColumns = (model: DashboardModel, look: Look, height: number): string[] => {
  const listWidth = Math.min(64, Math.trunc(look.columns * 0.4));
  const logWidth = look.columns - listWidth - 3;
  const list = fill(drawList(model, look, { width: listWidth, height }), height);
  const logs = [logTitle(model, look), ...drawLogs(model, look, { width: logWidth, height: height - 1 })];
  const rule = look.paint('dim', look.unicode ? '│' : '|');
  return list.map((line, index) => `${line}${' '.repeat(Math.max(0, listWidth - widthOf(line)))} ${rule} ${logs[index] ?? ''}`);
};

const drawTabs = (model: DashboardModel, look: Look, height: number): string[] => {
  const { current, sorted } = model;
  const tabs = sorted.map((replica) => {
    const sign = signIn(model, replica);
    const name = shortName(replica.name, model.stack);
    const shown = replica.name === current?.name ? look.paint('bold', `[${name}]`) : ` ${name} `;
    return `${model.ui.chosen.has(replica.name) ? '+' : ' '}${look.paint(sign.colour, look.unicode ? sign.symbol : sign.ascii)}${shown}`;
  });
  const shown = scrollTabs(
    tabs,
    sorted.findIndex((replica) => replica.name === current?.name),
    look.columns,
  );
  const logs = drawLogs(model, look, { width: look.columns, height: height - 4 });
  return [shown, ...factsOf(model, current, look), logTitle(model, look), ...logs];
};

/** State and use of the tab that is open, and its reason or addresses. */
const factsOf = (model: DashboardModel, current: ReplicaStatus | undefined, look: Look): [string, string] =>
  current === undefined
    ? ['', '']
    : [
        spread(` ${stateText(model, current, look)}`, usageText(model, current.name, look), look.columns, look.unicode),
        ` ${secondLine(model, current, look)}`,
      ];

/** Tabs from the left, or from the first one with which the selected tab is visible. */
const scrollTabs = (tabs: readonly string[], cursor: number, width: number): string => {
  let first = 0;
  while (first < cursor && widthOf(tabs.slice(first, cursor + 1).join('')) > width - 2) {
    first += 1;
  }
  return tabs.slice(first).join('');
};

const logTitle = (model: DashboardModel, look: Look): string => {
  const { chosen, showAll, filter, anchor, focus } = model.ui;
  const names = [...chosen].map((name) => shortName(name, model.stack)).sort();
  const what =
    names.length > 0 ? names.join(' + ') : showAll || !model.current ? 'all services' : shortName(model.current.name, model.stack);
  const newer = anchor === undefined ? 0 : countNewer(model.logs, model.view);
  const arrow = look.unicode ? '↓' : 'v';
  const parts = [
    focus === 'logs' ? look.paint('bold', `logs of ${what}`) : `logs of ${what}`,
    filter ? `${filter.inverse ? 'without' : 'with'} "${filter.text}"` : '',
    searchText(model),
    anchor === undefined ? '' : look.paint('yellow', `paused${newer > 0 ? `, ${arrow} ${newer}${newer >= 9999 ? '+' : ''} new` : ''}`),
    model.rate > FLOOD ? look.paint('yellow', `${look.unicode ? '⚡' : '!'} ${(model.rate / 1000).toFixed(1)}k/s`) : '',
  ];
  return parts.filter(Boolean).join('  ');
};

/** `/needle 3/17`: which match the view stands on, counted from the newest; `+` where older lines are not loaded. */
const searchText = (model: DashboardModel): string => {
  const { search } = model.ui;
  if (search === '') {
    return '';
  }
  const { at, total, more } = countMatches(model.logs, model.view, search);
  return `/${search} ${at > 0 ? `${at}/` : ''}${total}${more ? '+' : ''}${at === 0 ? ` match${total === 1 ? '' : 'es'}` : ''}`;
};

const fill = (lines: readonly string[], height: number): string[] => Array.from({ length: height }, (_, index) => lines[index] ?? '');
