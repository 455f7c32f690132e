export interface TableOptions {
  /** Narrowest cell, padding included. */
  readonly minWidth: number;
  readonly padding: number;
}

/** Column widths of docker's own tables and of docker compose's. */
export const DOCKER_TABLE: TableOptions = { minWidth: 10, padding: 3 };
export const COMPOSE_TABLE: TableOptions = { minWidth: 20, padding: 3 };
export const TOP_TABLE: TableOptions = { minWidth: 4, padding: 2 };

/**
 * Aligns cells as Go's text/tabwriter does: a cell is as wide as the widest of its column plus padding,
 * at least `minWidth`; the last cell of a row is not padded. Widths count code points, as Go does.
 */
export const formatTable = (rows: readonly (readonly string[])[], options: TableOptions = DOCKER_TABLE): string => {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.slice(0, -1).entries()) {
      widths[column] = Math.max(widths[column] ?? options.minWidth, runeCount(cell) + options.padding);
    }
  }
  return rows.map((row) => `${formatRow(row, widths)}\n`).join('');
};

const formatRow = (row: readonly string[], widths: readonly number[]): string =>
  row.map((cell, column) => (column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - runeCount(cell)))).join('');

const runeCount = (text: string): number => [...text].length;
