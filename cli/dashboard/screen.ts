import { sanitiseName } from '../../base/sanitise.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import { shortName } from '../format/logs.ts';
import { humanSize } from '../format/units.ts';
import { cut, spread, widthOf } from '../render/width.ts';
import { drawList, type Look, signOf, stateText, usageText } from './draw-list.ts';
import { drawLogs } from './draw-logs.ts';
import { KEYS } from './keys.ts';
import { countNewer } from './log-view.ts';
import { type DashboardModel, FLOOD } from './model.ts';

const NARROW = 100;

/**
 * The whole screen as exactly rows−1 lines: at full height Ink 6 would clear the scrollback with every frame.
 * From 100 columns on list and logs are side by side, below that the list is a row of tabs.
 */
export const drawScreen = (model: DashboardModel, look: Look): string[] => {
  const height = Math.max(3, look.rows - 1);
  const body = height - 2;
  const content =
    model.ui.mode === 'help' ? drawHelp(look, body) : look.columns < NARROW ? drawTabs(model, look, body) : drawColumns(model, look, body);
  return [drawTitle(model, look), ...fill(content, body), drawStatus(model, look)].map((line) => cut(line, look.columns));
};

/** Rows of the log pane, for paging. */
export const logRows = (look: Pick<Look, 'columns' | 'rows'>): number => Math.max(1, look.rows - 4 - (look.columns < NARROW ? 1 : 0));

const drawTitle = (model: DashboardModel, look: Look): string => {
  const { sorted } = model;
  const up = sorted.filter((replica) => replica.state === 'running').length;
  const sick = sorted.filter((replica) => signOf(replica).colour === 'red').length;
  const trouble = sick > 0 ? look.paint('red', `  ${sick} in trouble`) : '';
  const left = ` ${look.paint('bold', model.stack)}  ${up}/${sorted.length} running${trouble}`;
  return spread(left, operationText(model, look), look.columns);
};

/** `[+] up 2/5 Image nginx Pulling 12MB/40MB `: the engine's current operation. */
const operationText = (model: DashboardModel, look: Look): string => {
  if (model.operation === undefined) {
    return '';
  }
  const all = [...model.progress.values()];
  const done = all.filter((progress) => progress.status !== 'working').length;
  const now = all.findLast((progress) => progress.status === 'working');
  const amount = now?.total ? ` ${humanSize(now.current ?? 0)}/${humanSize(now.total)}` : '';
  const what = now ? ` ${sanitiseName(`${now.id} ${now.text}`)}${amount}` : '';
  return look.paint('blue', cut(`[+] ${model.operation} ${done}/${all.length}${what} `, Math.trunc(look.columns * 0.6)));
};

const drawColumns = (model: DashboardModel, look: Look, height: number): string[] => {
  const listWidth = Math.min(56, Math.trunc(look.columns * 0.4));
  const logWidth = look.columns - listWidth - 3;
  const list = fill(drawList(model, look, { width: listWidth, height }), height);
  const logs = [logTitle(model, look), ...drawLogs(model, look, { width: logWidth, height: height - 1 })];
  const rule = look.paint('dim', look.unicode ? '│' : '|');
  return list.map((line, index) => `${line}${' '.repeat(Math.max(0, listWidth - widthOf(line)))} ${rule} ${logs[index] ?? ''}`);
};

const drawTabs = (model: DashboardModel, look: Look, height: number): string[] => {
  const tabs = model.sorted.map((replica) => {
    const sign = signOf(replica);
    const name = shortName(replica.name, model.stack);
    const shown = replica.name === model.current?.name ? look.paint('bold', `[${name}]`) : ` ${name} `;
    return `${model.ui.chosen.has(replica.name) ? '+' : ' '}${look.paint(sign.colour, look.unicode ? sign.symbol : sign.ascii)}${shown}`;
  });
  const { current } = model;
  const facts = current
    ? spread(
        ` ${stateText(current, look, model.now())} ${current.reason ? sanitiseName(current.reason) : ''}`,
        usageText(model, current.name, look),
        look.columns,
      )
    : '';
  const shown = scrollTabs(
    tabs,
    model.sorted.findIndex((replica) => replica.name === model.current?.name),
    look.columns,
  );
  return [shown, facts, logTitle(model, look), ...drawLogs(model, look, { width: look.columns, height: height - 3 })];
};

/** Tabs from the left, or from the first one with which the selected tab is visible. */
const scrollTabs = (tabs: readonly string[], cursor: number, width: number): string => {
  let first = 0;
  while (first < cursor && widthOf(tabs.slice(first, cursor + 1).join('')) > width - 2) {
    first += 1;
  }
  return tabs.slice(first).join('');
};

const logTitle = (model: DashboardModel, look: Look): string => {
  const { chosen, showAll, filter, anchor, search, focus } = model.ui;
  const names = [...chosen].map((name) => shortName(name, model.stack)).sort();
  const what =
    names.length > 0 ? names.join(' + ') : showAll || !model.current ? 'all services' : shortName(model.current.name, model.stack);
  const newer = anchor === undefined ? 0 : countNewer(model.logs, model.view);
  const parts = [
    focus === 'logs' ? look.paint('bold', `logs of ${what}`) : `logs of ${what}`,
    filter ? `${filter.inverse ? 'without' : 'with'} "${filter.text}"` : '',
    search ? `/${search}` : '',
    anchor === undefined
      ? ''
      : look.paint('yellow', `standing still${newer > 0 ? `, ${look.unicode ? '↓' : 'v'} ${newer}${newer >= 9999 ? '+' : ''} new` : ''}`),
    model.rate > FLOOD ? look.paint('yellow', `${look.unicode ? '⚡' : '!'} ${(model.rate / 1000).toFixed(1)}k/s`) : '',
  ];
  return parts.filter(Boolean).join('  ');
};

const drawStatus = (model: DashboardModel, look: Look): string => {
  const { mode, input, message } = model.ui;
  if (mode === 'search' || mode === 'filter') {
    return `${mode === 'search' ? '/' : '&'}${input}${look.unicode ? '▏' : '_'}`;
  }
  if (mode === 'quit') {
    return look.paint(
      'yellow',
      ' Stop the stack?  s stop it and leave · d leave it running · Esc stay'.replaceAll('·', look.unicode ? '·' : '-'),
    );
  }
  if (message !== '') {
    return ` ${sanitiseName(message)}`;
  }
  const dot = look.unicode ? ' · ' : ' - ';
  const keys = ['? help', '/ search', 'r restart', 's stop', 'd detach', 'q quit'].join(dot);
  const { current } = model;
  const boot = startText(current, { dot, width: look.columns - widthOf(keys) - 2 });
  return spread(` ${look.paint('dim', keys)}`, look.paint('dim', boot), look.columns);
};

/** How long the start of a replica took, and as many of its longest parts as fit. */
const startText = (replica: ReplicaStatus | undefined, room: { dot: string; width: number }): string => {
  if (replica?.bootMs === undefined) {
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

const inSeconds = (ms: number): string => (ms / 1000).toFixed(2);

const SHOWN_SPAN_MS = 10;

/** The table of keys; in two columns when there is room. */
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
    const left = cut(line, width - 1);
    return `${left}${' '.repeat(width - widthOf(left))}${lines[half + index] ?? ''}`;
  });
};

const fill = (lines: readonly string[], height: number): string[] => Array.from({ length: height }, (_, index) => lines[index] ?? '');
