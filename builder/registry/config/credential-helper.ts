import { HyprError } from '../../../base/errors.ts';
import { type RunResult, runProgram } from '../../../base/host/process.ts';
import type { Credentials } from './types.ts';

const HELPER_MS = 30_000;
/** The user name by which docker marks an identity token. */
const TOKEN_USER = '<token>';
/**
 * Whether a helper says that it has no credentials for the server. Its protocol has no other sign for that than this
 * text (docker itself compares it), and helpers differ in which stream they write it to.
 */
const saysNotFound = ({ stdout, stderr }: RunResult): boolean => /credentials not found/i.test(stdout + stderr);

/** The protocol of docker-credential-helpers: `get`, `store` and `erase`; secrets go over stdin and stdout only. */
export interface CredentialHelper {
  readonly program: string;
  /** Undefined if the helper has none for the server. Like the other methods, throws REGISTRY_AUTH. */
  get(server: string): Promise<Credentials | undefined>;
  store(server: string, credentials: Credentials): Promise<void>;
  /** Removing credentials that do not exist is not an error. */
  erase(server: string): Promise<void>;
}

/** `name` is the value in docker's config.json: osxkeychain, pass, secretservice, ecr-login … */
export const openCredentialHelper = (name: string, env: NodeJS.ProcessEnv): CredentialHelper => {
  if (!/^[\w.-]+$/.test(name)) {
    throw new HyprError('REGISTRY_AUTH', `${JSON.stringify(name)} is not the name of a credential helper`);
  }
  const program = `docker-credential-${name}`;
  const run = (action: string, input: string) => runHelper(program, { action, input, env });
  return {
    program,
    get: async (server) => {
      const answer = await run('get', server);
      return answer === undefined ? undefined : parseAnswer(program, answer);
    },
    store: async (server, credentials) => {
      const [user, secret] =
        'identityToken' in credentials ? [TOKEN_USER, credentials.identityToken] : [credentials.username, credentials.password];
      await run('store', JSON.stringify({ ServerURL: server, Username: user, Secret: secret }));
    },
    erase: async (server) => {
      await run('erase', server);
    },
  };
};

/** The helper's stdout; undefined when it says that it has no credentials. */
const runHelper = async (
  program: string,
  { action, input, env }: { action: string; input: string; env: NodeJS.ProcessEnv },
): Promise<string | undefined> => {
  const result = await runProgram(program, [action], { input, timeout: HELPER_MS, env: { ...process.env, ...env } }).catch(
    (error: unknown) => {
      throw new HyprError('REGISTRY_AUTH', `the credential helper ${program} cannot be started`, {
        hint: 'install it, or take it out of ~/.docker/config.json',
        cause: error,
      });
    },
  );
  if (result.code === 0) {
    return result.stdout;
  }
  if (saysNotFound(result)) {
    return undefined;
  }
  // Helpers write errors to stdout, too; it is left out for `get`, where it could hold a secret.
  const words = action === 'get' ? result.stderr : `${result.stdout}\n${result.stderr}`;
  throw new HyprError('REGISTRY_AUTH', `the credential helper ${program} ended with exit code ${result.code}`, {
    details: words.trim().split('\n').slice(-3),
  });
};

const parseAnswer = (program: string, answer: string): Credentials => {
  try {
    const { Username, Secret } = JSON.parse(answer) as { Username: string; Secret: string };
    return Username === TOKEN_USER ? { identityToken: Secret } : { username: Username, password: Secret };
  } catch (error) {
    throw new HyprError('REGISTRY_AUTH', `the credential helper ${program} answered with something that is not JSON`, { cause: error });
  }
};
