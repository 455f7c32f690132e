import { connect, type Socket } from 'node:net';
import { orAbort } from '../base/abort.ts';
import { sleep, withDeadline } from '../base/deadline.ts';
import { HyprError, messageOf } from '../base/errors.ts';
import { parseIpv4 } from './ipv4.ts';

const DEADLINE_MS = 5000;

/**
 * gvproxy gives no sign that it has taken a connection over, and bytes that arrive before that are lost,
 * which would shift the framing for good. The wait covers it; the answered request before it makes sure that
 * gvproxy is already reading this connection when POST /connect arrives.
 */
const TAKEOVER_MS = 20;

/**
 * A connected socket that speaks QEMU's framing (u32 big-endian length, Ethernet frame) from its next byte on.
 * It reads nothing: what arrives belongs to the VMM that inherits the descriptor.
 */
export const openNic = (path: string, parent?: AbortSignal): Promise<Socket> =>
  withDeadline({ ms: DEADLINE_MS, what: 'a connection to the network', signal: parent }, async (signal) => {
    const { socket, answered } = openProbed(path);
    try {
      await orAbort(answered, signal);
      // With `onread` pause stops reading the descriptor itself, not only the events.
      socket.pause();
      socket.write('POST /connect HTTP/1.1\r\nHost: gvproxy\r\n\r\n');
      await sleep(TAKEOVER_MS, signal);
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });

/**
 * A TCP connection to address:port inside the network, half-open allowed. gvproxy says OK before it dials: a
 * refused port is an end of stream right after. Throws NET_ADDRESS for what is no address.
 */
export const openTunnel = (path: string, address: string, port: number, parent?: AbortSignal): Promise<Socket> => {
  if (parseIpv4(address) === undefined || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return Promise.reject(new HyprError('NET_ADDRESS', `${address}:${port} is not an address and port of a network`));
  }
  return withDeadline({ ms: DEADLINE_MS, what: `a tunnel to ${address}:${port}`, signal: parent }, async (signal) => {
    const socket = connect({ path, allowHalfOpen: true });
    // Whoever gets the socket listens for themselves; until then an error must not end this process.
    socket.on('error', () => {});
    try {
      socket.write(`GET /tunnel?ip=${address}&port=${port} HTTP/1.1\r\nHost: gvproxy\r\n\r\n`);
      const head = await orAbort(readExactly(socket, 2), signal);
      if (head !== 'OK') {
        throw new HyprError('NET_START', `gvproxy refused a tunnel to ${address}:${port}`);
      }
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  });
};

/** Connects and has one small request answered. */
const openProbed = (path: string): { socket: Socket; answered: Promise<void> } => {
  let head = '';
  let done: (error?: Error) => void = () => {};
  const answered = new Promise<void>((resolve, reject) => {
    done = (error) => (error === undefined ? resolve() : reject(error));
  });
  const onread = {
    buffer: Buffer.alloc(2048),
    callback: (size: number, buffer: Uint8Array): boolean => {
      head += Buffer.from(buffer.subarray(0, size)).toString('latin1');
      const complete = head.endsWith('\r\n\r\n');
      if (complete || head.length > 4096) {
        done(complete && head.startsWith('HTTP/1.1 ') ? undefined : new HyprError('NET_START', 'gvproxy gave an answer that is not HTTP'));
        return false;
      }
      return true;
    },
  };
  const socket = connect({ path, onread });
  socket.on('error', (error) => done(new HyprError('NET_START', `the network does not answer: ${messageOf(error)}`, { cause: error })));
  socket.on('close', () => done(new HyprError('NET_START', 'the network closed the connection')));
  socket.write('HEAD / HTTP/1.1\r\nHost: gvproxy\r\n\r\n');
  return { socket, answered };
};

const readExactly = (socket: Socket, size: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const finish = (): void => {
      socket.off('readable', onReadable).off('end', onEnd).off('error', onError).off('close', onEnd);
    };
    const onReadable = (): void => {
      const chunk = socket.read(size) as Buffer | null;
      if (chunk !== null) {
        finish();
        resolve(chunk.toString('latin1'));
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
