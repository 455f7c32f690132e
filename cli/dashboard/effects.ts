import type { ServiceVerb } from '../../engine/model/types.ts';
import type { DashboardModel } from './state/model.ts';

/** Actions of keys beyond the screen. */
export interface Effects {
  verb(verb: ServiceVerb, service: string): void;
  rebuild(service: string): void;
  scale(service: string, count: number): void;
  /** Why the service is as it is, as a page. */
  why(service: string): void;
  /** Gives the terminal to a shell in a replica, or to its program, until that ends. */
  shell(replica: string): void;
  attach(replica: string): void;
  /** The lines without the screen, until Enter. */
  raw(): void;
  watch(): void;
  /** The screen of volumes, networks and images. */
  objects(): void;
  /** Goes to the first line on disk. */
  toStart(): void;
  /** Goes to an older line with the searched text, on disk. */
  findOlder(): void;
  openUrl(url: string): void;
  copy(text: string): void;
  /** Ctrl-C: stop the stack, then kill it. */
  interrupt(): void;
  leave(how: 'detach' | 'stop'): void;
  suspend(): void;
}

export interface Control {
  readonly model: DashboardModel;
  readonly effects: Effects;
  /** Rows of the log pane. */
  readonly page: number;
  /** The highest first line of the page that is open. */
  readonly lastPageTop: () => number;
}
