import type { ClientRequest, IncomingMessage } from 'node:http';

/** The answer to a request. Rejects where there will be none, also after an upgrade that nobody asked for, which Node ends in silence. */
export const responseTo = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
    request.once('close', () => reject(new Error('the connection ended without an answer')));
  });
