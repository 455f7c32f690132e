// `npm run attack`: tries every attack of scripts/attack/attacks.mjs, by the tests that there are of it, and prints what came of each.
// `npm run attack -- --fast` leaves out those that boot machines; `--page` only writes docs/attacks.md. Exit code 1 when one succeeds or could not be tried.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ATTACKS, formatMatrix, judge } from './attack/attacks.mjs';
import { formatPage } from './attack/page.mjs';
import { ensureBuilt } from './ensure-built.mjs';
import { root, run } from './own-node.mjs';

const needsMachines = ({ file }) => file.endsWith('.vm.test.ts');

const outcomesIn = (path) =>
  JSON.parse(readFileSync(path, 'utf8')).testResults.flatMap(({ name, status: whole, message, assertionResults }) => {
    const file = relative(root, name);
    const why = [...(whole === 'failed' ? [message] : []), ...assertionResults.flatMap(({ failureMessages }) => failureMessages ?? [])];
    for (const text of why.filter((each) => each)) {
      process.stderr.write(`${file}: ${text}\n`);
    }
    return assertionResults.map(({ fullName, status }) => ({ file, name: fullName, status }));
  });

/** A failed test is a verdict, not a failure of this program. */
const runTests = async (project, files, report) => {
  // The other one says what the report does not: why tests were not tried, because what they need did not start.
  const args = ['run', '--project', project, '--reporter', 'json', '--outputFile.json', report, '--reporter', 'default', ...files];
  await run(join(root, 'node_modules', '.bin', 'vitest'), args).catch((error) => {
    if (error.exitCode === undefined) {
      throw error;
    }
  });
  return outcomesIn(report);
};

if (process.argv.includes('--page')) {
  writeFileSync(join(root, 'docs', 'attacks.md'), formatPage(ATTACKS));
  process.exit(0);
}
const folder = mkdtempSync(join(tmpdir(), 'hypr-attack-'));
try {
  await ensureBuilt();
  // Those on fences and gateways need the programs of this home: without them they would not be tried.
  await run(join(root, 'bin', 'hypr'), ['setup'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const fast = process.argv.includes('--fast');
  const attacks = fast ? ATTACKS.filter((attack) => !needsMachines(attack)) : ATTACKS;
  const outcomes = [];
  for (const [project, chosen] of [
    ['unit', attacks.filter((attack) => !needsMachines(attack))],
    ['vm', attacks.filter(needsMachines)],
  ]) {
    const files = [...new Set(chosen.map(({ file }) => file))];
    if (files.length > 0) {
      outcomes.push(...(await runTests(project, files, join(folder, `${project}.json`))));
    }
  }
  const rows = judge(attacks, outcomes);
  process.stdout.write(`\n${formatMatrix(rows)}`);
  const refused = rows.filter(({ verdict }) => verdict === 'refused').length;
  process.stdout.write(`\n${refused} of ${rows.length} refused${fast ? '; those that boot machines were left out' : ''}\n`);
  process.exitCode = refused === rows.length ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
