// Writes the numbers of the agent protocol for both sides, from guest/protocol/tags.json:
// `node scripts/generate-protocol.mjs`. What it writes is checked in; test/guest/tags.test.ts fails when it is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const TABLE = 'guest/protocol/tags.json';
const NOTE = `Made from ${TABLE} by scripts/generate-protocol.mjs: change that table, not this file.`;

/** The generated files by path from the project's root: text of each. */
export const generateProtocol = (table = JSON.parse(readFileSync(join(root, TABLE), 'utf8'))) => ({
  'guest/agent/lib/protocol.h': cHeader(table),
  'guest/protocol/tags.ts': tsModule(table),
});

const upper = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();

const cEnum = (numbers, nameOf) =>
  `enum {\n${Object.entries(numbers)
    .map(([name, number]) => `  ${nameOf(name)} = ${number},\n`)
    .join('')}};\n`;
const prefixed = (prefix) => (name) => `${prefix}_${upper(name)}`;

const cHeader = ({ constants, frames, opcodes, values, fields }) => {
  const enums = [
    cEnum(constants, (name) => name),
    cEnum(frames, prefixed('FRAME')),
    cEnum(opcodes, prefixed('OP')),
    ...Object.entries(values).map(([name, numbers]) => cEnum(numbers, prefixed(upper(name)))),
    ...Object.entries(fields).map(([name, numbers]) => cEnum(numbers, prefixed(`TAG_${upper(name)}`))),
  ];
  return `/* ${NOTE} */\n#ifndef PROTOCOL_H\n#define PROTOCOL_H\n\n${enums.join('\n')}\n#endif\n`;
};

const tsObject = (numbers, indent) =>
  `{\n${Object.entries(numbers)
    .map(([name, value]) => `${indent}  ${name}: ${typeof value === 'number' ? value : tsObject(value, `${indent}  `)},\n`)
    .join('')}${indent}}`;

const tsModule = ({ constants, frames, opcodes, values, fields }) => {
  const tables = [
    ['FRAME', frames],
    ['OPCODE', opcodes],
    ...Object.entries(values).map(([name, numbers]) => [upper(name), numbers]),
    ['TAG', fields],
  ];
  const objects = tables.map(([name, numbers]) => `export const ${name} = ${tsObject(numbers, '')} as const;\n`);
  const numbers = Object.entries(constants).map(([name, number]) => `export const ${name} = ${number};\n`);
  return `// ${NOTE}\n\n${numbers.join('')}\n${objects.join('\n')}`;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(generateProtocol())) {
    writeFileSync(join(root, path), text);
  }
}
