import { SyntaxFault } from './errors.ts';
import { readHeredocHeads } from './heredoc.ts';
import type { KeyValue, RawInstruction, SourceRange } from './instruction.ts';
import { splitBlanks, splitCommand, splitFirst, splitQuoted } from './words.ts';

interface LineContext {
  readonly escape: string;
  readonly range: SourceRange;
  readonly comments: readonly string[];
}

type Arguments = Pick<RawInstruction, 'args'> & Partial<Pick<RawInstruction, 'json' | 'pairs' | 'trigger'>>;
type ArgumentParser = (rest: string, context: LineContext, depth: number) => Arguments;

const MAX_ONBUILD = 10;

/** One logical line as keyword, flags and arguments. Throws SyntaxFault. */
export const parseLine = (line: string, context: LineContext, depth = 0): RawInstruction => {
  const { keyword, flags, rest } = splitCommand(line);
  const parse = ARGUMENTS[keyword.toLowerCase()] ?? (() => ({ args: [] }));
  const parsed = parse(rest, context, depth);
  return {
    keyword: keyword.toLowerCase(),
    flags,
    json: false,
    pairs: [],
    heredocs: [],
    original: line,
    range: context.range,
    comments: context.comments,
    ...parsed,
  };
};

/** The heredocs a line opens: only RUN, COPY and ADD have them (also behind ONBUILD), and never in JSON form. */
export const heredocsOfLine = (line: string, instruction: RawInstruction): ReturnType<typeof readHeredocHeads> => {
  const holder = instruction.keyword === 'onbuild' ? instruction.trigger : instruction;
  const allowed = holder !== undefined && ['run', 'copy', 'add'].includes(holder.keyword) && !holder.json;
  return allowed ? readHeredocHeads(line) : [];
};

const parseWhole: ArgumentParser = (rest) => ({ args: rest === '' ? [] : [rest] });
const parseBlanks: ArgumentParser = (rest) => ({ args: splitBlanks(rest) });

const parseJson = (rest: string): string[] | undefined => {
  if (!rest.trimStart().startsWith('[')) {
    return undefined;
  }
  let value: unknown;
  try {
    value = JSON.parse(rest);
  } catch {
    // Not JSON: the shell form may also start with a bracket.
    return undefined;
  }
  if (!Array.isArray(value)) {
    return undefined;
  }
  if (!value.every((item) => typeof item === 'string')) {
    throw new SyntaxFault('when using JSON array syntax, arrays must be comprised of strings only');
  }
  return value;
};

const parseMaybeJson: ArgumentParser = (rest) => {
  const list = parseJson(rest);
  return list ? { args: list, json: true } : { args: rest === '' ? [] : [rest] };
};

const parseMaybeJsonList: ArgumentParser = (rest) => {
  const list = parseJson(rest);
  return list ? { args: list, json: true } : { args: splitBlanks(rest) };
};

const parsePairs =
  (keyword: string): ArgumentParser =>
  (rest, context) => {
    const words = splitQuoted(rest, context.escape);
    if (words.length === 0) {
      return { args: [] };
    }
    if (!words[0]?.includes('=')) {
      const [name, value] = splitFirst(rest);
      if (value === undefined) {
        throw new SyntaxFault(`${keyword} must have two arguments`);
      }
      return { args: words, pairs: [{ name, value, legacy: true }] };
    }
    return { args: words, pairs: words.map(splitPair) };
  };

const splitPair = (word: string): KeyValue => {
  const at = word.indexOf('=');
  if (at < 0) {
    throw new SyntaxFault(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
  }
  return { name: word.slice(0, at), value: word.slice(at + 1), legacy: false };
};

const parseHealthcheck: ArgumentParser = (rest, context, depth) => {
  if (rest === '') {
    return { args: [] };
  }
  const match = /\s+/u.exec(rest);
  const type = match ? rest.slice(0, match.index) : rest;
  const command = parseMaybeJson(match ? rest.slice(match.index + match[0].length) : '', context, depth);
  return { ...command, args: [type, ...command.args] };
};

const parseOnbuild: ArgumentParser = (rest, context, depth) => {
  if (rest === '') {
    return { args: [] };
  }
  if (depth >= MAX_ONBUILD) {
    throw new SyntaxFault("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  return { args: [rest], trigger: parseLine(rest, context, depth + 1) };
};

const ARGUMENTS: Readonly<Record<string, ArgumentParser>> = {
  add: parseMaybeJsonList,
  arg: (rest, context) => ({ args: splitQuoted(rest, context.escape) }),
  cmd: parseMaybeJson,
  copy: parseMaybeJsonList,
  entrypoint: parseMaybeJson,
  env: parsePairs('ENV'),
  expose: parseBlanks,
  from: parseBlanks,
  healthcheck: parseHealthcheck,
  label: parsePairs('LABEL'),
  maintainer: parseWhole,
  onbuild: parseOnbuild,
  run: parseMaybeJson,
  shell: parseMaybeJson,
  stopsignal: parseWhole,
  user: parseWhole,
  volume: parseMaybeJsonList,
  workdir: parseWhole,
};
