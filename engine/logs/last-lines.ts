import { ErrorTail } from '../../base/error-tail.ts';
import type { LogStore } from './logs.ts';

const MOST = 10;
/** How far back the line that tells of the error is looked for. */
const LOOKED_AT = 200;

/** What the current run of a replica has printed last, and where it first told of an error, for the error of who waits for it. */
export const lastLinesOf = async (
  logs: LogStore,
  row: { readonly name: string; readonly service: string; readonly run?: number | undefined },
): Promise<string[]> => {
  const tail = new ErrorTail(MOST);
  for await (const record of logs.read(row.name, row.service, { tail: LOOKED_AT })) {
    // Errors of earlier runs are no reason for what this one does.
    if (record.run === undefined || record.run === row.run) {
      tail.add(record.line);
    }
  }
  return tail.lines.map((line) => `${row.name} | ${line}`);
};
