import type { Sql } from './rows.ts';

/** A column of every table. */
const COLUMN = 'sum';

/**
 * A row with its checksum, so that a bit that a disk has lost inside a text is noticed: SQLite checks no content. An older
 * hypr, which keeps running beside a newer one, writes none; a trigger (schema.ts) drops the one that its change has made
 * wrong, and tells its writes by this column not changing, for which each sum has a number of its own above 2^32.
 */
export const withSum = (row: Sql): Sql => ({ ...row, [COLUMN]: nextNumber() * SPAN + hashOf(row) });

/**
 * Whether a row is as it was written; one without a checksum is taken as it is, if it has its first column, which is a key in
 * every table: pages of another table, read as one's own, have not.
 */
export const isIntact = (row: Sql): boolean => {
  const sum = row[COLUMN];
  return typeof sum === 'number' ? sum % SPAN === hashOf(row) : !sum && typeof Object.values(row)[0] === 'string';
};

const SPAN = 2 ** 32;
const NUMBERS = 2 ** 20;

let number = Math.floor(Math.random() * NUMBERS);
const nextNumber = (): number => {
  number = (number + 1) % NUMBERS;
  return number;
};

/**
 * FNV-1a over names and values, which needs no module to be loaded. Every step can be undone, so one changed character
 * always changes the result. Columns without a value are left out, so that a later migration may add some.
 */
const hashOf = (row: Sql): number => {
  let hash = 0x811c9dc5;
  const add = (text: string): void => {
    for (let at = 0; at < text.length; at += 1) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    }
  };
  for (const name of Object.keys(row).sort()) {
    const value = row[name];
    if (name !== COLUMN && value !== null && value !== undefined) {
      add(`${name}\0${typeof value === 'number' ? '#' : '$'}`);
      // As SQLite's UTF-8 gives it back.
      add(String(value).toWellFormed());
      add('\0');
    }
  }
  return hash >>> 0;
};
