import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { GatewayControl } from '../../../net/client/control.ts';
import { openNic, openTunnel } from '../../../net/client/streams.ts';
import { makeFolder, nicOf } from './helpers.ts';

// Stands for a gateway that went wrong.
let folder: ReturnType<typeof makeFolder>;
let server: Server;
let path: string;
let behave: (socket: Socket) => void;
let sockets: Socket[] = [];

const nic = nicOf({ mac: '02:00:00:00:00:0a', ip: '10.0.0.3' });

beforeEach(async () => {
  folder = makeFolder();
  path = join(folder.path, 's');
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', () => behave(socket));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
afterEach(async () => {
  for (const socket of sockets) {
    socket.destroy();
  }
  sockets = [];
  await new Promise((resolve) => server.close(resolve));
  folder.remove();
});

it('reads no more of an answer than its limit', async () => {
  behave = (socket) => {
    const chunk = 'x'.repeat(0x100000);
    const more = (): void => {
      while (!socket.destroyed && socket.write(chunk)) {}
      socket.once('drain', more);
    };
    more();
  };
  await expect(GatewayControl.open(path)).rejects.toMatchObject({ code: 'NET_START', message: expect.stringContaining('too long') });
  await expect(openTunnel(path, '10.0.0.3', 80)).rejects.toMatchObject({ code: 'NET_START' });
  await expect(openNic(path, nic)).rejects.toMatchObject({ code: 'NET_START' });
});

it('settles on every kind of answer', async () => {
  const answers = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.json({ maxDepth: 1 }).map((text) => `${text}\n`),
    fc.constantFrom(
      '',
      '{"ok":true}\n',
      '{"ok":true}\nmore',
      '{"ok":tru',
      '{"ok":false,"error":"no"}\n',
      '\n\n',
      '{"error":7}\n',
      'null\n',
    ),
  );
  await fc.assert(
    fc.asyncProperty(answers, async (text) => {
      behave = (socket) => socket.end(Buffer.from(text, 'latin1'));
      const results = await Promise.allSettled([GatewayControl.open(path), openTunnel(path, '10.0.0.3', 80), openNic(path, nic)]);
      for (const result of results.slice(1)) {
        if (result.status === 'fulfilled') {
          (result.value as Socket).destroy();
        }
      }
      if (results[0]?.status === 'fulfilled') {
        (results[0].value as GatewayControl).close();
      }
      expect(results[1]?.status).toBe(text.startsWith('{"ok":true}\n') ? 'fulfilled' : 'rejected');
    }),
    { numRuns: 60 },
  );
});

it('gives the reason of a refusal', async () => {
  behave = (socket) => socket.end('{"ok":false,"error":"no such machine"}\n');
  await expect(openTunnel(path, '10.0.0.3', 80)).rejects.toMatchObject({
    code: 'NET_ADDRESS',
    message: expect.stringContaining('no such machine'),
  });
  await expect(openNic(path, nic)).rejects.toMatchObject({ code: 'NET_ADDRESS', message: expect.stringContaining('no such machine') });
});

it('keeps what a tunnel sends right behind its answer', async () => {
  behave = (socket) => socket.end('{"ok":true}\nhello');
  const socket = await openTunnel(path, '10.0.0.3', 80);
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
  }
  expect(text).toBe('hello');
});

it('can be cancelled while nothing answers', async () => {
  behave = () => controller.abort(new Error('enough'));
  let controller = new AbortController();
  await expect(openNic(path, nic, controller.signal)).rejects.toThrow('enough');
  controller = new AbortController();
  await expect(openTunnel(path, '10.0.0.3', 80, controller.signal)).rejects.toThrow('enough');
  controller = new AbortController();
  await expect(GatewayControl.open(path, controller.signal)).rejects.toThrow('enough');
});

it('fails what waits when the gateway ends, and says so once', async () => {
  behave = (socket) => {
    socket.write('{"ok":true}\n');
    socket.on('data', () => socket.destroy());
  };
  const control = await GatewayControl.open(path);
  let closed = 0;
  control.onClose(() => {
    closed += 1;
  });
  await expect(Promise.all([control.request('state'), control.request('state')])).rejects.toMatchObject({ code: 'NET_START' });
  await expect(control.request('state')).rejects.toMatchObject({ code: 'NET_START' });
  expect(closed).toBe(1);
});

it('tells answers from each other and from events', async () => {
  behave = (socket) => {
    socket.write('{"ok":true}\n');
    let asked: number[] = [];
    socket.on('data', (data) => {
      asked = [...asked, ...[...String(data).matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id))];
      if (asked.length === 2) {
        socket.write('{"event":"refused","count":3}\nnonsense\n{"id":99,"ok":true}\n');
        socket.write(`{"id":${asked[1]},"ok":true,"state":"two"}\n{"id":${asked[0]},"ok":false,"error":"one"}\n`);
      }
    });
  };
  const control = await GatewayControl.open(path);
  const events: unknown[] = [];
  control.onEvent((event) => events.push(event));
  const [first, second] = await Promise.allSettled([control.request('a'), control.request('b')]);
  expect(first).toMatchObject({ status: 'rejected', reason: { code: 'NET_ADDRESS' } });
  expect(second).toMatchObject({ status: 'fulfilled', value: { state: 'two' } });
  expect(events).toEqual([{ event: 'refused', count: 3 }]);
  control.close();
});

it('leaves every byte after the handover to whoever inherits the socket', async () => {
  let sent = '';
  const granted = '{"ok":true}\n';
  behave = (socket) => {
    socket.on('data', (data) => {
      sent += String(data);
      socket.write('frames for the machine');
    });
    socket.write(granted);
  };
  const socket = await openNic(path, nic);
  await expect.poll(() => sent).toBe('\n');
  expect(socket.bytesRead).toBe(granted.length);
  socket.destroy();
});
