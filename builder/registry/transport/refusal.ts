import { HyprError } from '../../../base/errors.ts';
import { familiarName, familiarReference, repositoryName } from '../config/reference.ts';
import type { RepositoryOptions } from './access.ts';
import type { Response } from './http.ts';
import { readLimited } from './read-limited.ts';

const MAX_ANSWER = 64 * 1024;

interface RegistryFault {
  readonly code: string;
  readonly message: string;
}

/** Turns a registry's error response into a HyprError, in docker's words where docker has some. */
export const refusal = async (response: Response, input: RepositoryOptions & { what: string }): Promise<HyprError> => {
  const { reference, endpoint, credentials, what } = input;
  const { host } = new URL(endpoint.url);
  const verb = input.access ?? 'pull';
  const name = familiarName(reference);
  const faults = await readFaults(response);
  const details = faults.map(({ code, message }) => `${host}: ${code} ${message}`.trim());
  const status = response.statusCode;
  if ((status === 401 || status === 403) && credentials === undefined && verb === 'push') {
    return new HyprError('REGISTRY_AUTH', `push access denied for ${name}: ${host} wants a login`, {
      hint: `log in first: hypr login ${loginName(reference.domain)}`.trim(),
      details,
    });
  }
  if ((status === 401 || status === 403) && credentials === undefined) {
    return new HyprError('IMAGE_NOT_FOUND', `pull access denied for ${name}: the repository does not exist or may require a login`, {
      hint: `check the name; for a private repository: hypr login ${loginName(reference.domain)}`.trim(),
      details,
    });
  }
  if (status === 401 || status === 403) {
    return new HyprError('REGISTRY_AUTH', `${host} does not let these credentials ${verb} ${name}`, {
      hint: `log in with an account that may: hypr login ${loginName(reference.domain)}`.trim(),
      details,
    });
  }
  if (status === 404) {
    const unknownName = faults.some(({ code }) => code === 'NAME_UNKNOWN');
    const wanted = what.includes(':') ? `${name}@${what}` : familiarReference({ ...reference, tag: what, digest: undefined });
    return new HyprError(
      'IMAGE_NOT_FOUND',
      unknownName ? `the repository ${name} does not exist at ${host}` : `${wanted} does not exist at ${host}`,
      {
        hint: unknownName ? 'check the name' : 'check the tag',
        details,
      },
    );
  }
  if (status === 429) {
    return new HyprError('REGISTRY_ERROR', `${host} allows no more requests for now`, {
      hint: `wait, log in (hypr login), or set a mirror in HYPR_REGISTRY_MIRRORS`,
      details,
    });
  }
  return new HyprError('REGISTRY_ERROR', `${host} answered ${status} for ${name}`, { details });
};

const loginName = (domain: string): string => (domain === 'docker.io' ? '' : domain);

export const wrongDigest = ({ endpoint, reference }: RepositoryOptions, what: string, found: string): HyprError =>
  new HyprError('IMAGE_CORRUPT', `${what} of ${repositoryName(reference)} came from ${new URL(endpoint.url).host} as ${found}`, {
    hint: 'pull again; if it stays so, a proxy or mirror on the way changes what it passes on',
  });

/** Errors of the response body (distribution-spec "Error codes"); empty if it is anything else. */
const readFaults = async (response: Response): Promise<RegistryFault[]> => {
  try {
    const { errors } = JSON.parse((await readLimited(response, MAX_ANSWER)).toString('utf8')) as { errors?: unknown };
    return (Array.isArray(errors) ? errors : []).slice(0, 5).map((fault: { code?: unknown; message?: unknown }) => ({
      code: String(fault?.code ?? ''),
      message: String(fault?.message ?? ''),
    }));
  } catch {
    return [];
  }
};
