import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { ExpandError, expandWord, expandWords } from '../../../builder/dockerfile/expand.ts';
import { findTarget, parseDockerfile } from '../../../builder/dockerfile/parse.ts';
import { runs } from '../../support/seed.ts';

const parse = (text: string) => parseDockerfile(text, 'Dockerfile');
const first = (line: string) => parse(`FROM x\n${line}\n`).stages[0]?.instructions[0];
const fault = (text: string): HyprError => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof HyprError) {
      return error;
    }
    throw error;
  }
  throw new Error(`${text} was accepted`);
};

describe('lines', () => {
  it('have ranges, comments and joined text', () => {
    const { stages } = parse('\ufeff# about x\nFROM x AS One\r\n\n# doc\nRUN a \\\n\n # inside\n  b\\\\\n\nCOPY <<E /\n# kept\nE\n');
    expect(stages[0]?.from).toMatchObject({ name: 'one', image: 'x', range: { line: 2, endLine: 2 }, comments: ['about x'] });
    expect(stages[0]?.instructions).toMatchObject([
      { kind: 'run', text: 'RUN a   b\\\\', range: { line: 5, endLine: 8 }, comments: ['doc'] },
      { kind: 'copy', range: { line: 10, endLine: 12 }, documents: [{ name: 'E', content: '# kept\n', written: '# kept\n' }] },
    ]);
  });

  it('warn about empty continuations', () => {
    expect(parse('FROM x\nRUN a \\\n\n b\n').warnings).toEqual([{ message: expect.stringContaining('NoEmptyContinuation'), line: 4 }]);
  });
});

describe('directives', () => {
  it('count only at the top', () => {
    expect(parse('# Syntax=docker/dockerfile:1.7-labs\n#escape=`\n# check=skip=all\nFROM x\n').directives).toEqual({
      escape: '`',
      syntax: 'docker/dockerfile:1.7-labs',
      check: 'skip=all',
    });
    expect(parse('# hello\n# escape=`\nFROM x\n').directives.escape).toBe('\\');
    expect(parse('#!/usr/bin/env x\n# escape=`\nFROM x\n').directives.escape).toBe('\\');
    expect(parse('\n# escape=`\nFROM x\n').directives.escape).toBe('\\');
  });

  it.each([
    ['# escape=`\n# escape=`\nFROM x', 'only one escape parser directive can be used', 2],
    ['# escape=x\nFROM x', "invalid escape token 'x'", 1],
    ['# syntax=evil/frontend\nFROM x', 'the front end evil/frontend is not supported', 1],
  ])('%j', (text, message, line) => {
    expect(fault(text)).toMatchObject({
      code: 'DOCKERFILE_SYNTAX',
      message: expect.stringContaining(message),
      where: { file: 'Dockerfile', line },
    });
  });
});

describe('heredocs', () => {
  const docs = (text: string) => {
    const instruction = first(text);
    return instruction?.kind === 'run' ? instruction.heredocs : instruction?.kind === 'copy' ? instruction.documents : undefined;
  };

  it.each([
    ['RUN cat <<EOF\na\nEOF', [{ name: 'EOF', fd: 0, expand: true, chomp: false, content: 'a\n', written: 'a\n' }]],
    [
      'RUN 3<<A 4<<-"B" x\n1\nA\n\t2\n\tB',
      [
        { name: 'A', fd: 3, expand: true, chomp: false, content: '1\n', written: '1\n' },
        { name: 'B', fd: 4, expand: false, chomp: true, content: '2\n', written: '\t2\n' },
      ],
    ],
    [
      "COPY <<'a b' /x\nFROM y\n# z \\\na b",
      [{ name: 'a b', fd: 0, expand: false, chomp: false, content: 'FROM y\n# z \\\n', written: 'FROM y\n# z \\\n' }],
    ],
    ['RUN <<E\\OF\nx\nEOF', [{ name: 'EOF', fd: 0, expand: false, chomp: false, content: 'x\n', written: 'x\n' }]],
    ['RUN cat <<<EOF', []],
    ['RUN ["cat", "<<EOF"]', []],
    ['RUN echo "<<EOF"', []],
    ["RUN echo '<<EOF", []],
    ['RUN echo $((1<<2))', []],
  ])('%j', (text, expected) => {
    expect(docs(text)).toEqual(expected);
  });

  it('go with ONBUILD, and must end', () => {
    expect(first('ONBUILD COPY <<E /x\n\tbody\nE')).toMatchObject({ kind: 'onbuild', expression: 'COPY <<E /x\n\tbody\nE' });
    expect(fault('FROM x\n\nRUN <<EOF\nEO')).toMatchObject({
      message: 'dockerfile parse error on line 3: unterminated heredoc',
      where: { line: 3 },
    });
  });
});

describe('flags', () => {
  it('respect quotes and end at --', () => {
    expect(first('RUN --mount=type=cache,id="a b",target=/c --network=none echo --x')).toMatchObject({
      mounts: [
        {
          text: 'type=cache,id=a b,target=/c',
          fields: new Map([
            ['type', 'cache'],
            ['id', 'a b'],
            ['target', '/c'],
          ]),
          from: undefined,
        },
      ],
      network: 'none',
      command: { args: ['echo --x'] },
    });
    expect(first('COPY -- --from /x')).toMatchObject({ sources: ['--from'], target: '/x', from: undefined });
    expect(first('COPY --link --parents=false --exclude=a --exclude=b a b')).toMatchObject({
      link: true,
      parents: false,
      exclude: ['a', 'b'],
    });
  });
});

describe('refusals', () => {
  it.each([
    ['FNTRYPOINT x', 'unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)'],
    ['RUN --mount=type=cache,targt=$X y', "unexpected key 'targt' in 'targt=$X' (did you mean target?)"],
    ['RUN --mount=from=$X,target=/x y', "'from' doesn't support variable expansion, define alias stage instead"],
    ['RUN --mont=x y', 'unknown flag: --mont (did you mean mount?)'],
    ['COPY --from=a --from=b c d', 'duplicate flag specified: from'],
    ['COPY --from c d', 'missing a value on flag: from'],
    ['COPY --link=maybe c d', 'expecting boolean value for flag link, not: maybe'],
    ['CMD ["a", 1]', 'when using JSON array syntax, arrays must be comprised of strings only'],
    ['ENV a', 'ENV must have two arguments'],
    ['ENV a=b c', 'Syntax error - can\'t find = in "c". Must be of the form: name=value'],
    ['ENV =b', 'ENV names can not be blank'],
    ['ARG =b', 'ARG names can not be blank'],
    ['LABEL', 'LABEL requires at least one argument'],
    ['COPY a', 'COPY requires at least two arguments, but only one was provided'],
    ['FROM a b', 'FROM requires either one or three arguments'],
    ['FROM a AS 1x', 'invalid name for build stage: "1x"'],
    ['ONBUILD ONBUILD RUN x', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ['ONBUILD FROM x', "FROM isn't allowed as an ONBUILD trigger"],
    ['ONBUILD CPOY a b', 'unknown instruction: CPOY (did you mean COPY?)'],
    ['HEALTHCHECK --interval=1us CMD x', 'cannot be less than 1ms'],
    ['HEALTHCHECK --interval=5 CMD x', 'time: invalid duration "5"'],
    ['HEALTHCHECK NONE x', 'HEALTHCHECK NONE takes no arguments'],
    ['HEALTHCHECK PING x', 'unknown type "PING" in HEALTHCHECK (try CMD)'],
    ['SHELL /bin/sh -c', 'SHELL requires the arguments to be in JSON form'],
    ['WORKDIR', 'WORKDIR requires exactly one argument'],
    ['VOLUME [""]', 'VOLUME specified can not be an empty string'],
    ['RUN --network=bridge x', 'invalid network mode: bridge'],
    [`RUN ${'x'.repeat(65_536)}`, 'dockerfile line greater than max allowed size of 65535'],
  ])('%.40s', (line, message) => {
    const error = fault(`FROM x\n\n${line}\n`);
    expect(error.message).toContain(`dockerfile parse error on line 3: `);
    expect(error.message).toContain(message);
    expect(error.where).toEqual({ file: 'Dockerfile', line: 3 });
  });

  it('falls back to the shell form for what is not JSON', () => {
    expect(first('CMD ["a"] extra')).toMatchObject({ command: { form: 'shell', args: ['["a"] extra'] } });
    expect(first("RUN ['a']")).toMatchObject({ command: { form: 'shell' } });
    expect(first('HEALTHCHECK --timeout=1m0.5s CMD ["a b", "c"]')).toMatchObject({ test: ['CMD', 'a b', 'c'], timeout: 60.5e9 });
  });
});

describe('targets', () => {
  const file = parse('FROM a AS One\nFROM b\nFROM c AS two\n');
  it('by name, number, or the last', () => {
    expect([undefined, '', 'ONE', '1', 'two'].map((target) => findTarget(file, target).index)).toEqual([2, 2, 0, 1, 2]);
    expect(() => findTarget(file, 'tow')).toThrow('target stage "tow" could not be found (did you mean two?)');
  });
});

describe('expansion', () => {
  const env: Record<string, string> = { path: 'a/b/a.tar.gz', e: '', u: 'äöü', x: 'x' };
  const expand = (text: string, options = {}) => expandWord(text, (name) => env[name], options);

  it.each([
    ['${path#*/}', 'b/a.tar.gz'],
    ['${path##*/}', 'a.tar.gz'],
    ['${path%.*}', 'a/b/a.tar'],
    ['${path%%.*}', 'a/b/a'],
    ['${path%%/*}', 'a'],
    ['${path#nope}', 'a/b/a.tar.gz'],
    ['${path/a/X}', 'X/b/a.tar.gz'],
    ['${path//a/X}', 'X/b/X.tXr.gz'],
    ['${path//\\//_}', 'a_b_a.tar.gz'],
    ['${path/*/all}', 'all'],
    ['${path//?/.}', '............'],
    ['${path/\\*/x}', 'a/b/a.tar.gz'],
    ['${u%?}', 'äö'],
    ['${e-unset}', ''],
    ['${e:-empty}', 'empty'],
    ['${n-${e:-${x}}}', 'x'],
    ['${x:+${path##*/}}', 'a.tar.gz'],
    ['${e+set}', 'set'],
    ['${path//a/$x}', 'x/b/x.txr.gz'],
  ])('%s', (text, expected) => {
    expect(expand(text)).toBe(expected);
  });

  it('keeps what it is told to keep', () => {
    expect(expand('"$x" $n ${n:-y} ${n#a}', { rawQuotes: true, keepUnset: true })).toBe('"x" $n ${n:-y} ${n#a}');
    expect(expand(`"$x" '$x' \\$x`, { plainQuotes: true })).toBe(`"x" 'x' $x`);
    expect(expand('`$x', { escape: '`' })).toBe('$x');
  });

  it('takes no exponential time', () => {
    const value = 'a'.repeat(3000);
    expect(expandWord(`\${v##${'a*'.repeat(60)}b}`, () => value)).toBe(value);
    expect(expandWord(`\${v//${'*a'.repeat(20)}b/x}`, () => value)).toBe(value);
    expect(() => expandWord('${a:-'.repeat(5000), () => undefined)).toThrow(ExpandError);
  });
});

describe('anything at all', () => {
  const dockerish = fc.string({
    unit: fc.constantFrom(
      'RUN ',
      'COPY ',
      'FROM ',
      'ENV ',
      'ONBUILD ',
      'ARG ',
      '<<E',
      'E\n',
      '\n',
      '\\\n',
      '\\',
      ' ',
      '"',
      "'",
      '$',
      '{',
      '}',
      '[',
      ']',
      ',',
      '=',
      '--',
      '#',
      'a',
      '\t',
      '\r',
      '`',
    ),
    maxLength: 60,
  });

  it('is parsed or refused with a place', () => {
    fc.assert(
      fc.property(dockerish, fc.boolean(), (text, prefix) => {
        try {
          parse(prefix ? `FROM x\n${text}` : text);
        } catch (error) {
          expect(error).toMatchObject({ code: 'DOCKERFILE_SYNTAX', where: { file: 'Dockerfile', line: expect.any(Number) } });
        }
      }),
      runs(3000),
    );
  });

  it('is expanded or refused', () => {
    const word = fc.string({
      unit: fc.constantFrom('$', '{', '}', 'a', ':', '-', '+', '?', '#', '%', '/', '*', '\\', '"', "'", ' ', '1', '@'),
      maxLength: 20,
    });
    fc.assert(
      fc.property(word, (text) => {
        try {
          const words = expandWords(text, (name) => (name === 'a' ? 'v w' : undefined));
          expect(words.join('').length).toBeLessThanOrEqual(text.length * 3);
        } catch (error) {
          expect(error).toBeInstanceOf(ExpandError);
        }
      }),
      runs(5000),
    );
  });

  it('without special characters stays as it is', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/[$'"\\]/.test(text)),
        (text) => {
          expect(expandWord(text, () => undefined)).toBe(text);
        },
      ),
      runs(500),
    );
  });
});
