import sliceAnsi from 'slice-ansi';
import { sanitiseLog } from '../../base/sanitise.ts';
import { shortName } from '../format/logs.ts';
import { clockTime, rfc3339Nano } from '../format/time.ts';
import { cut, widthOf } from '../render/width.ts';
import type { Look } from './draw-list.ts';
import type { LogEntry } from './log-buffer.ts';
import { contains, readPage } from './log-view.ts';
import type { DashboardModel } from './model.ts';

interface Pane {
  readonly width: number;
  readonly height: number;
}

const PREFIX_COLOURS = ['cyan', 'yellow', 'green', 'blue', 'bold'] as const;

/** The lowest lines of the view as rows of the pane. Only these are sanitised and measured. */
export const drawLogs = (model: DashboardModel, look: Look, pane: Pane): string[] => {
  const entries = readPage(model.logs, model.view, pane.height);
  const rows = entries.flatMap((entry) => drawEntry(model, entry, look, pane));
  return rows.slice(-pane.height);
};

const drawEntry = (model: DashboardModel, entry: LogEntry, look: Look, pane: Pane): string[] => {
  if (entry.replica === '') {
    const line = look.unicode ? '─' : '-';
    return [look.paint('blue', cut(`${line.repeat(4)} ${clockTime(entry.time)} ${line.repeat(pane.width)}`, pane.width))];
  }
  const prefix = drawPrefix(model, entry, look);
  const room = Math.max(8, pane.width - widthOf(prefix));
  const text = expandTabs(sanitiseLog(entry.line, { color: look.color }));
  const shown = model.ui.search !== '' && contains(entry.line, model.ui.search) ? highlight(text, model.ui.search, look) : text;
  if (!model.ui.wrap) {
    return [prefix + cut(shown, room)];
  }
  const chunks: string[] = [];
  const width = widthOf(shown);
  for (let start = 0; (start === 0 || start < width) && chunks.length < pane.height; start += room) {
    chunks.push((start === 0 ? prefix : ' '.repeat(widthOf(prefix))) + (width <= room ? shown : sliceAnsi(shown, start, start + room)));
  }
  return chunks;
};

/** Names are shown only if the view contains lines of several replicas. */
const drawPrefix = (model: DashboardModel, entry: LogEntry, look: Look): string => {
  const time = model.ui.timestamps ? `${look.paint('dim', rfc3339Nano(entry.time).slice(11, 23))} ` : '';
  if (model.view.replicas?.size === 1) {
    return time;
  }
  const names = model.sorted.map((replica) => replica.name);
  const width = Math.min(16, Math.max(...names.map((name) => shortName(name, model.stack).length), 0));
  const name = cut(shortName(entry.replica, model.stack), 16).padEnd(width);
  const colour = PREFIX_COLOURS[Math.max(0, names.indexOf(entry.replica)) % PREFIX_COLOURS.length] ?? 'cyan';
  return `${look.paint(colour, `${name} |`)} ${time}`;
};

/** Shows found text in reverse video; colours of the line are removed, so that they cannot hide it. */
const highlight = (text: string, search: string, look: Look): string => {
  const plain = sanitiseLog(text, { color: false });
  const haystack = /\p{Lu}/u.test(search) ? plain : plain.toLowerCase();
  let result = '';
  let from = 0;
  for (let at = haystack.indexOf(search); at !== -1; at = haystack.indexOf(search, from)) {
    const found = plain.slice(at, at + search.length);
    result += plain.slice(from, at) + (look.color ? `\u001b[7m${found}\u001b[27m` : `[${found}]`);
    from = at + search.length;
  }
  return result + plain.slice(from);
};

const expandTabs = (text: string): string => (text.includes('\t') ? text.replaceAll('\t', '    ') : text);
