import { resolve } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { hyprHome } from '../../base/paths.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import { BUNDLE_STEPS, type DoctorCheck, SETUP_STEPS } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { foldFor, say } from '../core/output.ts';
import { hasUnicode, paintFor } from '../core/style.ts';
import { HYPR_VERSION } from '../core/version.ts';
import { withSteps } from './first-setup.ts';

/** `hypr setup`: every step with its progress; may be run again at any time. */
export const runSetup: Handler = async (invocation) => {
  const { flags } = invocation;
  // In automation nothing is drawn, whatever the streams are.
  const context = flags.bool('ci') ? { ...invocation.context, env: { ...invocation.context.env, CI: 'true' } } : invocation.context;
  if (flags.bool('links') && !flags.bool('docker')) {
    throw new HyprError('HYPR_USAGE', '--links goes with --docker');
  }
  if (flags.bool('docker')) {
    refuseTogether(invocation, ['bundle', 'from', 'ci', 'browser', 'system', 'undo']);
    return await (await import('./setup-docker.ts')).setupDocker(invocation);
  }
  if (['browser', 'system', 'undo'].some((flag) => flags.bool(flag))) {
    refuseTogether(invocation, ['bundle', 'from', 'ci']);
    return await (await import('./setup-names.ts')).setupNames(invocation);
  }
  if (flags.bool('dry-run')) {
    throw new HyprError(
      'HYPR_USAGE',
      'setup fetches only what is missing; --dry-run is for setup --browser, --system, --docker and --undo',
    );
  }
  const [bundle, from] = [flags.string('bundle'), flags.string('from')].map((file) => file && resolve(context.cwd, file));
  const engine = await context.engine();
  const { signal } = context.interrupts;
  if (bundle) {
    refuseTogether(invocation, ['from', 'ci']);
    await withSteps(context, flags, BUNDLE_STEPS, (onProgress) => engine.bundle(bundle, onProgress, signal));
    context.stderr.write(`wrote ${sanitiseText(bundle)}; on the other host: hypr setup --from FILE\n`);
    return 0;
  }
  const { toolchain, accelerator } = await withSteps(context, flags, SETUP_STEPS, (onProgress) =>
    engine.setup(onProgress, signal, from ? { from } : {}),
  );
  if (flags.bool('ci')) {
    const lines = { version: HYPR_VERSION, toolchain, accelerator, home: hyprHome(context.env) };
    context.stdout.write(
      Object.entries(lines)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
  }
  context.stderr.write('hypr is set up; check this host with: hypr doctor\n');
  return 0;
};

const refuseTogether = ({ flags }: Invocation, others: readonly string[]): void => {
  const given = others.find((name) => flags.given().some((flag) => flag.name === name));
  if (given !== undefined) {
    throw new HyprError('HYPR_USAGE', `--${given} cannot be given together with the other flags`);
  }
};

const MARKS = { ok: ['✔', '+'], warn: ['⚠', '!'], fail: ['✗', 'x'] } as const;
const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

/** `hypr doctor`: one line per check with a hint, the fence as a table; exit code 1 if something is broken. */
export const runDoctor: Handler = async ({ context, flags }) => {
  const format = flags.choice('format', ['text', 'table', 'json']);
  const engine = await context.engine();
  if (flags.bool('fix')) {
    await repair(context, flags, await engine.doctor(context.interrupts.signal));
  }
  const checks = (await engine.doctor(context.interrupts.signal)).map((check) => redact(check, context.home));
  const failed = checks.some((check) => check.status === 'fail');
  if (format === 'json') {
    context.stdout.write(`${JSON.stringify(checks, null, 2)}\n`);
    return failed ? 1 : 0;
  }
  const paint = paintFor(context, context.stdout, flags);
  const column = hasUnicode(context.env) ? 0 : 1;
  const write = (line: string): boolean => context.stdout.write(foldFor(context.stdout, `${line}\n`));
  for (const check of checks) {
    const detail = check.detail ? `: ${sanitiseText(check.detail)}` : '';
    write(`${paint(COLOURS[check.status], MARKS[check.status][column])} ${sanitiseText(check.title)}${detail}`);
    for (const { process, layer, holds, detail: words } of check.rows ?? []) {
      const mark = paint(holds ? 'green' : 'yellow', holds ? MARKS.ok[column] : '-');
      write(`    ${process.padEnd(8)} ${layer.padEnd(13)} ${mark} ${sanitiseText(words)}`);
    }
    if (check.fix && check.status !== 'ok') {
      write(`    fix: ${sanitiseText(check.fix)}`);
    }
  }
  return failed ? 1 : 0;
};

/** Users paste the report into issues, so it must not contain the name of their home folder. */
const redact = (check: DoctorCheck, home: string): DoctorCheck => {
  const hide = (text: string): string => (home.length > 1 ? text.replaceAll(home, '~') : text);
  return { ...check, title: hide(check.title), detail: hide(check.detail), ...(check.fix ? { fix: hide(check.fix) } : {}) };
};

/** Mends what needs no root and no decision; what is left is told by the checks that follow. */
const repair = async (context: CliContext, flags: Flags, checks: readonly DoctorCheck[]): Promise<void> => {
  const engine = await context.engine();
  const { signal } = context.interrupts;
  const wanted = new Set(checks.flatMap(({ status, repair: how }) => (status === 'ok' || how === undefined ? [] : [how])));
  if (wanted.has('set up')) {
    await withSteps(context, flags, SETUP_STEPS, (onProgress) => engine.setup(onProgress, signal));
  }
  if (wanted.has('recover')) {
    // Whoever opens a stack takes it over: what does not run any more is recorded so, what was left behind is removed.
    for (const { name } of await engine.listStacks({ all: true })) {
      const stack = await engine.openStack({ name, onNotice: (message) => say(context, `${name}: ${sanitiseText(message)}`) });
      await stack.ps().finally(() => stack.close());
    }
  }
  if (wanted.size === 0) {
    say(context, 'there is nothing that can be mended without root');
  }
};
