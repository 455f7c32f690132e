// The rooms of the C sources: a file includes headers of its own room and of rooms before it in the list, and modules
// (NAME.c with NAME.h) must not include each other in a cycle. `node scripts/lint/c-rooms.mjs` prints violations.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders of C sources. Their rooms are listed low first; paths of includes begin at the folder. */
const TREES = [
  {
    folder: 'guest/agent',
    rooms: [
      'lib',
      'fs',
      'dns',
      'link',
      'requests',
      'ports',
      'devices',
      'share',
      'sync',
      'setup',
      'step',
      'process',
      'watchers',
      'handlers',
      'core',
    ],
    // The program itself: nobody includes it.
    programs: ['core/kestrel.c'],
  },
  { folder: 'net', rooms: ['.'] },
  { folder: 'vmm', rooms: ['.'] },
  { folder: 'vmm/preload', rooms: ['.'] },
];

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Violations by includes of the C sources, one line each. */
export const checkCRooms = (root = ROOT) => TREES.flatMap((tree) => checkTree(root, tree));

const checkTree = (root, { folder, rooms, programs }) => {
  const base = join(root, folder);
  const files = listSources(base, rooms);
  const say = (file, text) => `${join(folder, file)}: ${text}`;
  const problems = [];
  const modules = new Map();
  for (const file of files) {
    const text = readFileSync(join(base, file), 'utf8');
    const room = rooms.indexOf(roomOf(file));
    if (room === -1) {
      problems.push(say(file, `is in no room; the rooms are ${rooms.join(', ')}`));
    }
    if (programs !== undefined && file.endsWith('.c') && !programs.includes(file) && !files.includes(headerOf(file))) {
      problems.push(say(file, `has no header ${headerOf(file)}`));
    }
    if (file.endsWith('.c') && /^\s*extern\s/m.test(text)) {
      problems.push(say(file, 'declares by `extern` what it should include'));
    }
    for (const included of includesOf(text)) {
      const target = rooms.indexOf(roomOf(included));
      if (!existsSync(join(base, included))) {
        problems.push(say(file, `includes "${included}", which is not in ${folder}`));
      } else if (target > room) {
        problems.push(say(file, `includes "${included}": the room ${roomOf(included)} is above ${roomOf(file)}`));
      }
      addTo(modules, moduleOf(file), moduleOf(included));
    }
  }
  return [...problems, ...circles(modules).map((circle) => `${folder}: a circle of includes: ${circle.join(' → ')}`)];
};

/** Paths from the folder. A folder with the one room "." is flat: what is below it belongs to another tree. */
const listSources = (base, rooms) =>
  readdirSync(base, { recursive: rooms[0] !== '.', withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[ch]$/.test(entry.name))
    .map((entry) => relative(base, join(entry.parentPath, entry.name)))
    .sort();

const roomOf = (file) => dirname(file);
const moduleOf = (file) => file.replace(/\.[ch]$/, '');
const headerOf = (file) => `${moduleOf(file)}.h`;
const includesOf = (text) => [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map(([, path]) => path);

const addTo = (modules, from, to) => {
  if (from !== to) {
    modules.set(from, (modules.get(from) ?? new Set()).add(to));
  }
};

/** Finds each cycle once, by a depth-first search from every module. */
const circles = (modules) => {
  const found = [];
  const done = new Set();
  const walk = (name, path) => {
    const at = path.indexOf(name);
    if (at !== -1) {
      found.push([...path.slice(at), name]);
    } else if (!done.has(name)) {
      for (const next of modules.get(name) ?? []) {
        walk(next, [...path, name]);
      }
      done.add(name);
    }
  };
  for (const name of modules.keys()) {
    walk(name, []);
  }
  return found;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = checkCRooms();
  for (const problem of problems) {
    console.error(problem);
  }
  process.exitCode = problems.length > 0 ? 1 : 0;
}
