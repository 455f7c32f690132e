import { sanitiseLog, sanitiseName } from '../../base/sanitise.ts';
import type { LogRecord } from '../../engine/model/events.ts';
import { rfc3339Nano } from './time.ts';

// docker compose's wheel: five colours, then the same in bold.
const COLOURS = ['36', '33', '32', '35', '34', '36;1', '33;1', '32;1', '35;1', '34;1'];

export interface LogFormat {
  readonly color: boolean;
  readonly prefix: boolean;
  readonly timestamps: boolean;
  /** `shop`: the part of replica names that is left out, as docker compose does. */
  readonly stack: string;
}

/** Log lines with `web-1  | ` before them: names padded to the longest known, one colour per replica. */
export class LogFormatter {
  readonly #format: LogFormat;
  #colours = new Map<string, string>();
  #width = 0;

  constructor(format: LogFormat) {
    this.#format = format;
  }

  /** Makes room for a name before its first line comes, so that prefixes line up from the start. */
  know(replica: string): void {
    const name = shortName(replica, this.#format.stack);
    if (!this.#colours.has(name)) {
      this.#colours.set(name, COLOURS[this.#colours.size % COLOURS.length] ?? '36');
      this.#width = Math.max(this.#width, name.length);
    }
  }

  line(record: LogRecord): string {
    const time = this.#format.timestamps ? `${rfc3339Nano(record.time)} ` : '';
    return `${this.#prefix(record.replica)}${time}${sanitiseLog(record.line)}\n`;
  }

  /** `web-1 exited with code 0`, without a bar. */
  exited(replica: string, exitCode: number, restarting: boolean): string {
    const name = shortName(replica, this.#format.stack);
    this.know(replica);
    return `${this.#paint(name, name)} exited with code ${exitCode}${restarting ? ' (restarting)' : ''}\n`;
  }

  #prefix(replica: string): string {
    if (!this.#format.prefix) {
      return '';
    }
    this.know(replica);
    const name = shortName(replica, this.#format.stack);
    return this.#paint(name, `${name.padEnd(this.#width + 1)} | `);
  }

  #paint(name: string, text: string): string {
    return this.#format.color ? `\u001b[${this.#colours.get(name) ?? '36'}m${text}\u001b[0m` : text;
  }
}

/** `shop-web-1` → `web-1`; a `container_name` stays as it is. */
export const shortName = (replica: string, stack: string): string => {
  const name = sanitiseName(replica);
  return name.startsWith(`${stack}-`) && name.length > stack.length + 1 ? name.slice(stack.length + 1) : name;
};
