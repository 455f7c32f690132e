import { spawn } from 'node:child_process';
import type { Step } from './day.ts';
import { errorClass, normalise } from './normalise.ts';

/** One of the two: its program, the folder in which its commands run, and what it needs in the environment. */
export interface Engine {
  readonly name: 'docker' | 'hypr';
  readonly program: string;
  readonly cwd: string;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Longer than any command of the day on a busy machine. */
const TIMEOUT_MS = 120_000;

/** Runs a line with `docker` as that engine. A line that does not end in time has the exit code -1. */
export const runLine = (engine: Engine, line: string): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const script = `docker() { command "$DAY_PROGRAM" "$@"; }\n${line.replace(/xargs ((-\w+ (\d+ )?)*)docker/g, 'xargs $1"$DAY_PROGRAM"')}`;
    const child = spawn('sh', ['-c', script], {
      cwd: engine.cwd,
      env: { ...process.env, DAY_PROGRAM: engine.program, NO_COLOR: '1', DOCKER_CLI_HINTS: 'false' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), TIMEOUT_MS);
    const read = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      read.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      read.stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? -1, ...read });
    });
  });

/** Where two outcomes of a step differ, one line for each; `cwds`: the folders in which they ran. */
export const compareOutcomes = (
  step: Step,
  docker: Outcome,
  hypr: Outcome,
  cwds: { readonly docker: string; readonly hypr: string },
): string[] => {
  const differences: string[] = [];
  const compare = (what: string, a: string | number | undefined, b: string | number | undefined): void => {
    if (a !== b) {
      differences.push(`${what}: docker ${JSON.stringify(a)}, hypr ${JSON.stringify(b)}`);
    }
  };
  compare('exit code', docker.code, hypr.code);
  if (!step.exitOnly) {
    compare('stdout', normalise(docker.stdout, cwds.docker), normalise(hypr.stdout, cwds.hypr));
    if (docker.code !== 0) {
      compare('error', errorClass(docker.stderr), errorClass(hypr.stderr));
    }
  }
  return differences;
};
