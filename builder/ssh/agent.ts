import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { SshForward } from '../model/types.ts';
import { type AgentKey, readKeys, signWith } from './keys.ts';
import { readString, string, u32 } from './wire.ts';

const log = logger('build');

/** draft-ietf-sshm-ssh-agent: the allowed requests, and the answers to them. */
const REQUEST_IDENTITIES = 11;
const SIGN_REQUEST = 13;
const FAILURE = 5;
const IDENTITIES_ANSWER = 12;
const SIGN_RESPONSE = 14;
const MAX_MESSAGE = 256 * 1024;

/**
 * Serves one connection to an SSH agent: keys can be listed and used, nothing else reaches the host's agent (no adding,
 * removing, locking). Never rejects; a broken connection ends.
 */
export const serveAgent = async (connection: Duplex, forward: SshForward): Promise<void> => {
  try {
    const answer = 'socket' in forward ? await askSocket(forward.socket) : await askKeys(forward.keys);
    try {
      for await (const request of messages(connection)) {
        const type = request[0];
        const reply = type === REQUEST_IDENTITIES || type === SIGN_REQUEST ? await answer.ask(request) : Buffer.from([FAILURE]);
        connection.write(string(reply));
      }
    } finally {
      answer.close();
    }
  } catch (error) {
    log.warn('the forwarded SSH agent', { reason: messageOf(error) });
  } finally {
    connection.end();
  }
};

interface Answerer {
  ask(request: Buffer): Promise<Buffer>;
  close(): void;
}

/** The host's agent; one request at a time. */
const askSocket = async (path: string): Promise<Answerer> => {
  const socket = connect(path);
  await once(socket, 'connect');
  socket.on('error', () => {});
  const answers = messages(socket);
  return {
    ask: async (request) => {
      socket.write(string(request));
      const { value, done } = await answers.next();
      return done === true ? Buffer.from([FAILURE]) : value;
    },
    close: () => socket.destroy(),
  };
};

const askKeys = async (files: readonly string[]): Promise<Answerer> => {
  const keys = await readKeys(files);
  return { ask: async (request) => (request[0] === REQUEST_IDENTITIES ? listKeys(keys) : sign(keys, request)), close: () => {} };
};

const listKeys = (keys: readonly AgentKey[]): Buffer =>
  Buffer.concat([
    Buffer.from([IDENTITIES_ANSWER]),
    u32(keys.length),
    ...keys.flatMap(({ blob, comment }) => [string(blob), string(Buffer.from(comment))]),
  ]);

const sign = (keys: readonly AgentKey[], request: Buffer): Buffer => {
  const blob = readString(request, 1);
  const data = readString(request, blob.end);
  const key = keys.find((candidate) => candidate.blob.equals(blob.value));
  if (key === undefined || request.length < data.end + 4) {
    return Buffer.from([FAILURE]);
  }
  return Buffer.concat([Buffer.from([SIGN_RESPONSE]), string(signWith(key, data.value, request.readUInt32BE(data.end)))]);
};

/** Messages of a u32 length and bytes; one that is empty or too long ends the connection. */
async function* messages(stream: Duplex): AsyncGenerator<Buffer, undefined> {
  let kept = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    kept = Buffer.concat([kept, chunk]);
    while (kept.length >= 4) {
      const length = kept.readUInt32BE(0);
      if (length === 0 || length > MAX_MESSAGE) {
        return undefined;
      }
      if (kept.length < 4 + length) {
        break;
      }
      yield kept.subarray(4, 4 + length);
      kept = kept.subarray(4 + length);
    }
  }
  return undefined;
}
