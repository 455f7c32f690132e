import { create } from '@bufbuild/protobuf';
import { HyprError } from '../../../base/errors.ts';
import type { FilesAtRest } from '../../stack/files-at-rest.ts';
import { needRunning, pickReplica } from '../../stack/pick-replica.ts';
import type { StackSupervisor } from '../../stack/supervisor.ts';
import {
  type CopyChunk,
  CopyChunkSchema,
  type CopyInput,
  type CopyRequest,
  type CopyResponse,
  CopyResponseSchema,
} from '../gen/hypr_pb.ts';
import { toConnectError } from './errors.ts';
import { placeOf } from './requests.ts';
import { startOf } from './start-of.ts';

/** Unpacks the client's tar into a folder of a replica. */
export const copyTo = async (supervisor: StackSupervisor, input: AsyncIterable<CopyInput>, signal: AbortSignal): Promise<CopyResponse> => {
  const messages = input[Symbol.asyncIterator]();
  try {
    const start = await startOf(messages, 'a copy must say where to');
    await using files = await openFiles(supervisor, start, signal);
    await files.guest.writeTar(start.path, dataOf(messages), files.signal);
    if (start.durable) {
      await files.guest.sync(files.signal);
    }
    return create(CopyResponseSchema, {});
  } catch (error) {
    throw toConnectError(error);
  }
};

/** Packs a path of a replica as a tar. */
export async function* copyFrom(supervisor: StackSupervisor, request: CopyRequest, signal: AbortSignal): AsyncIterable<CopyChunk> {
  try {
    await using files = await openFiles(supervisor, request, signal);
    const tar = request.layer
      ? files.guest.readLayer(files.signal)
      : files.guest.readTar(request.path, { followLinks: request.followLinks }, files.signal);
    for await (const data of tar) {
      yield create(CopyChunkSchema, { data });
    }
  } catch (error) {
    throw toConnectError(error);
  }
}

/** The files of the replica that a request means: in its own machine while it runs, in one that is made for them while it does not. */
const openFiles = async (supervisor: StackSupervisor, request: CopyRequest, signal: AbortSignal): Promise<FilesAtRest> => {
  const place = placeOf(request);
  if (request.path === '') {
    throw new HyprError('HYPR_USAGE', 'a copy needs a path');
  }
  const replica = pickReplica(supervisor, place);
  if (replica.isAtRest) {
    return supervisor.filesAtRest(replica, { volumes: !request.layer }, signal);
  }
  const running = needRunning(replica);
  const expected = running.expectAnswer(signal);
  return { guest: running.run.guest, signal: expected.signal, [Symbol.asyncDispose]: async () => expected[Symbol.dispose]() };
};

async function* dataOf(messages: AsyncIterator<CopyInput>): AsyncGenerator<Uint8Array> {
  for (let next = await messages.next(); !next.done; next = await messages.next()) {
    if (next.value.input.case === 'data') {
      yield next.value.input.value;
    }
  }
}
