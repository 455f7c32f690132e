import { readMoment, readUnixTime } from '../../../base/moment.ts';
import { ApiError } from './errors.ts';

/** The query of a request. */
export class Query {
  readonly #values: URLSearchParams;

  constructor(values: URLSearchParams) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    return this.#values.get(name) || undefined;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  list(name: string): string[] {
    return this.#values.getAll(name);
  }

  /** As docker reads it: nothing, 0, no, false and none are no, everything else is yes. */
  bool(name: string, otherwise = false): boolean {
    const value = this.#values.get(name);
    return value === null ? otherwise : !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase());
  }

  /** Undefined when it is not there; -1 included. Throws 400. */
  int(name: string): number | undefined {
    const value = this.text(name);
    if (value !== undefined && !/^-?\d{1,15}$/.test(value)) {
      throw new ApiError(400, `${name} has to be a number, not "${value}"`);
    }
    return value === undefined ? undefined : Number(value);
  }

  /**
   * A time of docker's API, in milliseconds: seconds since the epoch with a fraction; RFC 3339 as well, which docker's clients make seconds of.
   * 0 is the beginning of time, not none. Throws 400.
   */
  moment(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) {
      return undefined;
    }
    const time = readUnixTime(value) ?? (/^\d{4}-/.test(value) ? readMoment(value, 0) : undefined);
    if (time === undefined) {
      throw new ApiError(400, `${name} is not a time: "${value}"`);
    }
    return time;
  }

  /** A member that is JSON, such as `buildargs`. Throws 400. */
  json(name: string): unknown {
    const value = this.text(name);
    try {
      return value === undefined ? undefined : JSON.parse(value);
    } catch {
      throw new ApiError(400, `${name} is not JSON`);
    }
  }
}
