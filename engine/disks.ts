import { open, rename, rm } from 'node:fs/promises';
import { diskError, exists } from '../base/files.ts';
import { mustRun } from '../base/process.ts';
import type { Tool } from '../vmm/tools.ts';

/**
 * Makes a sparse ext4 disk of `sizeMib`, made aside and renamed so that a killed hypr leaves no half disk.
 * Tables are initialised lazily, so that even a large disk costs few blocks. With `keep`, an existing one stays.
 */
export const makeExt4Disk = async (options: {
  path: string;
  sizeMib: number;
  mkfs: Tool;
  label: string;
  signal?: AbortSignal;
}): Promise<void> => {
  const { path, mkfs } = options;
  if (await exists(path)) {
    return;
  }
  const aside = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(aside, 'w', 0o600);
    try {
      await file.truncate(options.sizeMib * 2 ** 20);
    } finally {
      await file.close();
    }
    const flags = [
      '-q',
      '-F',
      '-t',
      'ext4',
      '-m',
      '0',
      '-L',
      options.label.slice(0, 16),
      '-E',
      'lazy_itable_init=1,lazy_journal_init=1,nodiscard',
      '-J',
      'size=8',
      aside,
    ];
    await mustRun(mkfs.file, [...mkfs.prefix, ...flags], options.signal ? { signal: options.signal } : {});
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw diskError(error, path);
  }
};
