import { describe, expect, test } from 'vitest';
import { type FakeContext, fakeContext, run } from '../support/fake-context.ts';

const fed = (text: string): FakeContext => {
  const context = fakeContext();
  context.stdin.end(text);
  return context;
};

/** A terminal on which `keys` are typed as soon as they are asked for. */
const typing = (answers: Readonly<Record<string, string>>): FakeContext => {
  const context = fakeContext();
  context.stdin.isTTY = true;
  context.stderr.isTTY = true;
  const write = context.stderr._write.bind(context.stderr);
  context.stderr._write = (chunk, encoding, done) => {
    write(chunk, encoding, done);
    const keys = Object.entries(answers).find(([question]) => chunk.toString().includes(question))?.[1];
    if (keys !== undefined) {
      setImmediate(() => context.stdin.write(keys));
    }
  };
  return context;
};

describe('login', () => {
  test('with a password from standard input, as docker says it', async () => {
    const context = fed('secret\n');
    expect(await run(context, 'login -u me --password-stdin localhost:5000')).toBe(0);
    expect(context.fake.calls.at(-1)).toMatchObject({ name: 'login' });
    expect(context.fake.calls.at(-1)?.args.slice(0, 2)).toEqual(['localhost:5000', { username: 'me', password: 'secret' }]);
    expect(context.stdout.text).toBe('Login Succeeded\n');
    expect(context.stderr.text).toBe(
      "\nWARNING! Your credentials are stored unencrypted in '/home/me/.docker/config.json'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n",
    );
  });

  test('a password in argv works and is warned about', async () => {
    const context = fakeContext();
    expect(await run(context, 'login -u me -p secret')).toBe(0);
    expect(context.stderr.text).toMatch(/^WARNING! Using --password via the CLI is insecure\. Use --password-stdin\.\n/);
    expect(context.stderr.text).not.toContain('secret');
  });

  test.each([
    ['login', 'Cannot perform an interactive login from a non TTY device'],
    ['login -u me', 'Cannot perform an interactive login from a non TTY device'],
    ['login -u me -p x --password-stdin', '--password and --password-stdin are mutually exclusive'],
    ['login --password-stdin', 'Must provide --username with --password-stdin'],
  ])('%s is refused', async (line, message) => {
    const context = fed('');
    expect(await run(context, line)).toBe(1);
    expect(context.stderr.text).toContain(message);
  });

  test('asks on a terminal, and does not show the password', async () => {
    const context = typing({ 'Username: ': 'me\n', 'Password: ': 'sex\x7fcret\r' });
    expect(await run(context, 'login ghcr.io')).toBe(0);
    expect(context.fake.calls.at(-1)?.args.slice(0, 2)).toEqual(['ghcr.io', { username: 'me', password: 'secret' }]);
    expect(context.stdin.rawModes.slice(-2)).toEqual([true, false]);
    expect(context.stderr.text + context.stdout.text).not.toContain('cret');
  });

  test('Ctrl-C at the password leaves the terminal as it was', async () => {
    const context = typing({ 'Password: ': '\x03' });
    expect(await run(context, 'login -u me ghcr.io')).toBe(130);
    expect(context.stdin.rawModes.at(-1)).toBe(false);
  });

  test('an earlier login is used again', async () => {
    const context = fakeContext();
    context.fake.login = { username: 'me', password: 'old' };
    expect(await run(context, 'login ghcr.io')).toBe(0);
    expect(context.stdout.text).toBe('Authenticating with existing credentials...\nLogin Succeeded\n');
  });
});

test.each([
  ['logout', 'Removing login credentials for https://index.docker.io/v1/\n'],
  ['logout nowhere.example', 'Not logged in to nowhere.example\n'],
])('%s', async (line, text) => {
  const context = fakeContext();
  expect(await run(context, line)).toBe(0);
  expect(context.stdout.text).toBe(text);
});

describe('push', () => {
  test('prints repository and digest as docker does', async () => {
    const context = fakeContext();
    expect(await run(context, 'push app:1')).toBe(0);
    expect(context.stdout.text).toBe(
      `The push refers to repository [docker.io/library/app]\n1: digest: sha256:${'12'.repeat(32)} size: 528\n`,
    );
    expect(context.stderr.text).toContain('Image app:1 Pushed');
  });
  test('-q prints the name only', async () => {
    const context = fakeContext();
    await run(context, 'image push -q app:1');
    expect([context.stdout.text, context.stderr.text]).toEqual(['docker.io/library/app:1\n', '']);
  });
  test('of services', async () => {
    const context = fakeContext();
    expect(await run(context, 'compose push --include-deps --ignore-push-failures web')).toBe(0);
    expect(context.fake.calls.at(-1)?.args[1]).toEqual({ services: ['web'], includeDeps: true, ignoreFailures: true });
  });
});
