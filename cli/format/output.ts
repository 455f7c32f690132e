import { compileTemplate, templateHeaders, unescapeFormat } from './go-template.ts';
import { DOCKER_TABLE, formatTable, type TableOptions } from './table.ts';

export interface Listing {
  /** Field → heading, in the order of the columns of the plain table. */
  readonly columns: Readonly<Record<string, string>>;
  /** Headings of further fields, for `table {{.Field}}`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly rows: ReadonlyArray<Readonly<Record<string, unknown>>>;
  readonly table?: TableOptions;
  /** `json` prints one array (ls, images of compose) or one object per line (ps and all of docker's). */
  readonly json: 'array' | 'lines';
}

/** Prints rows as `--format` says: `table`, `json`, `table TEMPLATE` or `TEMPLATE`. */
export const formatListing = (listing: Listing, format: string | undefined): string => {
  const { rows } = listing;
  const table = listing.table ?? DOCKER_TABLE;
  if (format === undefined || format === '' || format === 'table' || format === 'pretty') {
    const fields = Object.keys(listing.columns);
    return formatTable([Object.values(listing.columns), ...rows.map((row) => fields.map((field) => String(row[field] ?? '')))], table);
  }
  if (format === 'json') {
    return listing.json === 'array' ? `${JSON.stringify(rows)}\n` : rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  }
  if (/^table\s/.test(format)) {
    const template = unescapeFormat(format.replace(/^table\s+/, ''));
    const head = templateHeaders(template, { ...listing.headers, ...listing.columns });
    const render = compileTemplate(template);
    return formatTable(
      [head, ...rows.map(render)].map((line) => line.split('\t')),
      table,
    );
  }
  const render = compileTemplate(unescapeFormat(format));
  return rows.map((row) => `${render(row)}\n`).join('');
};
