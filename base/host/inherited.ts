import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';

/*
 * Node passes a child only what `stdio` names, but of the descriptors it inherited itself it marks only about the first
 * sixteen close-on-exec. The others reach every child: after `flock -n 200; hypr up` the lock would be held until `down`, and
 * QEMU could write to any file that the shell had open.
 */

/**
 * Descriptors that this process inherited, beyond stdin, stdout and stderr, and would pass on to children; never
 * descriptors that Node opened itself.
 */
export const inheritedDescriptors = (): number[] => {
  const found: number[] = [];
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    if (fd > LAST_STANDARD && !isClosedOnExec(fd)) {
      found.push(fd);
    }
  }
  return found.sort((a, b) => a - b);
};

/** O_CLOEXEC, as /proc/PID/fdinfo/N has it (proc(5): `flags`, octal). */
const CLOSE_ON_EXEC = 0o2000000;
const LAST_STANDARD = 2;

/** Undefined for a descriptor that was closed meanwhile, such as the one used to list them. */
const isClosedOnExec = (fd: number): boolean => {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return flags === undefined || (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) !== 0;
  } catch {
    return true;
  }
};

/** For a process that outlives its caller: closes the descriptors it inherited, except `keep`. */
export const closeInherited = (keep: readonly number[]): void => {
  for (const fd of inheritedDescriptors()) {
    if (!keep.includes(fd)) {
      closeSync(fd);
    }
  }
};

/**
 * `stdio` for a child of a command that still needs its inherited descriptors (`-f <(…)`): the child gets /dev/null in
 * place of each. `done` closes our end once the child has started.
 */
export const withoutInherited = <T>(stdio: readonly T[]): { readonly stdio: Array<T | number | 'ignore'>; readonly done: () => void } => {
  const found = inheritedDescriptors().filter((fd) => fd >= stdio.length);
  if (found.length === 0) {
    return { stdio: [...stdio], done: () => {} };
  }
  const nothing = openSync('/dev/null', 'r');
  const all: Array<T | number | 'ignore'> = [...stdio];
  for (let fd = stdio.length; fd <= (found.at(-1) ?? 0); fd += 1) {
    all.push(found.includes(fd) ? nothing : 'ignore');
  }
  return { stdio: all, done: () => closeSync(nothing) };
};
