import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { HyprError } from '../../base/errors.ts';
import { type ConfigOptions, type LoadedProject, loadProject } from '../../compose/index.ts';

/** Writes files into a fresh folder that goes when the test ends; gives its real path. */
export const projectFolder = async (files: Readonly<Record<string, string | Uint8Array>>): Promise<string> => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'hypr-compose-')));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
};

/** Loads files; a single text is compose.yaml. The environment is empty unless given. */
export const load = async (
  files: string | Readonly<Record<string, string | Uint8Array>>,
  options: Partial<ConfigOptions> = {},
): Promise<LoadedProject> => {
  const cwd = await projectFolder(typeof files === 'string' ? { 'compose.yaml': files } : files);
  return loadProject({ cwd, env: { HOME: '/home/u' }, ...options });
};

/** The error that loading ends in, with the folder cut from its texts. */
export const failure = async (files: string | Readonly<Record<string, string | Uint8Array>>, options: Partial<ConfigOptions> = {}) => {
  const cwd = await projectFolder(typeof files === 'string' ? { 'compose.yaml': files } : files);
  const error = await loadProject({ cwd, env: { HOME: '/home/u' }, ...options }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof HyprError)) {
    throw new Error(`expected a HyprError, got ${String(error)}`);
  }
  const short = (text: string) => text.replaceAll(`${cwd}/`, '');
  const { where } = error;
  return {
    code: error.code,
    message: short(error.message),
    hint: error.hint,
    at: where === undefined ? undefined : `${short(where.file)}:${where.line}:${where.column}`,
    details: error.details,
    ...(error.reason === undefined ? {} : { reason: error.reason }),
  };
};
