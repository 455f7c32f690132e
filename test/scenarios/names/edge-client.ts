import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** A request to a name at an edge of this host, whatever the host's resolver knows; `body` is as many zeros. Resolves with the answer's head. */
export const askEdgeFor = async (url: string, options: { readonly body?: number } = {}): Promise<IncomingMessage> => {
  const { host, port, pathname, search } = new URL(url);
  const { body } = options;
  const asked = request({
    ...{ host: '127.0.0.1', port, path: pathname + search, headers: { host }, method: body === undefined ? 'GET' : 'POST' },
  });
  const answered = once(asked, 'response') as Promise<[IncomingMessage]>;
  if (body === undefined) {
    asked.end();
  } else {
    await pipeline(zeros(body), asked);
  }
  const [answer] = await answered;
  return answer;
};

export const textOf = async (answer: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) {
    text += chunk;
  }
  return text;
};

const zeros = (bytes: number): Readable => {
  const part = Buffer.alloc(2 ** 20);
  const parts = function* () {
    for (let left = bytes; left > 0; left -= part.length) {
      yield part.subarray(0, Math.min(left, part.length));
    }
  };
  return Readable.from(parts());
};
