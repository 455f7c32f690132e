import type { LogFilter } from '../logs/log-view.ts';

/** What has the keys: the screen, a text being typed, a question, or a page over the screen. */
export type Mode = 'normal' | 'search' | 'filter' | 'scale' | 'palette' | 'quit' | 'help' | 'graph' | 'why';

/** The user's choices; everything else is state of the stack. */
export interface UiState {
  readonly mode: Mode;
  readonly focus: 'list' | 'logs';
  /** Name of the replica the cursor was moved to; until then it is on the first. */
  readonly cursor: string | undefined;
  /** Replicas whose logs are shown together; empty: all, or the one under the cursor. */
  readonly chosen: ReadonlySet<string>;
  readonly showAll: boolean;
  /** Sequence number of the lowest line; undefined follows the newest. */
  readonly anchor: number | undefined;
  readonly clearedTo: number;
  readonly wrap: boolean;
  readonly timestamps: boolean;
  /** Lines of JSON are taken apart. */
  readonly pretty: boolean;
  readonly search: string;
  readonly filter: LogFilter | undefined;
  /** Text being typed. */
  readonly input: string;
  /** The entry of the palette that Enter chooses. */
  readonly chosenEntry: number;
  readonly message: string;
  /** Lines of the page `why`, of the replica that it was asked for. */
  readonly page: readonly string[];
  /** The first line on the screen of the page that is open. */
  readonly pageTop: number;
}

export const INITIAL_UI: UiState = {
  mode: 'normal',
  focus: 'list',
  cursor: undefined,
  chosen: new Set(),
  showAll: true,
  anchor: undefined,
  clearedTo: Number.NEGATIVE_INFINITY,
  wrap: false,
  timestamps: false,
  pretty: false,
  search: '',
  filter: undefined,
  input: '',
  chosenEntry: 0,
  message: '',
  page: [],
  pageTop: 0,
};
