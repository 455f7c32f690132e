import { writeFile } from 'node:fs/promises';
import { medianOf, reportRow } from '../measure.ts';

/** `guest`: the same on the machine's own tmpfs and loopback. */
export type Column = 'hypr' | 'docker' | 'guest';

const COLUMNS: readonly Column[] = ['hypr', 'docker', 'guest'];

/** Figures of all rounds by what they are of and whose they are. */
export class DataTable {
  readonly #rows = new Map<string, { readonly unit: string; readonly values: Map<Column, number[]> }>();

  add(what: string, unit: string, column: Column, value: number): void {
    const row = this.#rows.get(what) ?? { unit, values: new Map<Column, number[]>() };
    row.values.set(column, [...(row.values.get(column) ?? []), value]);
    this.#rows.set(what, row);
  }

  /** JSON lines and the Markdown table on stdout; the table in `out` as well. */
  async report(out: string | undefined): Promise<void> {
    for (const [name, { unit, values }] of this.#rows) {
      for (const [tool, taken] of values) {
        reportRow({ name, tool, unit, median: medianOf(taken), runs: taken.length });
      }
    }
    const table = this.markdown();
    process.stdout.write(`\n${table}`);
    if (out !== undefined) {
      await writeFile(out, table);
    }
  }

  /** Medians. The last column is how many times better the guest alone is than the guest with hypr: 1 is best. */
  markdown(): string {
    const lines = ['| what | unit | hypr | docker | guest alone | beyond emulation |', '|---|---|---:|---:|---:|---:|'];
    for (const [what, { unit, values }] of this.#rows) {
      const [hypr, docker, guest] = COLUMNS.map((column) => values.get(column)).map((taken) => (taken ? medianOf(taken) : undefined));
      const beyond = hypr === undefined || guest === undefined ? undefined : isRate(unit) ? guest / hypr : hypr / guest;
      lines.push(`| ${[what, unit, shown(hypr), shown(docker), shown(guest), beyond ? `${beyond.toFixed(1)}×` : '–'].join(' | ')} |`);
    }
    return `${lines.join('\n')}\n`;
  }
}

const isRate = (unit: string): boolean => unit.endsWith('/s');

const shown = (value: number | undefined): string => (value === undefined ? '–' : value >= 100 ? value.toFixed(0) : value.toPrecision(3));
