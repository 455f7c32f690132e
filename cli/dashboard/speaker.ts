import { stripVTControlCharacters } from 'node:util';
import { sanitiseName } from '../../base/sanitise.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import { createPaint } from '../core/style.ts';
import { shortName } from '../format/logs.ts';
import { secondLine, stateText, usageText } from './draw/draw-list.ts';
import { drawEntry } from './draw/draw-logs.ts';
import { drawPage } from './draw/draw-pages.ts';
import { footerText } from './draw/footer.ts';
import { countMatches, readPage } from './logs/log-view.ts';
import type { Look } from './screen/look.ts';
import type { DashboardModel } from './state/model.ts';
import type { UiState } from './state/ui-state.ts';

/** Wide and high enough that nothing is cut: a screen reader folds lines itself. */
const LOOK: Look = { paint: createPaint(false), color: false, unicode: false, columns: 1000, rows: 1000 };
/** Lines of a log that are told at once: nobody listens to more. */
const MOST_LINES = 100;
/** How many lines tell where a view begins. */
const FIRST_LINES = 10;
const PAGES: ReadonlySet<string> = new Set(['help', 'graph', 'why', 'quit']);
const TYPING: ReadonlySet<string> = new Set(['search', 'filter', 'scale', 'palette']);

/**
 * The dashboard in words, for a screen reader: what changed since it was last asked, each once and as a line of its own. Nothing
 * that was told is drawn over, and while something is being typed nothing else is told.
 */
export class Speaker {
  readonly #model: DashboardModel;
  readonly #write: (text: string) => void;
  readonly #states = new Map<string, string>();
  readonly #steps = new Map<string, string>();
  #toldUi: UiState;
  #toldTo: number;
  #warnedTo: number;
  #isWatching = false;

  constructor(model: DashboardModel, write: (text: string) => void) {
    this.#model = model;
    this.#write = write;
    this.#toldUi = model.ui;
    this.#toldTo = model.logs.newest;
    this.#warnedTo = model.logs.newest;
  }

  /** Tells how it is, and which keys there are. */
  begin(): void {
    const { sorted, stack } = this.#model;
    const running = sorted.filter(({ state }) => state === 'running').length;
    this.#say(`${stack}: ${running} of ${sorted.length} running. ${footerText(this.#model, LOOK)}`);
    this.tell();
  }

  /** Tells what is new. */
  tell(): void {
    const before = this.#toldUi;
    const { ui } = this.#model;
    this.#toldUi = ui;
    if (TYPING.has(ui.mode)) {
      this.#tellTyping(before, ui);
      return;
    }
    if (TYPING.has(before.mode)) {
      this.#write('\r\n');
    }
    this.#tellSteps();
    this.#tellStates();
    const warnings = this.#tellWarnings();
    this.#tellChoices(before, ui, warnings);
    this.#tellLogs(before, ui);
  }

  #say(...lines: readonly string[]): void {
    this.#write(lines.map((line) => `${stripVTControlCharacters(line).trim()}\r\n`).join(''));
  }

  /** What was typed is heard letter by letter, as in a shell; of the palette also the entry that Enter takes. */
  #tellTyping(before: UiState, ui: UiState): void {
    if (before.mode !== ui.mode) {
      this.#say(`${PROMPTS[ui.mode] ?? ui.mode}${ui.mode === 'scale' ? ` of ${this.#model.current?.service ?? ''}` : ''}:`);
    }
    const old = before.mode === ui.mode ? before.input : '';
    const kept = ui.input.startsWith(old) ? old.length : 0;
    this.#write('\b \b'.repeat(kept === 0 ? [...old].length : 0) + ui.input.slice(kept));
    if (ui.mode === 'palette' && (before.mode !== 'palette' || before.chosenEntry !== ui.chosenEntry || before.input !== ui.input)) {
      const chosen = drawPage(this.#model, LOOK, LOOK.rows)?.find((line) => line.startsWith('>'));
      this.#write('\r\n');
      this.#say(chosen?.slice(1) ?? 'no action has this name');
    }
  }

  #tellSteps(): void {
    for (const { id, text, status, details } of this.#model.progress.values()) {
      const line = sanitiseName(`${id} ${text}${status === 'error' && details ? `: ${details}` : ''}`);
      if (this.#steps.get(id) !== line) {
        this.#steps.set(id, line);
        this.#say(line);
      }
    }
  }

  #tellStates(): void {
    const { sorted } = this.#model;
    for (const replica of sorted) {
      const key = this.#newsOf(replica);
      if (this.#states.get(replica.name) !== key) {
        this.#states.set(replica.name, key);
        this.#say(this.#stateOf(replica));
      }
    }
    const gone = [...this.#states.keys()].filter((name) => !sorted.some((replica) => replica.name === name));
    for (const name of gone) {
      this.#states.delete(name);
      this.#say(`${shortName(name, this.#model.stack)}: removed`);
    }
    if (this.#isWatching !== this.#model.isWatching) {
      this.#isWatching = this.#model.isWatching;
      this.#say(this.#isWatching ? 'watching files' : 'no longer watching files');
    }
  }

  /** What is news when it changes: ages and sizes go on by themselves, and of restarts without end only the 2nd, 4th, 8th … is told. */
  #newsOf(replica: ReplicaStatus): string {
    if (this.#model.exits.isLooping(replica, this.#model.now())) {
      return `restarts ${Math.trunc(Math.log2(Math.max(1, replica.restarts)))}`;
    }
    const state = stateText(this.#model, replica, LOOK);
    return `${replica.startedAt ?? ''}${state.replace(/ ?\d[\d.]*(?:[smhd]|[kMG]?i?B)\b\/?/g, '')}`;
  }

  #stateOf(replica: ReplicaStatus): string {
    const more = secondLine(this.#model, replica, LOOK);
    return `${shortName(replica.name, this.#model.stack)}: ${stateText(this.#model, replica, LOOK)}${more === '' ? '' : `, ${more}`}`;
  }

  /** Each warning, whatever the view shows: the last row, which has them as well, keeps only the newest. Returns them. */
  #tellWarnings(): string[] {
    const { logs } = this.#model;
    const lines: string[] = [];
    for (const { seq, kind, line } of logs.backwards(new Set(), logs.newest)) {
      if (seq <= this.#warnedTo) {
        break;
      }
      if (kind === 'warning') {
        lines.unshift(line);
      }
    }
    this.#warnedTo = logs.newest;
    this.#say(...lines.map(sanitiseName));
    return lines;
  }

  #tellChoices(before: UiState, ui: UiState, warnings: readonly string[]): void {
    if (ui.mode !== before.mode || ui.page !== before.page) {
      const page = ui.mode === 'quit' ? [footerText(this.#model, LOOK)] : (drawPage(this.#model, LOOK, LOOK.rows) ?? []);
      this.#say(...page, ...(PAGES.has(ui.mode) && ui.mode !== 'quit' ? ['Escape goes back'] : []));
    }
    if (ui.message !== before.message && ui.message !== '' && !warnings.includes(`warning: ${ui.message}`)) {
      this.#say(sanitiseName(ui.message));
    }
    const { current } = this.#model;
    if (ui.cursor !== before.cursor && current !== undefined) {
      this.#say(
        `${this.#stateOf(current)}${ui.cursor === undefined ? '' : `, ${usageText(this.#model, current.name, LOOK)}`}`.replace(/, $/, ''),
      );
    }
    for (const [name, on, off] of SWITCHES) {
      if (ui[name] !== before[name]) {
        this.#say(ui[name] ? on : off);
      }
    }
  }

  /** New lines of the view; the lines of another one from where it stands. */
  #tellLogs(before: UiState, ui: UiState): void {
    const model = this.#model;
    const isOther = VIEW.some((part) => before[part] !== ui[part]);
    const hasMoved = before.anchor !== ui.anchor || before.search !== ui.search;
    if (ui.anchor === undefined && before.anchor !== undefined) {
      this.#say('following the newest line');
    }
    if (ui.anchor !== undefined && (isOther || hasMoved)) {
      const { at, total } = ui.search === '' ? { at: 0, total: 0 } : countMatches(model.logs, model.view, ui.search);
      this.#say(at > 0 ? `match ${at} of ${total}` : 'paused');
      this.#sayEntries(readPage(model.logs, model.view, at > 0 ? 1 : FIRST_LINES));
    } else if (ui.anchor === undefined && isOther) {
      this.#sayEntries(readPage(model.logs, model.view, FIRST_LINES));
    } else if (ui.anchor === undefined) {
      const view = { ...model.view, after: Math.max(model.view.after, this.#toldTo) };
      const page = readPage(model.logs, view, MOST_LINES + 1);
      this.#say(...(page.length > MOST_LINES ? ['more lines came than can be told; the newest are:'] : []));
      this.#sayEntries(page.slice(-MOST_LINES));
    }
    this.#toldTo = ui.anchor === undefined ? model.logs.newest : this.#toldTo;
  }

  /** Without warnings, which were told when they came. */
  #sayEntries(entries: ReturnType<typeof readPage>): void {
    const at = {
      look: LOOK,
      pane: { width: LOOK.columns, height: 1 },
      names: this.#model.sorted.map(({ name }) => name),
      isSpoken: true as const,
    };
    const others = entries.filter(({ kind }) => kind !== 'warning');
    this.#say(...others.map((entry) => (entry.kind === 'mark' ? 'mark' : (drawEntry(this.#model, entry, at)[0] ?? ''))));
  }
}

const PROMPTS: Readonly<Record<string, string>> = {
  search: 'search for',
  filter: 'show lines with; begin with an exclamation mark for those without',
  scale: 'how many replicas',
  palette: 'name of an action',
};

const VIEW = ['chosen', 'showAll', 'cursor', 'filter', 'clearedTo'] as const;

const SWITCHES = [
  ['timestamps', 'with times', 'without times'],
  ['pretty', 'lines of JSON are taken apart', 'lines of JSON as they are'],
  ['showAll', 'logs of all services', 'logs of this service'],
] as const;
