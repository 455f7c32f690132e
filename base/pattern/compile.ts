import { parsePattern } from './parse.ts';
import type { Ast } from './parts.ts';

/** One step of a program: a character, a place where two ways go on, a condition on the place, or the end. */
type Step =
  | { readonly kind: 'char'; readonly accepts: (char: string) => boolean; readonly next: number }
  | { readonly kind: 'split'; a: number; readonly b: number }
  | { readonly kind: 'at'; readonly holds: (before: string | undefined, after: string | undefined) => boolean; readonly next: number }
  | { readonly kind: 'end' };

/** Go allows a thousand repetitions; more steps than this are for patterns that are meant to be slow. */
const MOST_STEPS = 4_000;

/**
 * Looks for a pattern of Go's regular expressions (RE2: no references back, no looking around) anywhere in a text. Its time grows with the
 * length of the pattern times that of the text, whatever the pattern: whoever filters a list may be a program inside a machine. Throws
 * PatternFault, whose message is Go's.
 */
export const compilePattern = (pattern: string): ((text: string) => boolean) => {
  const steps: Step[] = [{ kind: 'end' }];
  const start = emit(parsePattern(pattern, MOST_STEPS), 0, steps);
  return (text) => finds(steps, start, [...text]);
};

/** Puts the steps of a part before those from `next` on, and gives the first of them. */
const emit = (part: Ast, next: number, steps: Step[]): number => {
  switch (part.kind) {
    case 'char':
      return steps.push({ kind: 'char', accepts: part.accepts, next }) - 1;
    case 'at':
      return steps.push({ kind: 'at', holds: part.holds, next }) - 1;
    case 'all':
      return part.parts.reduceRight((after, each) => emit(each, after, steps), next);
    case 'any':
      return part.parts.map((each) => emit(each, next, steps)).reduceRight((b, a) => steps.push({ kind: 'split', a, b }) - 1);
    case 'repeat':
      return emitRepeat(part, next, steps);
  }
};

const emitRepeat = ({ part, least, most }: Extract<Ast, { kind: 'repeat' }>, next: number, steps: Step[]): number => {
  let after = next;
  if (most === undefined) {
    const split: Step = { kind: 'split', a: next, b: next };
    after = steps.push(split) - 1;
    split.a = emit(part, after, steps);
  }
  for (let left = (most ?? least) - least; left > 0; left -= 1) {
    after = steps.push({ kind: 'split', a: emit(part, after, steps), b: next }) - 1;
  }
  for (let left = least; left > 0; left -= 1) {
    after = emit(part, after, steps);
  }
  return after;
};

/** All ways are followed at once, one character after the other. */
const finds = (steps: readonly Step[], start: number, text: readonly string[]): boolean => {
  let ways: number[] = [];
  for (let at = 0; at <= text.length; at += 1) {
    // It may begin at any character.
    ways.push(start);
    const [before, char] = [text[at - 1], text[at]];
    const after: number[] = [];
    const seen = new Set<number>();
    for (let index = ways.pop(); index !== undefined; index = ways.pop()) {
      const step = steps[index];
      if (step === undefined || seen.has(index)) {
        continue;
      }
      seen.add(index);
      if (step.kind === 'end') {
        return true;
      }
      if (step.kind === 'split') {
        ways.push(step.b, step.a);
      } else if (step.kind === 'at') {
        ways.push(...(step.holds(before, char) ? [step.next] : []));
      } else if (char !== undefined && step.accepts(char)) {
        after.push(step.next);
      }
    }
    ways = after;
  }
  return false;
};
