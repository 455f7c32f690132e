import { HyprError } from '../../../base/errors.ts';
import type { Response } from './http.ts';

/** Reads a small response body. Throws REGISTRY_ERROR beyond `limit` bytes. */
export const readLimited = async (response: Response, limit: number): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    const data = chunk as Buffer;
    size += data.length;
    if (size > limit) {
      response.body.destroy();
      throw new HyprError('REGISTRY_ERROR', `the registry's answer has more than ${limit} bytes`);
    }
    chunks.push(data);
  }
  return Buffer.concat(chunks);
};
