import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runtimeDir } from '../../base/paths.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { connectApi } from '../api/client/client.ts';
import { namesFrom } from '../api/messages/names.ts';
import type { NameReport, PublishedNames } from '../model/published-names.ts';
import { resolverAsksUs } from '../stack/names/loopback-ports.ts';
import { SOCKET, stackFolders } from './follow-stacks.ts';
import { mergeNames } from './merge-names.ts';

/** A supervisor that does not answer in this time is left out. */
const ANSWER_MS = 3_000;

/** The names of all stacks of this user now, and whether programs of this host find them. */
export const listNames = async (signal: AbortSignal, folder: string = runtimeDir()): Promise<NameReport> => {
  const sockets = stackFolders(folder)
    .map((name) => join(folder, name, SOCKET))
    .filter((socket) => existsSync(socket));
  const [stacks, reachesPrograms] = await Promise.all([
    Promise.all(sockets.map((socket) => askOnce(socket, signal))),
    resolverAsksUs(signal),
  ]);
  const answered = stacks.flatMap((names) => names ?? []);
  const names = mergeNames(answered).map(({ stack, name: { targets: _, isExtra: __, owner: ___, ...name } }) => ({ ...name, stack }));
  const problems = answered.flatMap((each) => each.problems.map((problem) => `${each.stack}: ${problem}`));
  return { domain: nameDomain(), reachesPrograms, names, problems };
};

const askOnce = async (socket: string, signal: AbortSignal): Promise<PublishedNames | undefined> => {
  const api = connectApi(socket);
  try {
    for await (const message of api.rpc.names({}, { signal, timeoutMs: ANSWER_MS })) {
      return namesFrom(message);
    }
  } catch {
    signal.throwIfAborted();
  } finally {
    api.close();
  }
  return undefined;
};
