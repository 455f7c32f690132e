import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * Copies bytes both ways. Each end of stream is forwarded on its own; an error or early close ends both, and what was sent before is still
 * delivered.
 */
export const join = (one: Duplex, other: Duplex): void => {
  if (one.destroyed) {
    other.destroy();
    return;
  }
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy());
    from.once('close', () => endUnlessDone(to));
    from.pipe(to);
  }
};

/** The other side has gone: data already queued may still be sent, nothing more is accepted. */
const endUnlessDone = (stream: Duplex): void => {
  if (stream.destroyed) {
    return;
  }
  stream.unpipe();
  if (stream instanceof Socket) {
    stream.destroySoon();
  } else {
    stream.end(() => stream.destroy());
  }
};
