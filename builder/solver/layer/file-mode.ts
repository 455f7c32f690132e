import { StepFault } from './step-error.ts';

/** What --chmod does to the mode of one file or folder. */
export type ModeChange = (mode: number, isDir: boolean) => number;

const WHO: Readonly<Record<string, number>> = { u: 0o700, g: 0o070, o: 0o007 };
const BITS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111 };

/** Parses --chmod: octal up to 7777, or symbolic (`u=rwX,go=rX`). Throws StepFault. */
export const parseModeChange = (text: string): ModeChange => {
  if (/^\d+[a-z]*$/i.test(text) || text === '') {
    if (!/^[0-7]+$/.test(text)) {
      throw new StepFault(`invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`);
    }
    const mode = Number.parseInt(text, 8);
    if (mode > 0o7777) {
      throw new StepFault(`invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`);
    }
    return () => mode;
  }
  const clauses = text.split(',').map((clause) => parseClause(clause, text));
  return (mode, isDir) => clauses.reduce((current, change) => change(current, isDir), mode);
};

const parseClause = (clause: string, text: string): ModeChange => {
  const match = /^([ugoa]*)([-+=])([rwxXst]*)$/.exec(clause);
  if (match === null) {
    throw new StepFault(`invalid chmod parameter: '${text}'. it should be octal, or symbolic such as u=rwX,go=rX`);
  }
  const [, who = '', operator = '', permissions = ''] = match;
  const mask = who === '' || who.includes('a') ? 0o777 : [...who].reduce((sum, one) => sum | (WHO[one] ?? 0), 0);
  return (mode, isDir) => {
    const bits = [...permissions].reduce((sum, one) => sum | bitsOf(one, { mask, exec: isDir || (mode & 0o111) !== 0 }), 0);
    if (operator === '=') {
      return (mode & ~mask) | bits;
    }
    return operator === '+' ? mode | bits : mode & ~bits;
  };
};

/** `X` is execution where it makes sense; `s` and `t` are the bits above the permissions. */
const bitsOf = (permission: string, { mask, exec }: { mask: number; exec: boolean }): number => {
  switch (permission) {
    case 'X':
      return exec ? 0o111 & mask : 0;
    case 's':
      return ((mask & 0o700) !== 0 ? 0o4000 : 0) | ((mask & 0o070) !== 0 ? 0o2000 : 0);
    case 't':
      return 0o1000;
    default:
      return (BITS[permission] ?? 0) & mask;
  }
};
