import { AsyncQueue } from '../../base/queue.ts';
import type { Fields } from '../protocol/protocol.ts';
import { EVENT, SYNCED_NEWS, TAG } from '../protocol/tags.ts';
import type { GuestEvent, SyncedEvent, SyncedNews } from '../types.ts';
import { readExit } from './process-channel.ts';

const MAX_WAITING = 1000;

/** Reads an event; undefined for a kind this host does not know. */
export const readEvent = (fields: Fields): GuestEvent | undefined => {
  switch (fields.int(TAG.event.kind)) {
    case EVENT.workloadExited: {
      const exit = readExit(fields);
      return exit && { type: 'workload-exited', exit };
    }
    case EVENT.oom:
      return { type: 'oom', pid: fields.int(TAG.event.pid) ?? 0 };
    case EVENT.listening:
      return { type: 'listening', ...readPort(fields) };
    case EVENT.notListening:
      return { type: 'not-listening', ...readPort(fields) };
    case EVENT.shareWatched:
      return { type: 'share-watched', share: fields.text(TAG.event.share) ?? '' };
    case EVENT.synced:
      return readSynced(fields);
    default:
      return undefined;
  }
};

const NEWS = Object.keys(SYNCED_NEWS) as SyncedNews[];
const MOST = { path: 4096, reason: 200 };

const readSynced = (fields: Fields): SyncedEvent | undefined => {
  const news = NEWS.find((name) => SYNCED_NEWS[name] === fields.int(TAG.event.news));
  const path = fields.text(TAG.event.path)?.slice(0, MOST.path);
  const reason = fields.text(TAG.event.reason)?.slice(0, MOST.reason);
  const full = FULL[fields.int(TAG.event.full) ?? 0];
  return (
    news && {
      type: 'synced',
      share: fields.text(TAG.event.share) ?? '',
      news,
      ...(path ? { path } : {}),
      ...(reason ? { reason } : {}),
      state: {
        filled: fields.int(TAG.event.filled) === 1,
        files: fields.int(TAG.event.files) ?? 0,
        waiting: fields.int(TAG.event.waiting) ?? 0,
        conflicts: fields.int(TAG.event.conflicts) ?? 0,
        left: fields.int(TAG.event.left) ?? 0,
        ...(full === undefined ? {} : { full }),
      },
    }
  );
};

const FULL = [undefined, 'host', 'guest'] as const;

const readPort = (fields: Fields) => ({
  port: (fields.int(TAG.event.port) ?? 0) & 0xffff,
  protocol: fields.int(TAG.event.udp) === 1 ? ('udp' as const) : ('tcp' as const),
  address: formatAddress(fields.bytes(TAG.event.address) ?? Buffer.alloc(4)),
});

/** 4 bytes in dotted form; 16 bytes as eight groups, shortened only when all are zero. */
const formatAddress = (bytes: Buffer): string => {
  if (bytes.length !== 16) {
    return [...bytes.subarray(0, 4)].join('.');
  }
  if (bytes.subarray(0, 15).every((byte) => byte === 0)) {
    return bytes[15] === 0 ? '::' : `::${bytes[15]?.toString(16)}`;
  }
  return Array.from({ length: 8 }, (_, word) => bytes.readUInt16BE(word * 2).toString(16)).join(':');
};

/** Events for one listener; the oldest are dropped when it falls behind. */
export const newEventQueue = (): AsyncQueue<GuestEvent> => new AsyncQueue({ keepNewest: MAX_WAITING });
