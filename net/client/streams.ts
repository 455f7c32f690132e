import { connect, isIP, type Socket } from 'node:net';
import { orAbort } from '../../base/abort.ts';
import { withDeadline } from '../../base/deadline.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import type { NetworkNic } from '../types.ts';

const DEADLINE_MS = 5000;
const MAX_LINE = 64 * 1024;
/** The answer to a granted request; a refusal is longer. */
const GRANTED = '{"ok":true}\n';

/**
 * A connected socket that speaks QEMU's framing (u32 big-endian length, Ethernet frame) from its next byte on. It is not
 * read here: incoming bytes are for the VMM that inherits the descriptor, and none arrive before the byte written last
 * here.
 */
export const openNic = (path: string, nic: NetworkNic, parent?: AbortSignal): Promise<Socket> =>
  withDeadline({ ms: DEADLINE_MS, what: 'a connection to the network', signal: parent }, async (signal) => {
    const { socket, answered } = openOneLine(path, { op: 'nic', nic });
    try {
      const line = await orAbort(answered, signal);
      // With `onread`, pause stops reading from the descriptor and not only the events.
      socket.pause();
      checkGranted(line);
      await new Promise<void>((resolve, reject) => socket.write('\n', (error) => (error ? reject(error) : resolve())));
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });

/**
 * A TCP connection to address:port inside the network, half-open allowed. The gateway answers before it dials: a refused
 * port shows as an immediate end of stream. Throws NET_ADDRESS for an address outside the network.
 */
export const openTunnel = (path: string, address: string, port: number, signal?: AbortSignal): Promise<Socket> =>
  openTo(path, { op: 'tcp', address, port }, signal);

/** Datagrams to address:port inside the network, in the framing of docs/gateway-protocol.md. Throws as openTunnel does. */
export const openDatagrams = (path: string, address: string, port: number, signal?: AbortSignal): Promise<Socket> =>
  openTo(path, { op: 'udp', address, port }, signal);

/** A machine's connection to port 443 of another, which waits at the gateway under this number. Throws NET_ADDRESS when it no longer waits. */
export const fetchEdge = (path: string, edge: number, signal?: AbortSignal): Promise<Socket> =>
  openStream(path, { op: 'edge', edge }, signal);

/** The network's traffic from now on, as a pcap file. */
export const openCapture = (path: string, snap: number, signal?: AbortSignal): Promise<Socket> =>
  openStream(path, { op: 'capture', snap }, signal);

const openTo = (path: string, to: { op: string; address: string; port: number }, signal?: AbortSignal): Promise<Socket> => {
  const { op, address, port } = to;
  const version = isIP(address);
  if (version === 0 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return Promise.reject(new HyprError('NET_ADDRESS', `${address}:${port} is not an address and port of a network`));
  }
  return openStream(path, { op, to: version === 4 ? `${address}:${port}` : `[${address}]:${port}` }, signal);
};

const openStream = (path: string, request: object, parent?: AbortSignal): Promise<Socket> =>
  withDeadline({ ms: DEADLINE_MS, what: 'an answer of the network', signal: parent }, async (signal) => {
    const socket = connect({ path, allowHalfOpen: true });
    // The caller attaches its own listener; until then an error must not end this process.
    socket.on('error', () => {});
    try {
      socket.write(`${JSON.stringify(request)}\n`);
      checkGranted(await orAbort(readAnswer(socket), signal));
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });

const checkGranted = (line: string): void => {
  if (line !== GRANTED) {
    throw refusalOf(line);
  }
};

/** The error for a refused request. A refusal is always about the request's address; anything else is not a gateway's answer. */
export const refusalOf = (line: string): HyprError => {
  try {
    const { error } = JSON.parse(line) as { error?: unknown };
    if (typeof error === 'string') {
      return new HyprError('NET_ADDRESS', `the network refused: ${error.slice(0, 500)}`);
    }
  } catch {
    // Not JSON.
  }
  return new HyprError('NET_START', 'the network gave an answer that is none');
};

/** Connects, sends the request, and reads the answer's line and nothing beyond it. */
const openOneLine = (path: string, request: object): { socket: Socket; answered: Promise<string> } => {
  let line = '';
  let done: (error?: Error) => void = () => {};
  const answered = new Promise<string>((resolve, reject) => {
    done = (error) => (error === undefined ? resolve(line) : reject(error));
  });
  const onread = {
    buffer: Buffer.alloc(2048),
    callback: (size: number, buffer: Uint8Array): boolean => {
      line += Buffer.from(buffer.subarray(0, size)).toString('utf8');
      if (line.endsWith('\n')) {
        done();
        return false;
      }
      if (line.length > MAX_LINE) {
        done(new HyprError('NET_START', 'the network gave an answer that is none'));
        return false;
      }
      return true;
    },
  };
  const socket = connect({ path, onread });
  socket.on('error', (error) => done(new HyprError('NET_START', `the network does not answer: ${messageOf(error)}`, { cause: error })));
  socket.on('close', () => done(new HyprError('NET_START', 'the network closed the connection')));
  socket.write(`${JSON.stringify(request)}\n`);
  return { socket, answered };
};

/** Reads exactly the granting line, or a whole refusal; bytes after it stay in the socket. */
const readAnswer = (socket: Socket): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    const finish = (): void => {
      socket.off('readable', onReadable).off('end', onEnd).off('error', onError).off('close', onEnd);
    };
    const onReadable = (): void => {
      for (;;) {
        const wanted = text.length < GRANTED.length ? GRANTED.length - text.length : 1;
        const chunk = socket.read(wanted) as Buffer | null;
        if (chunk === null) {
          return;
        }
        text += chunk.toString('latin1');
        if (text.endsWith('\n') || text.length > MAX_LINE) {
          finish();
          resolve(text);
          return;
        }
      }
    };
    const onEnd = (): void => {
      finish();
      reject(new HyprError('NET_START', 'the network closed the connection'));
    };
    const onError = (error: Error): void => {
      finish();
      reject(new HyprError('NET_START', `the network does not answer: ${error.message}`, { cause: error }));
    };
    socket.on('readable', onReadable).on('end', onEnd).on('error', onError).on('close', onEnd);
  });
