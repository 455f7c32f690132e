import { HyprError } from '../../../base/errors.ts';
import { sanitiseText } from '../../../base/sanitise.ts';
import type { BuildCheck, BuildOutline, BuildRequest, BuildTargets, ImageApi } from '../../../engine/model/types.ts';
import type { CliContext } from '../../core/context.ts';
import type { Flags } from '../../core/flags.ts';
import { documentation, printCheck } from '../../render/build-warnings.ts';

const METHODS = ['build', 'check', 'outline', 'targets'] as const;

export interface BuildCall {
  readonly method: (typeof METHODS)[number];
  readonly json: boolean;
  /** Findings do not make the command fail. */
  readonly ignoreStatus: boolean;
}

/** `--call METHOD[,format=json]` and `--check`. Throws HYPR_USAGE. */
export const parseCall = (flags: Flags): BuildCall => {
  const text = flags.string('call');
  const isCheck = flags.bool('check');
  const fields = (text ?? (isCheck ? 'check' : 'build')).split(',');
  const word = fields.find((field) => !field.includes('=') && field !== 'ignorestatus') ?? 'build';
  const name = word.replace(/^(subrequests|frontend)\./, '').replace(/^lint$/, 'check');
  const method = METHODS.find((each) => each === name);
  const format = fields.find((field) => field.startsWith('format='))?.slice('format='.length) ?? 'text';
  const unknown = fields.find((field) => field !== word && !/^(format=.*|ignorestatus(=.*)?)$/.test(field));
  if (method === undefined || unknown !== undefined || !['json', 'text'].includes(format)) {
    throw new HyprError('HYPR_USAGE', `--call does not know "${text}"`, {
      hint: `use one of: ${METHODS.join(', ')}, with ,format=json for programs`,
    });
  }
  if (isCheck && method !== 'check') {
    throw new HyprError('HYPR_USAGE', `--check and --call ${method} cannot be combined`);
  }
  return { method, json: format === 'json', ignoreStatus: fields.some((field) => /^ignorestatus(=true|=1)?$/.test(field)) };
};

/** Prints what a Dockerfile declares (`--call`); returns the exit code. */
export const runCall = async (
  context: Pick<CliContext, 'stdout' | 'interrupts'>,
  { call, request, images }: { call: BuildCall; request: BuildRequest; images: Pick<ImageApi, 'check' | 'outline' | 'targets'> },
): Promise<number> => {
  const { signal } = context.interrupts;
  const writeJson = (value: object) => context.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
  switch (call.method) {
    case 'outline': {
      const outline = await images.outline(request, signal);
      call.json ? writeJson(outline) : context.stdout.write(outlineText(outline));
      return 0;
    }
    case 'targets': {
      const targets = await images.targets(request, signal);
      call.json ? writeJson(targets) : context.stdout.write(targetsText(targets));
      return 0;
    }
    default: {
      const check = await images.check(request, signal);
      if (call.json) {
        writeJson(checkJson(check));
      }
      const status = call.json ? Number(check.findings.length > 0) : printCheck(context, check);
      return call.ignoreStatus ? 0 : status;
    }
  }
};

const outlineText = ({ name, description, args = [], secrets = [], ssh = [] }: BuildOutline): string => {
  const head = [['TARGET:', name ?? '(default)'], ...(description === undefined ? [] : [['DESCRIPTION:', description]])];
  const needs = (title: string, items: ReadonlyArray<{ name: string; required?: true }>) =>
    items.length === 0 ? '' : `${table([[title, 'REQUIRED'], ...items.map((item) => [item.name, item.required ? 'true' : ''])], 3)}\n`;
  const values = args.map((arg) => [arg.name, arg.value ?? '', arg.description ?? '']);
  return [
    name === undefined && description === undefined ? '' : `${table(head, 1)}\n`,
    args.length === 0 ? '' : `${table([['BUILD ARG', 'VALUE', 'DESCRIPTION'], ...values], 3)}\n`,
    needs('SECRET', secrets),
    needs('SSH', ssh),
  ].join('');
};

const targetsText = ({ targets }: BuildTargets): string => {
  const rows = targets.map((target) => {
    const name = [target.name ?? '', ...(target.default ? ['(default)'] : [])].filter((word) => word !== '').join(' ');
    return [name, target.description ?? ''];
  });
  return table([['TARGET', 'DESCRIPTION'], ...rows], 3);
};

/** As Go's tabwriter: every column but the last is as wide as its widest cell and the gap. */
const table = (rows: readonly (readonly string[])[], gap: number): string => {
  const shown = rows.map((row) => row.map((cell) => sanitiseText(cell)));
  const widths = (shown[0] ?? []).map((_, column) => Math.max(...shown.map((row) => (row[column] ?? '').length)) + gap);
  return shown
    .map((row) => `${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('')}\n`)
    .join('');
};

/** The keys of BuildKit's `frontend.lint`. */
const checkJson = ({ name, text, findings }: BuildCheck): object => ({
  warnings: findings.map(({ rule, message, line }) => ({
    ruleName: rule,
    url: documentation(rule),
    detail: message,
    location: { sourceIndex: 0, ranges: [{ start: { line }, end: { line } }] },
  })),
  sources: [{ filename: name, data: Buffer.from(text).toString('base64') }],
});
