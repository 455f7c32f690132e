import { mkdir, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import { parseDockerfile } from '../../../builder/dockerfile/parse.ts';
import type { BuildRequest } from '../../model/types.ts';
import { notHere } from '../http/errors.ts';
import type { BuildFolders } from './build-folders.ts';
import { checkName, readReceived } from './read-received.ts';
import { receiveFolder } from './receive-folder.ts';
import type { Session } from './sessions.ts';

type Options = Readonly<Record<string, string>>;
export type Inputs = Pick<BuildRequest, 'context' | 'stdin' | 'dockerfile' | 'additionalContexts' | 'secrets' | 'findSecret'>;

/** Where buildx says that the context is its standard input. */
const FROM_SESSION = /^http:\/\/buildkit-session(\/.*)$/;

/** Brings what a build needs of its client into these folders, empty ones: Dockerfile, contexts and those secrets that the Dockerfile names. */
export const fetchInputs = async (session: Session, options: Options, folders: BuildFolders, signal: AbortSignal): Promise<Inputs> => {
  const folder = folders.contexts;
  const name = options.filename ?? 'Dockerfile';
  const additionalContexts = await fetchNamed(session, options, folder, signal);
  const remote = options.context;
  if (remote !== undefined && !remote.startsWith('local:')) {
    const path = FROM_SESSION.exec(remote)?.[1];
    const given = path === undefined ? {} : { stdin: pull(session, path, signal) };
    // Which secrets are needed says a Dockerfile that only the build sees.
    const findSecret = secretFinder(session, folders.secrets, signal);
    return {
      context: path === undefined ? remote : '-',
      ...given,
      dockerfile: { path: name },
      additionalContexts,
      secrets: {},
      findSecret,
    };
  }
  checkName(name);
  const own = await fetchInto(
    session,
    { name: options.dockerfilekey ?? 'dockerfile', only: [name, `${name}.dockerignore`] },
    folder,
    signal,
  );
  const key = options.contextkey ?? 'context';
  const dockerfile = await readReceived(own, name, signal);
  const ignored = (await readReceived(own, `${name}.dockerignore`, signal)) ?? (await fetchIgnore(session, key, folder, signal));
  const context = await fetchInto(session, { name: key, except: patternsOf(ignored ?? '') }, folder, signal);
  return {
    context,
    dockerfile: dockerfile === undefined ? { path: join(own, name) } : { text: dockerfile, name: posix.basename(name) },
    additionalContexts,
    secrets: await fetchSecrets(session, { text: dockerfile ?? '', file: name }, folders.secrets, signal),
  };
};

/** The same of a build whose context is the body of its request; a session beside it may have its secrets. */
export const bodyInputs = (
  session: Session | undefined,
  { options, body }: { readonly options: Options; readonly body: AsyncIterable<Uint8Array> },
  folders: BuildFolders,
  signal: AbortSignal,
): Inputs => ({
  context: '-',
  stdin: body,
  dockerfile: { path: options.filename ?? 'Dockerfile' },
  additionalContexts: {},
  secrets: {},
  ...(session === undefined ? {} : { findSecret: secretFinder(session, folders.secrets, signal) }),
});

let received = 0;

const fetchInto = async (
  session: Session,
  request: Parameters<typeof receiveFolder>[1],
  folder: string,
  signal: AbortSignal,
): Promise<string> => {
  received += 1;
  const place = join(folder, String(received));
  await mkdir(place, { mode: 0o755 });
  await receiveFolder(session, request, place, signal);
  return place;
};

const fetchIgnore = async (session: Session, key: string, folder: string, signal: AbortSignal): Promise<string | undefined> =>
  await readReceived(await fetchInto(session, { name: key, only: ['.dockerignore'] }, folder, signal), '.dockerignore', signal);

/** `context:NAME` of the options; a folder of the client comes as `local:KEY`. */
const fetchNamed = async (session: Session, options: Options, folder: string, signal: AbortSignal): Promise<Record<string, string>> => {
  const found: Record<string, string> = {};
  for (const [option, value] of Object.entries(options)) {
    const name = /^context:(.+)$/.exec(option)?.[1]?.replace(/::.*$/, '');
    if (name === undefined) {
      continue;
    }
    if (/^(input|target):/.test(value)) {
      throw notHere(
        `the context ${name} (${value})`,
        'a build takes no result of another build; build it first, and name its image with docker-image://',
      );
    }
    const local = /^local:(.+)$/.exec(value)?.[1];
    found[name] = local === undefined ? value : await fetchInto(session, { name: local }, folder, signal);
  }
  return found;
};

/** As BuildKit's client is told: without comments, relative, cleaned. */
const patternsOf = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => !line.startsWith('#') && line.trim() !== '')
    .map((line) => {
      const [, mark = '', rest = ''] = /^(!?)\s*(.*)$/.exec(line.replace(/^\ufeff/, '').trim()) ?? [];
      return `${mark}${posix.normalize(rest).replace(/^\//, '').replace(/\/$/, '')}`;
    })
    .filter((pattern) => pattern !== '' && pattern !== '!' && pattern !== '.');

/** Only those that a RUN or an ADD of the Dockerfile may ask for. What the client does not have is missing where it is needed. */
const fetchSecrets = async (
  session: Session,
  dockerfile: { readonly text: string; readonly file: string },
  folder: string,
  signal: AbortSignal,
): Promise<Inputs['secrets']> => {
  const found: Record<string, { file: string }> = {};
  const find = secretFinder(session, folder, signal);
  for (const id of secretsOf(dockerfile)) {
    const secret = await find(id);
    if (secret !== undefined) {
      found[id] = secret;
    }
  }
  return found;
};

/** Asks the client; undefined for what it does not have. */
const secretFinder = (session: Session, folder: string, signal: AbortSignal): NonNullable<Inputs['findSecret']> => {
  let number = 0;
  return async (id) => {
    try {
      const { data } = await session.secrets.getSecret({ ID: id }, { signal });
      number += 1;
      const file = join(folder, `secret${number}`);
      await writeFile(file, data, { mode: 0o600 });
      return { file };
    } catch (error) {
      if (!(error instanceof ConnectError) || (error.code !== Code.NotFound && error.code !== Code.Unimplemented)) {
        throw error;
      }
      return undefined;
    }
  };
};

const secretsOf = ({ text, file }: { readonly text: string; readonly file: string }): Set<string> => {
  const ids = new Set<string>();
  try {
    for (const instruction of parseDockerfile(text, file).stages.flatMap((stage) => stage.instructions)) {
      for (const { fields } of instruction.kind === 'run' ? instruction.mounts : []) {
        const id = fields.get('id') ?? posix.basename(fields.get('target') ?? '');
        if (fields.get('type') === 'secret' && id !== '') {
          ids.add(id);
        }
      }
    }
  } catch {
    // The build says what is wrong with it.
  }
  return ids;
};

async function* pull(session: Session, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const { data } of session.upload({ urlpath: [path] }).pull(nothing(), { signal })) {
    yield data;
  }
}

async function* nothing(): AsyncGenerator<never> {}
