import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';

import { connectQmp, parseMessage } from '../../../vmm/qemu/qmp.ts';
import { runs } from '../../support/seed.ts';
import { tempDir } from '../support.ts';

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

type Answer = (command: { execute: string; id: number }, socket: net.Socket) => void;

/** A monitor that greets, and answers commands after the negotiation as it is told. */
const serve = async (answer: Answer, greeting = GREETING): Promise<string> => {
  const path = join(tempDir(), 'q.sock');
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write(greeting);
    socket.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n').filter(Boolean)) {
        const command = JSON.parse(line) as { execute: string; id: number };
        if (command.execute === 'qmp_capabilities') {
          socket.write(`${JSON.stringify({ return: {}, id: command.id })}\r\n`);
        } else {
          answer(command, socket);
        }
      }
    });
  });
  server.listen(path);
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
  });
  return path;
};

const connect = async (answer: Answer) => {
  const qmp = await connectQmp(await serve(answer));
  onTestFinished(() => qmp.close());
  return qmp;
};

describe('the monitor', () => {
  it('gives answers to whom they belong, in any order and in pieces', async () => {
    const waiting: number[] = [];
    const qmp = await connect(({ id }, socket) => {
      waiting.push(id);
      if (waiting.length === 2) {
        socket.write(`{"return": {"status": "second"}, "id": ${waiting[1]}}\r\n{"return": {"sta`);
        setImmediate(() => socket.write(`tus": "first"}, "id": ${waiting[0]}}\r\n`));
      }
    });
    const answers = await Promise.all([qmp.run('query-status'), qmp.run('query-status')]);
    expect(answers.map(({ status }) => status)).toEqual(['first', 'second']);
  });

  it('hears events between answers', async () => {
    const qmp = await connect(({ id }, socket) => {
      socket.write('{"event": "SHUTDOWN", "data": {"reason": "guest-shutdown"}}\r\n');
      socket.write(`{"return": {}, "id": ${id}}\r\n`);
    });
    const events: unknown[] = [];
    qmp.onEvent((event) => events.push(event));
    await qmp.run('stop');
    expect(events).toEqual([{ event: 'SHUTDOWN', data: { reason: 'guest-shutdown' } }]);
  });

  it('says what QEMU refuses, without its control characters', async () => {
    const qmp = await connect(({ id }, socket) => {
      socket.write(`${JSON.stringify({ error: { class: 'GenericError', desc: "no \u001b[2Jdevice 'n9'" }, id })}\r\n`);
    });
    await expect(qmp.run('set_link', { name: 'n9', up: true })).rejects.toMatchObject({
      code: 'HYPR_INTERNAL',
      message: "QEMU refused set_link: no device 'n9'",
    });
  });

  it('rejects what is unanswered when QEMU goes away', async () => {
    const qmp = await connect((_, socket) => socket.destroy());
    await expect(qmp.run('cont')).rejects.toMatchObject({ code: 'VMM_DIED' });
    await qmp.closed;
    await expect(qmp.run('cont')).rejects.toMatchObject({ code: 'VMM_DIED' });
  });

  it('is closed by a line without end', async () => {
    const qmp = await connect((_, socket) => {
      const chunk = Buffer.alloc(1 << 18, 'x');
      const more = () => socket.write(chunk, (error) => error ?? more());
      more();
    });
    await expect(qmp.run('cont')).rejects.toMatchObject({ code: 'VMM_DIED' });
  });

  it('gives up on an answer when it is told to', async () => {
    const qmp = await connect(() => {});
    const stop = new AbortController();
    const answer = qmp.run('cont', undefined, stop.signal);
    stop.abort(new Error('enough'));
    await expect(answer).rejects.toThrow('enough');
  });

  it('survives any bytes as messages', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.jsonValue().map((value) => JSON.stringify(value)),
        ),
        (line) => {
          const message = parseMessage(line);
          return message === undefined || (typeof message === 'object' && !Array.isArray(message));
        },
      ),
      runs(500),
    );
  });
});
