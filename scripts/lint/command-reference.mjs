// Writes docs/commands.md and docs/hypr.1 from the table of commands.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commandReference, manPage } from '../../cli/command-tree/reference.ts';
import { rootCommand } from '../../cli/command-tree/tree.ts';

const docs = join(import.meta.dirname, '..', '..', 'docs');
await writeFile(join(docs, 'commands.md'), commandReference(rootCommand));
await writeFile(join(docs, 'hypr.1'), manPage(rootCommand));
