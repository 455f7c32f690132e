// docs/attacks.md is made of the list of attacks, so that neither knows an attack that the other does not.

const HEAD = `# Attacks that are tried

What \`npm run attack\` tries, and what refuses it. This page is made of \`scripts/attack/attacks.mjs\` by \`npm run attack -- --page\`, and a
test compares the two and looks for each test by its name; [security.md](security.md) says why each is refused. The first part also runs in
CI as tests like any others; so does the second, which boots machines, and which \`npm run attack -- --fast\` leaves out.
`;

const cell = (text) => text.replaceAll('|', '\\|');

const section = (title, attacks) => {
  const rows = attacks.map(({ attack, stoppedBy, file, test }) => `| ${cell(attack)} | ${cell(stoppedBy)} | \`${file}\`: ${cell(test)} |`);
  return `\n## ${title}\n\n| attack | what refuses it | test |\n|---|---|---|\n${rows.join('\n')}\n`;
};

/** Pure: the whole page. */
export const formatPage = (attacks) => {
  const boots = ({ file }) => file.endsWith('.vm.test.ts');
  return `${HEAD}${section(
    'Without machines',
    attacks.filter((each) => !boots(each)),
  )}${section('From inside machines', attacks.filter(boots))}`;
};
