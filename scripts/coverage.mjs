// `npm run coverage`: how many lines of each folder the unit tests reach, TypeScript by V8, the guest's C by gcov. Fails when a
// folder is below its floor in test/coverage-floors.json; `npm run coverage -- --raise` raises floors to the measured values.
// With names of tests (`npm run coverage -- test/guest`) it shows what those reach, and floors do not count.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ensureBuilt } from './ensure-built.mjs';
import { root, run } from './own-node.mjs';

const FLOORS = join(root, 'test', 'coverage-floors.json');
const out = join(root, 'coverage');
const objects = join(out, 'agent');

/** Sources of the agent: of guest/agent, or of guest if that does not exist. */
const agentSources = () => {
  const folder = existsSync(join(root, 'guest', 'agent')) ? join(root, 'guest', 'agent') : join(root, 'guest');
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.c') && !name.startsWith('fuzz_'));
  return { folder, files: files.map((name) => join(folder, name)) };
};

/** The agent as an ordinary program with gcov. Each object's notes (.gcno) and counters (.gcda) are beside it. */
const buildAgent = () => {
  const { folder, files } = agentSources();
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-DKESTREL_HOST_TEST', '-O0', '-g', '-w', '-I', folder];
  const compiled = files.map((file) => {
    const object = join(objects, `${relative(folder, file).replaceAll('/', '+')}.o`);
    execFileSync('gcc', [...flags, '--coverage', '-c', file, '-o', object], { stdio: 'inherit' });
    return object;
  });
  const program = join(objects, 'kestrel');
  const dump = join(root, 'test', 'guest', 'coverage_dump.c');
  execFileSync('gcc', [...flags, '--coverage', ...compiled, dump, '-Wl,--wrap=epoll_wait', '-o', program], { stdio: 'inherit' });
  return program;
};

/** Folder → number of executable lines, and of covered lines. */
const add = (sums, file, total, covered) => {
  const folder = dirname(relative(root, file));
  const sum = sums.get(folder) ?? { total: 0, covered: 0 };
  sums.set(folder, { total: sum.total + total, covered: sum.covered + covered });
};

const readTypeScript = (sums) => {
  const { total: _, ...files } = JSON.parse(readFileSync(join(out, 'coverage-summary.json'), 'utf8'));
  for (const [file, { lines }] of Object.entries(files)) {
    add(sums, file, lines.total, lines.covered);
  }
};

const readC = (sums) => {
  const counters = readdirSync(objects).filter((name) => name.endsWith('.gcda'));
  execFileSync('gcov', ['--json-format', ...counters], { cwd: objects, stdio: 'ignore' });
  for (const name of readdirSync(objects).filter((each) => each.endsWith('.gcov.json.gz'))) {
    for (const { file, lines } of JSON.parse(gunzipSync(readFileSync(join(objects, name)))).files) {
      if (file.endsWith('.c') && file.startsWith(join(root, 'guest'))) {
        add(sums, file, lines.length, lines.filter(({ count }) => count > 0).length);
      }
    }
  }
};

/** Percent, rounded down, because random inputs and timing change the result a little. */
const percent = ({ total, covered }) => (total === 0 ? 100 : Math.floor((100 * covered) / total));
const MARGIN = 3;

const report = (name, sums, floors, raise) => {
  let isBelow = false;
  for (const [folder, sum] of [...sums].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const floor = floors[folder];
    const reached = percent(sum);
    const verdict = floor === undefined ? 'no floor yet' : reached < floor ? `below its floor of ${floor}` : '';
    isBelow ||= floor !== undefined && reached < floor;
    process.stdout.write(`${name.padEnd(3)} ${folder.padEnd(32)} ${String(reached).padStart(3)} %  ${verdict}\n`);
    if (raise) {
      floors[folder] = Math.max(floor ?? 0, reached - MARGIN);
    }
  }
  return isBelow;
};

const main = async () => {
  const raise = process.argv.includes('--raise');
  const tests = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
  if (raise && tests.length > 0) {
    throw Object.assign(new Error('floors are raised by all unit tests, not by some'), { exitCode: 2 });
  }
  await ensureBuilt();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(objects, { recursive: true });
  const env = { ...process.env, HYPR_TEST_AGENT: buildAgent() };
  await run(join(root, 'node_modules', '.bin', 'vitest'), ['run', '--project', 'unit', '--coverage', '--testTimeout=120000', ...tests], {
    env,
  });
  const typeScript = new Map();
  const c = new Map();
  readTypeScript(typeScript);
  readC(c);
  const floors = existsSync(FLOORS) ? JSON.parse(readFileSync(FLOORS, 'utf8')) : { typescript: {}, c: {} };
  const below = [report('ts', typeScript, floors.typescript, raise), report('c', c, floors.c, raise)];
  if (raise) {
    writeFileSync(FLOORS, `${JSON.stringify(floors, null, 2)}\n`);
  }
  if (tests.length === 0 && below.includes(true)) {
    throw Object.assign(new Error('a folder is below its floor: add tests for what was added'), { exitCode: 1 });
  }
};

main().catch((error) => {
  console.error(error.exitCode === undefined ? error : error.message);
  process.exitCode = error.exitCode ?? 1;
});
