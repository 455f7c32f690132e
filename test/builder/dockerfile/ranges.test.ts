import { DockerfileParser } from 'dockerfile-ast';
import { expect, test } from 'vitest';
import { lexDockerfile } from '../../../builder/dockerfile/lex.ts';

/**
 * Our parser against dockerfile-ast, an independent one, on what both understand: the keyword and the first and last
 * line of every instruction, which is what errors point at.
 */
const FILES: Readonly<Record<string, string>> = {
  plain: 'FROM busybox\nRUN true\nCMD ["sh"]\n',
  'no newline at the end': 'FROM busybox\nRUN true',
  'comments, blank lines, indentation': '# a comment\n\nFROM busybox\n  # another\n\n  RUN true\n\n\nUSER 1\n',
  continuation: 'FROM busybox\nRUN one \\\n  && two \\\n# in between\n  && three\nENV A=1 \\\n    B=2\nWORKDIR /x\n',
  'another escape': '# escape=`\nFROM busybox\nRUN one `\n  two\nCOPY a b\n',
  heredocs: 'FROM busybox\nRUN <<EOF\nFROM inside\n# inside\nEOF\nCOPY <<A <<-B /x/\none\nA\n\ttwo\n\tB\nCMD x\n',
  'carriage returns': 'FROM busybox\r\nRUN one \\\r\n  two\r\nLABEL a=b\r\n',
  'stages and lower case': 'arg V=1\nfrom busybox:${V} as one\nrun true\nfrom one\ncopy --from=one /a /b\n',
  onbuild: 'FROM busybox\nONBUILD RUN one \\\n  two\nHEALTHCHECK --interval=1s CMD x\n',
};

test.each(Object.entries(FILES))('%s', (_name, text) => {
  const ours = lexDockerfile(text, 'Dockerfile').instructions.map(({ keyword, range }) => `${keyword} ${range.line}-${range.endLine}`);
  const theirs = DockerfileParser.parse(text)
    .getInstructions()
    .map((instruction) => {
      const { start, end } = instruction.getRange();
      return `${instruction.getKeyword().toLowerCase()} ${start.line + 1}-${end.line + 1}`;
    });
  expect(ours.length).toBeGreaterThan(0);
  expect(ours).toEqual(theirs);
});
