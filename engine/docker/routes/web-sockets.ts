import type { ExecOptions, Stack } from '../../model/types.ts';
import { ApiError, describeError } from '../http/errors.ts';
import type { Call, Handler, Routes } from '../http/router.ts';
import { FAILED, type WebSocketPeer } from '../http/web-socket.ts';
import { writeOutput } from '../machines/frames.ts';
import type { Host } from '../machines/host.ts';
import { needRunning, streamsOf } from './containers.ts';
import { attachAs, feed } from './streams.ts';

/** What carries bytes both ways for clients that cannot take a connection over: attach as docker has it. */
export const webSocketRoutes = (host: Host): Routes => ({
  'GET /containers/{id}/attach/ws': async (call) => {
    // Both streams as they are, as docker sends them there.
    const streams = { ...streamsOf(call.query, false), raw: true };
    let closed = Promise.resolve();
    await attachAs(host, call, {
      streams,
      open: async () => {
        const peer = await call.reply.webSocket();
        return { ...peer, end: () => (closed = peer.close()) };
      },
    });
    await closed;
  },
});

/**
 * A program in a machine, for the JSON API: `command` for the shell or `arg` by `arg`, with `tty`, `w` and `h`, `env`, `workdir`, `user`. Its output are binary
 * messages, its input is what comes; the WebSocket ends with the reason `exit CODE`.
 */
export const execByWebSocket =
  (host: Host): Handler =>
  async ({ params, query, reply, signal }: Call): Promise<void> => {
    const { status, stack } = needRunning(host, params.id ?? '');
    const command = query.text('command');
    const args = command === undefined ? query.list('arg') : ['/bin/sh', '-c', command];
    if (args.length === 0) {
      throw new ApiError(400, 'command is missing: command=TEXT for the shell, or arg=WORD for each word');
    }
    const tty = query.bool('tty');
    const place = { service: status.service, index: status.number, user: query.text('user'), workdir: query.text('workdir') };
    const size = tty ? { columns: query.int('w') ?? 80, rows: query.int('h') ?? 24 } : undefined;
    const options = { ...place, args, env: query.list('env'), tty, stdin: true, detach: false, privileged: false, size };
    const peer = await reply.webSocket();
    try {
      await peer.close(`exit ${await host.withStack(stack, (opened) => runIn(opened, options, { peer, signal }))}`);
    } catch (error) {
      // There are no statuses any more.
      await peer.close(describeError(error).message, FAILED);
    }
  };

/** Gives its exit code. */
const runIn = async (
  stack: Stack,
  options: ExecOptions,
  { peer, signal }: { peer: WebSocketPeer; signal: AbortSignal },
): Promise<number> => {
  const session = await stack.exec(options, signal);
  try {
    void feed(session, peer, { keys: undefined, once: true });
    for await (const chunk of session.output) {
      await writeOutput(peer, { stdout: true, stderr: true, raw: true }, chunk);
    }
    return await session.exitCode;
  } finally {
    session.close();
  }
};
