import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileKestrel } from '../../guest/image/compile.ts';
import type { GuestProcess, MachineConfig, ProcessSpec } from '../../guest/types.ts';
import { killAtExit, removeAtExit } from '../support/left-over.ts';
import { asUserZero } from '../support/user-namespace.ts';

/** The real agent, compiled as an ordinary program that listens on a unix socket. */
export interface HostAgent {
  readonly socket: string;
  readonly folder: string;
  readonly exited: Promise<number | null>;
  stop(): Promise<void>;
}

/** Compiled once for all test files of a run; the name is the hash of the sources. scripts/coverage.mjs brings one that counts. */
export const compileHostAgent = async (): Promise<string> =>
  process.env.HYPR_TEST_AGENT ?? compileKestrel(join(tmpdir(), `hypr-test-${process.getuid?.()}`), { hostTest: true });

export const startHostAgent = async (): Promise<HostAgent> => {
  const file = await compileHostAgent();
  const folder = removeAtExit(await mkdtemp(join(tmpdir(), 'hypr-agent-')));
  const socket = join(folder, 's');
  // A program without a user is user 0's, as in a machine.
  const command = await asUserZero(file, [socket]);
  const child = spawn(command.file, command.args, { stdio: ['ignore', 'ignore', 'pipe'] });
  // A test that fails does not reach `stop`.
  const forget = killAtExit(child);
  const exited = new Promise<number | null>((resolve) =>
    child.once('exit', (code) => {
      forget();
      resolve(code);
    }),
  );
  await untilSaid(child, 'waiting for its configuration');
  return {
    socket,
    folder,
    exited,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
};

const untilSaid = (child: ChildProcess, text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(text)) {
        resolve();
      }
    });
    child.once('exit', () => reject(new Error(`the agent ended: ${said}`)));
  });

export const machineConfig = (more: Partial<MachineConfig> = {}): MachineConfig => ({
  hostname: 'web-1',
  machineId: '0123456789abcdef0123456789abcdef',
  entropy: new Uint8Array(64).fill(7),
  clock: 1_800_000_000_000,
  root: { disk: 'root', upper: 'upper', readOnly: false },
  mounts: [],
  nics: [],
  resolver: { names: {}, search: [], upstreams: [], options: [] },
  hosts: [],
  files: [],
  sysctls: {},
  ...more,
});

export const processSpec = (args: readonly string[], more: Partial<ProcessSpec> = {}): ProcessSpec => ({
  args,
  env: ['PATH=/usr/local/bin:/usr/bin:/bin'],
  cwd: '/',
  user: '',
  groups: [],
  tty: false,
  stdin: false,
  ...more,
});

/** Everything a program says, by stream. */
export const readAll = async (process: Pick<GuestProcess, 'output'>): Promise<{ stdout: string; stderr: string }> => {
  const text = { stdout: '', stderr: '' };
  for await (const chunk of process.output) {
    text[chunk.stream] += Buffer.from(chunk.data).toString('utf8');
  }
  return text;
};

export const collect = async (stream: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of stream) {
    parts.push(part);
  }
  return Buffer.concat(parts);
};

export async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}
