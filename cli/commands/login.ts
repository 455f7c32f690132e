import { HyprError } from '../../base/errors.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { RegistryLogins } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import { askLine, askSecret } from '../core/prompt.ts';

type Login = NonNullable<Awaited<ReturnType<RegistryLogins['find']>>>;

const MAX_PASSWORD = 64 * 1024;

/** `hypr login`, with docker's messages. Without arguments an earlier login is tried first. */
export const runLogin: Handler = async (invocation) => {
  const { context, args } = invocation;
  const server = args[0];
  const given = await givenLogin(invocation);
  const logins = await (await context.engine()).registryLogins();
  logins.nameOf(server);
  if (given.username === undefined && given.password === undefined && (await tryEarlier(context, logins, server))) {
    return 0;
  }
  await logIn(context, { logins, server, login: await complete(context, given, await logins.find(server)) });
  return 0;
};

/** `hypr logout`. Not being logged in is no failure, as with docker. */
export const runLogout: Handler = async ({ context, args }) => {
  const logins = await (await context.engine()).registryLogins();
  const name = sanitiseName(logins.nameOf(args[0]));
  const was = await logins.logout(args[0]);
  context.stdout.write(was ? `Removing login credentials for ${name}\n` : `Not logged in to ${name}\n`);
  return 0;
};

interface Given {
  readonly username: string | undefined;
  readonly password: string | undefined;
}

const givenLogin = async ({ context, flags }: Invocation): Promise<Given> => {
  const username = flags.string('username');
  const password = flags.string('password');
  if (password !== undefined) {
    context.stderr.write('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n');
  }
  if (!flags.bool('password-stdin')) {
    return { username, password };
  }
  if (password !== undefined) {
    throw new HyprError('HYPR_USAGE', '--password and --password-stdin are mutually exclusive');
  }
  if (!username) {
    throw new HyprError('HYPR_USAGE', 'Must provide --username with --password-stdin');
  }
  return { username, password: await readPassword(context) };
};

/** All of standard input, without the line break at its end. */
const readPassword = async ({ stdin }: CliContext): Promise<string> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stdin) {
    parts.push(Buffer.from(part));
    size += part.length;
    if (size > MAX_PASSWORD) {
      throw new HyprError('HYPR_USAGE', `the password on standard input has more than ${MAX_PASSWORD} bytes`);
    }
  }
  return Buffer.concat(parts)
    .toString('utf8')
    .replace(/\r?\n$/, '');
};

const tryEarlier = async (context: CliContext, logins: RegistryLogins, server: string | undefined): Promise<boolean> => {
  const earlier = await logins.find(server);
  if (earlier === undefined) {
    return false;
  }
  context.stdout.write('Authenticating with existing credentials...\n');
  try {
    await logIn(context, { logins, server, login: earlier });
    return true;
  } catch (error) {
    if (!(error instanceof HyprError && error.code === 'REGISTRY_AUTH') || context.stdin.isTTY !== true) {
      throw error;
    }
    context.stderr.write('Stored credentials invalid or expired\n');
    return false;
  }
};

/** Prompts for missing values. */
const complete = async (context: CliContext, given: Given, earlier: Login | undefined): Promise<Login> => {
  if (given.username !== undefined && given.password !== undefined) {
    return { username: given.username, password: given.password };
  }
  if (context.stdin.isTTY !== true) {
    throw new HyprError('HYPR_USAGE', 'Cannot perform an interactive login from a non TTY device', {
      hint: 'give the password on standard input: hypr login -u NAME --password-stdin',
    });
  }
  const before = earlier !== undefined && 'username' in earlier ? earlier.username : undefined;
  const username = given.username ?? ((await askLine(context, `Username${before ? ` (${sanitiseName(before)})` : ''}: `)) || before || '');
  if (username === '') {
    throw new HyprError('HYPR_USAGE', 'username is required');
  }
  const password = given.password ?? (await askSecret(context, 'Password: '));
  if (password === '') {
    throw new HyprError('HYPR_USAGE', 'password is required');
  }
  return { username, password };
};

const logIn = async (
  context: CliContext,
  { logins, server, login }: { logins: RegistryLogins; server: string | undefined; login: Login },
): Promise<void> => {
  const { plainFile } = await logins.login(server, login, context.interrupts.signal);
  if (plainFile !== undefined) {
    context.stderr.write(
      `\nWARNING! Your credentials are stored unencrypted in '${sanitiseName(plainFile)}'.\n` +
        'Configure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n',
    );
  }
  context.stdout.write('Login Succeeded\n');
};
