import { HyprError, isErrno } from '../../base/errors.ts';
import { readNamedFile } from '../../base/host/read-named.ts';
import type { FileObject } from '../../compose/model/model.ts';
import { type ReplicaFile, SECRET_OR_CONFIG } from '../model/spec.ts';

/** The source of a secret's or config's content; undefined when it names none. Services and builds share this rule. */
export const fileSource = ({ environment, content, file }: FileObject): ReplicaFile['source'] | undefined => {
  if (environment !== undefined) {
    return { environment };
  }
  if (content !== undefined) {
    return { content };
  }
  return file === undefined ? undefined : { file };
};

/** Reads a service's secret or config. Throws COMPOSE_INVALID when its variable is not set or its file cannot be read. */
export const readFileContent = async (
  { source }: Pick<ReplicaFile, 'source'>,
  { service, environment }: { readonly service: string; readonly environment: Readonly<Record<string, string>> },
): Promise<Uint8Array> => {
  if ('content' in source) {
    return Buffer.from(source.content);
  }
  if ('environment' in source) {
    const value = environment[source.environment];
    if (value === undefined) {
      throw new HyprError(
        'COMPOSE_INVALID',
        `service ${service}: environment variable ${source.environment}, which a secret or config needs, is not set`,
        { hint: `set it in the environment or in .env: ${source.environment}=…` },
      );
    }
    return Buffer.from(value);
  }
  try {
    return await readNamedFile(source.file, SECRET_OR_CONFIG);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EISDIR', 'EACCES')) {
      throw new HyprError(
        'COMPOSE_INVALID',
        `service ${service}: the file ${source.file} of a secret or config cannot be read (${error.code})`,
        { cause: error, hint: 'create it, or name another file under "secrets:" or "configs:" at the top level' },
      );
    }
    throw error;
  }
};
