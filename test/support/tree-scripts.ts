import { randomNumbers } from './seed.ts';

const NAMES = ['a', 'b', 'c'] as const;

/** Folders in which a script works; each is a case of its own. */
const CASES = 6;

/**
 * A shell script that changes `CASES` small trees at random: files and folders made, removed, made again as something else,
 * renamed, linked, their modes and times changed. What can't be done is passed over. `seed` and `step` decide all of it.
 */
export const randomTreeScript = (seed: number, step: number): string => {
  const random = randomNumbers(seed + step * 7919);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const path = () => Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(NAMES)).join('/');
  const operations: ReadonlyArray<() => string> = [
    () => `mkdir -p ${path()}`,
    () => `mkdir -p ${path()}`,
    () => `echo ${Math.floor(random() * 100)} > ${path()}`,
    () => `rm -rf ${path()}`,
    () => remakeOf(path()),
    () => `mv ${path()} ${path()}`,
    () => `ln ${path()} ${path()}`,
    () => `ln -s ${pick(NAMES)} ${path()}`,
    () => `chmod ${pick(['700', '755', '644', '1777'])} ${path()}`,
    () => `touch -d @${Math.floor(random() * 1e9)} ${path()}`,
    () => `touch ${path()}`,
  ];
  const remakeOf = (folder: string) => `rm -rf ${folder} && mkdir -p ${folder}/${pick(NAMES)}`;
  const lines = Array.from({ length: CASES }, (_, number) => [
    `mkdir -p /t/${number} && cd /t/${number}`,
    ...Array.from({ length: 1 + Math.floor(random() * 8) }, () => `{ ${pick(operations)()}; } 2>/dev/null`),
  ]);
  return `${lines.flat().join('\n')}\ntrue`;
};

/** A command that prints all of /t: type, mode, owner, time, name, what a link names and what a file holds. */
export const LIST_TREES =
  'find /t | sort | while read -r f; do stat -c \'= %A %u %g %Y %n\' "$f"; if [ -h "$f" ]; then readlink "$f"; elif [ -f "$f" ]; then cat "$f"; fi; done';
