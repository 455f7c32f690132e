import { appendFileSync, closeSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { isErrno, messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import type { RecordedEvent } from '../../model/events.ts';
import { lineOf } from './event-lines.ts';
import { currentFile, removeOlder } from './record-files.ts';

const log = logger('events');

/**
 * Appends an event. On a full disk the older file makes room for it, for clients that listen hear of what happens by the record alone. What
 * cannot be written even so is lost, and told in the log.
 */
export const recordEvent = (folder: string, event: RecordedEvent): void => {
  const line = lineOf(event);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    try {
      append(currentFile(folder), line);
    } catch (error) {
      if (!isErrno(error, 'ENOSPC', 'EDQUOT')) {
        throw error;
      }
      removeOlder(folder);
      append(currentFile(folder), line);
    }
  } catch (error) {
    log.warn('an event was not recorded', { error: messageOf(error) });
  }
};

/** On a line of its own, also after one that a full disk or a killed writer tore. */
const append = (path: string, line: string): void => {
  const file = openSync(path, 'a+', 0o600);
  try {
    const last = Buffer.alloc(1);
    const { size } = fstatSync(file);
    const isTorn = size > 0 && readSync(file, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
    appendFileSync(file, isTorn ? `\n${line}` : line);
  } finally {
    closeSync(file);
  }
};

const NEWLINE = 0x0a;
