// `npm run lint` runs this: every import against house.mjs, no circle (type-only ones count), no crowded folder, and the map in
// CONTRIBUTING up to date. `node scripts/lint/check-house.mjs --write` writes that map.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FLOORS, LISTS, MOST_FILES, ROOMS, TOP } from './house.mjs';

const SOURCE = /\.(ts|tsx|mjs|mts)$/;
/** Counted, but not read: c-rooms.mjs reads the includes of C, and Go has none by file. Tests of Go stand beside what they test. */
const COUNTED = /(?<!_test)\.(go|c)$/;

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const isSource = (file) => SOURCE.test(file) || COUNTED.test(file);

/** Checks sources given as path → text. Returns one line per violation, with its file. */
export const checkHouse = (sources) => {
  const graph = readImports(sources);
  return [...findCrossings(graph), ...findCircles(graph), ...findCrowds([...sources.keys()].filter(isSource))];
};

/** `from '…'`, `import('…')` and `import '…'`, types included. */
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g;

/** File → the files of the project that it imports. */
const readImports = (sources) => {
  const graph = new Map();
  for (const [file, text] of sources) {
    if (!SOURCE.test(file)) {
      continue;
    }
    const targets = [...text.matchAll(IMPORT)].map(([, spec]) => posix.join(posix.dirname(file), spec));
    graph.set(
      file,
      [...new Set(targets)].filter((target) => sources.has(target)),
    );
  }
  return graph;
};

const findCrossings = (graph) => {
  const faults = [];
  for (const [file, targets] of graph) {
    for (const target of targets) {
      const reason = crossing(file, target);
      if (reason !== undefined) {
        faults.push(`${file} imports ${target}: ${reason}`);
      }
    }
  }
  for (const file of graph.keys()) {
    if (FLOORS[floorOf(file)] !== undefined && placeOf(file) < 0) {
      faults.push(`${file}: the folder is no room of scripts/lint/house.mjs`);
    }
  }
  return faults;
};

const crossing = (file, target) => {
  const from = floorOf(file);
  const to = floorOf(target);
  if (FLOORS[from] === undefined) {
    return undefined;
  }
  if (from !== to) {
    return FLOORS[from].imports.includes(to) ? undefined : `${from} may import only ${FLOORS[from].imports.join(', ') || 'itself'}`;
  }
  return placeOf(target) <= placeOf(file) ? undefined : `${posix.dirname(target)} stands above ${posix.dirname(file)}`;
};

const floorOf = (file) => file.split('/', 1)[0];

/** The place of a file's room on its floor. */
const placeOf = (file) => {
  const floor = floorOf(file);
  const rest = file.slice(floor.length + 1);
  const own = ROOMS[floor].indexOf(rest);
  return own >= 0 ? own : ROOMS[floor].indexOf(posix.dirname(rest));
};

/** Cycles of files, found as strongly connected components (Tarjan 1972). */
const findCircles = (graph) => {
  const circles = [];
  const index = new Map();
  const low = new Map();
  const stack = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const target of graph.get(file)) {
      if (!index.has(target)) {
        visit(target);
        low.set(file, Math.min(low.get(file), low.get(target)));
      } else if (stack.includes(target)) {
        low.set(file, Math.min(low.get(file), index.get(target)));
      }
    }
    if (low.get(file) === index.get(file)) {
      const circle = stack.splice(stack.indexOf(file));
      if (circle.length > 1) {
        circles.push(`${circle.join(', ')}: import each other in a circle`);
      }
    }
  };
  for (const file of graph.keys()) {
    if (!index.has(file)) {
      visit(file);
    }
  }
  return circles;
};

const findCrowds = (files) => {
  const counts = new Map();
  for (const file of files) {
    const folder = posix.dirname(file);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts]
    .filter(([folder, count]) => count > MOST_FILES && !LISTS.includes(folder))
    .map(([folder, count]) => `${folder} has ${count} source files, more than ${MOST_FILES}: which rooms are in it?`);
};

/** Files, by their paths, that stand at the top and are nothing of TOP's. */
export const findStrangers = (files) =>
  [...new Set(files.map((file) => file.split('/', 1)[0]))]
    .filter((name) => name !== '' && !TOP.includes(name))
    .map((name) => `${name} stands at the top and is not in TOP of scripts/lint/house.mjs`);

const BEGIN = '<!-- written by scripts/lint/check-house.mjs --write -->';
const END = '<!-- end -->';

/** CONTRIBUTING's map, as the table says. */
export const houseMap = () => {
  const rows = Object.entries(FLOORS).map(([floor, { is, imports }]) => {
    const rooms = ROOMS[floor].filter((room) => room !== '.').map((room) => `\`${room}\``);
    return `| \`${floor}/\` | ${is} | ${imports.join(', ') || '–'} | ${rooms.join(' · ') || '–'} |`;
  });
  return [BEGIN, '| floor | is | may import | rooms, low first |', '|---|---|---|---|', ...rows, END].join('\n');
};

/** Path → text of what git tracks and of new files; of all files where there is no git. */
const readSources = () => {
  const files = listFiles().filter((file) => isSource(file) && existsSync(join(root, file)));
  return new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
};

const listFiles = () => {
  try {
    const options = { cwd: root, stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 26 };
    return execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], options).toString().split('\0');
  } catch {
    return readdirSync(root, { recursive: true }).filter((file) => !/^(node_modules|dist|dist-packages|coverage|\.git)(\/|$)/.test(file));
  }
};

const main = () => {
  const guide = join(root, 'CONTRIBUTING.md');
  const text = readFileSync(guide, 'utf8');
  const current = text.slice(0, text.indexOf(BEGIN)) + houseMap() + text.slice(text.indexOf(END) + END.length);
  const faults = [...checkHouse(readSources()), ...findStrangers(listFiles().filter((file) => existsSync(join(root, file))))];
  if (process.argv.includes('--write')) {
    writeFileSync(guide, current);
  } else if (text !== current) {
    faults.push('CONTRIBUTING.md: its map is not that of scripts/lint/house.mjs (npm run generate)');
  }
  for (const fault of faults) {
    console.error(fault);
  }
  console.error(faults.length === 0 ? 'The house is in order.' : `${faults.length} faults in the house`);
  process.exitCode = faults.length === 0 ? 0 : 1;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main();
}
