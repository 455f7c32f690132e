import sliceAnsi from 'slice-ansi';
import { sanitiseLog, sanitiseName } from '../../../base/sanitise.ts';
import type { Colour } from '../../core/style.ts';
import { shortName } from '../../format/logs.ts';
import { clockTime, rfc3339Nano } from '../../format/time.ts';
import { cut, shorten, widthOf } from '../../render/width.ts';
import type { LogEntry } from '../logs/log-entry.ts';
import { type Level, levelOf, readable } from '../logs/log-look.ts';
import { contains, readPage } from '../logs/log-view.ts';
import type { Look } from '../screen/look.ts';
import type { DashboardModel } from '../state/model.ts';

interface Pane {
  readonly width: number;
  readonly height: number;
}

const PREFIX_COLOURS = ['cyan', 'yellow', 'green', 'blue', 'bold'] as const;
const LEVEL_COLOURS: Readonly<Partial<Record<Level, Colour>>> = { error: 'red', warn: 'yellow', debug: 'dim' };

/** The lowest lines of the view as rows of the pane. Only these are sanitised and measured. */
export const drawLogs = (model: DashboardModel, look: Look, pane: Pane): string[] => {
  const entries = readPage(model.logs, model.view, pane.height);
  const names = model.sorted.map((replica) => replica.name);
  const rows = entries.flatMap((entry) => drawEntry(model, entry, { look, pane, names }));
  return rows.slice(-pane.height);
};

interface At {
  readonly look: Look;
  readonly pane: Pane;
  readonly names: readonly string[];
  /** What was searched for is not marked: that would be read out. */
  readonly isSpoken?: true;
}

export const drawEntry = (model: DashboardModel, entry: LogEntry, at: At): string[] => {
  const { look, pane } = at;
  if (entry.kind === 'mark' || entry.kind === 'gap') {
    const line = look.unicode ? '─' : '-';
    const word = entry.kind === 'gap' ? entry.line : clockTime(entry.time);
    return [look.paint('blue', cut(`${line.repeat(4)} ${word} ${line.repeat(pane.width)}`, pane.width))];
  }
  const prefix = drawPrefix(model, entry, at);
  const room = Math.max(8, pane.width - widthOf(prefix));
  const shown = drawText(model, entry, at);
  if (!model.ui.wrap) {
    return [prefix + shorten(shown, room, look.unicode)];
  }
  const chunks: string[] = [];
  const width = widthOf(shown);
  for (let start = 0; (start === 0 || start < width) && chunks.length < pane.height; start += room) {
    chunks.push((start === 0 ? prefix : ' '.repeat(widthOf(prefix))) + (width <= room ? shown : sliceAnsi(shown, start, start + room)));
  }
  return chunks;
};

/** The text in its colours: those of its program, else those of its level. */
const drawText = (model: DashboardModel, entry: LogEntry, { look, isSpoken }: At): string => {
  const { search, anchor, pretty } = model.ui;
  if (entry.kind === 'event') {
    const text = sanitiseName(entry.line);
    return look.paint(text.startsWith('exited with code 0') ? 'dim' : 'red', text);
  }
  if (entry.kind === 'warning') {
    return look.paint('yellow', sanitiseName(entry.line));
  }
  const line = pretty ? (readable(entry.line) ?? entry.line) : entry.line;
  const text = expandTabs(sanitiseLog(line, { color: look.color }));
  if (search !== '' && isSpoken === undefined && contains(entry.line, search)) {
    return highlight(text, search, { look, isCurrent: entry.seq === anchor });
  }
  const level = levelIn(entry);
  const colour = level === undefined ? undefined : LEVEL_COLOURS[level];
  return colour === undefined || text.includes('\u001b') ? text : look.paint(colour, text);
};

/** Of the output of a build only what failed is in the foreground; its steps are as they are. */
const levelIn = ({ kind, line }: LogEntry): Level | undefined => {
  if (kind !== 'build') {
    return levelOf(line);
  }
  return line.startsWith('=> ERROR ') ? 'error' : line.startsWith('=> ') ? undefined : 'debug';
};

/** Names are shown only if the view contains lines of several replicas; what was written to stderr has a bar of another colour. */
const drawPrefix = (model: DashboardModel, entry: LogEntry, { look, names }: At): string => {
  const time = model.ui.timestamps ? `${look.paint('dim', rfc3339Nano(entry.time).slice(11, 23))} ` : '';
  if (model.view.replicas?.size === 1) {
    return time;
  }
  const width = Math.min(16, Math.max(...names.map((name) => shortName(name, model.stack).length), 0));
  const name = shorten(shortName(entry.replica, model.stack), 16, look.unicode).padEnd(width);
  const colour = PREFIX_COLOURS[Math.max(0, names.indexOf(entry.replica)) % PREFIX_COLOURS.length] ?? 'cyan';
  return `${look.paint(colour, name)} ${look.paint(entry.kind === 'stderr' ? 'red' : colour, '|')} ${time}`;
};

/** Shows found text in reverse video, that of the line that the search stands on in another colour; the line's own are removed, so that they cannot hide it. */
const highlight = (text: string, search: string, { look, isCurrent }: { look: Look; isCurrent: boolean }): string => {
  const plain = sanitiseLog(text, { color: false });
  const haystack = /\p{Lu}/u.test(search) ? plain : plain.toLowerCase();
  const [on, off] = look.color
    ? isCurrent
      ? ['\u001b[30;43m', '\u001b[39;49m']
      : ['\u001b[7m', '\u001b[27m']
    : isCurrent
      ? ['>[', ']<']
      : ['[', ']'];
  let result = '';
  let from = 0;
  for (let at = haystack.indexOf(search); at !== -1; at = haystack.indexOf(search, from)) {
    result += `${plain.slice(from, at)}${on}${plain.slice(at, at + search.length)}${off}`;
    from = at + search.length;
  }
  return result + plain.slice(from);
};

const expandTabs = (text: string): string => (text.includes('\t') ? text.replaceAll('\t', '    ') : text);
