import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BenchStack, call, readFigures } from './stack.ts';
import type { DataTable } from './table.ts';

export const GROUPS = ['host', 'service', 'volume', 'files', 'exec', 'cp', 'dns'] as const;
export type Group = (typeof GROUPS)[number];

export interface Measure {
  readonly stack: BenchStack;
  /** The probe on this host. */
  readonly probe: string;
  readonly table: DataTable;
  /** Multiplies files and bytes. */
  readonly scale: number;
}

/** Takes the figures of one group and notes them in the table: those of the tool, and for hypr those of the guest alone. */
export const measureGroup = (group: Group, measure: Measure): Promise<void> => MEASURES[group](measure);

const NET_MIB = 100;
const DISK_MIB = 256;
const FILES = 2000;
const EXEC_MIB = 64;
const CP_FILES = 200;
const CP_BYTES = 200 * 1024;
const NAMES = 5000;
const IN_FLIGHT = 50;

/** At least one of what is counted. */
const scaled = (count: number, { scale }: Measure): number => Math.max(1, Math.round(count * scale));

type Figures = ReadonlyMap<string, number>;

/** Notes what is the tool's, or the guest's own. */
const noteAs = ({ stack, table }: Measure, alone: boolean) => {
  const column = alone ? 'guest' : stack.tool.name;
  return {
    rate: (what: string, mib: number, seconds: number | undefined) =>
      table.add(what, 'MB/s', column, (mib * 1.048576) / (seconds ?? Number.NaN)),
    plain: (what: string, unit: string, value: number | undefined) => table.add(what, unit, column, value ?? Number.NaN),
  };
};

const noteNet = (measure: Measure, name: string, figures: Figures, alone: boolean): void => {
  const note = noteAs(measure, alone);
  const mib = scaled(NET_MIB, measure);
  note.rate(`${name}, ${mib} MiB to it`, mib, figures.get('up'));
  note.rate(`${name}, ${mib} MiB from it`, mib, figures.get('down'));
  note.plain(`${name}, 1,000 request pairs, median`, 'us', figures.get('pair'));
  note.plain(`${name}, new connection and an answer, median`, 'us', figures.get('connect'));
};

const guestNet = async (measure: Measure, name: string): Promise<void> => {
  if (measure.stack.tool.name === 'hypr') {
    noteNet(measure, name, await measure.stack.probe('net', '127.0.0.1', '9000', String(scaled(NET_MIB, measure))), true);
  }
};

const measureHost = async (measure: Measure): Promise<void> => {
  const { stack, probe } = measure;
  const args = ['net', '127.0.0.1', stack.port, String(scaled(NET_MIB, measure))];
  const { stdout } = await call({ file: probe, args, cwd: '/', env: process.env });
  noteNet(measure, 'host ↔ service', readFigures(stdout), false);
  await guestNet(measure, 'host ↔ service');
};

const measureService = async (measure: Measure): Promise<void> => {
  noteNet(measure, 'service ↔ service', await measure.stack.probe('net', 'b', '9000', String(scaled(NET_MIB, measure))), false);
  await guestNet(measure, 'service ↔ service');
};

const measureVolume = async (measure: Measure): Promise<void> => {
  const mib = scaled(DISK_MIB, measure);
  const take = async (dir: string, alone: boolean) => {
    const figures = await measure.stack.probe('disk', dir, String(mib));
    noteAs(measure, alone).rate(`volume, write ${mib} MiB and fsync`, mib, figures.get('write'));
    noteAs(measure, alone).rate(`volume, read ${mib} MiB`, mib, figures.get('read'));
  };
  await take('/vol', false);
  if (measure.stack.tool.name === 'hypr') {
    // What is read from a tmpfs comes from memory, so the guest's own figure is one of copying.
    await take('/mem', true);
  }
};

const measureFiles = async (measure: Measure): Promise<void> => {
  const count = scaled(FILES, measure);
  const alone = measure.stack.tool.name === 'hypr' ? await measure.stack.probe('files', '/mem', String(count)) : undefined;
  for (const [name, dir] of [
    ['bind', '/bind'],
    ['volume', '/vol'],
  ] as const) {
    const figures = await measure.stack.probe('files', dir, String(count));
    for (const what of ['create', 'read', 'unlink']) {
      noteAs(measure, false).plain(`${name}, ${count} files, ${what}`, 's', figures.get(what));
      if (alone !== undefined) {
        noteAs(measure, true).plain(`${name}, ${count} files, ${what}`, 's', alone.get(what));
      }
    }
  }
};

/** The guest's own: into its memory, by one write after the other. */
const guestWrite = async (measure: Measure, what: string, mib: number): Promise<void> => {
  if (measure.stack.tool.name === 'hypr') {
    const figures = await measure.stack.probe('disk', '/mem', String(mib));
    noteAs(measure, true).rate(what, mib, figures.get('write'));
  }
};

const measureExec = async (measure: Measure): Promise<void> => {
  const mib = scaled(EXEC_MIB, measure);
  const input = join(measure.stack.dir, 'input');
  await writeFile(input, '');
  await truncate(input, mib * 2 ** 20);
  const { seconds, stdout } = await measure.stack.compose(['exec', '-T', 'a', '/probe', 'sink'], input);
  if (readFigures(stdout).get('bytes') !== mib * 2 ** 20) {
    throw new Error(`exec: of ${mib} MiB came ${stdout}`);
  }
  noteAs(measure, false).rate(`exec -T, ${mib} MiB in`, mib, seconds);
  const out = await measure.stack.compose(['exec', '-T', 'a', '/probe', 'source', String(mib)]);
  noteAs(measure, false).rate(`exec -T, ${mib} MiB out`, mib, out.seconds);
  await guestWrite(measure, `exec -T, ${mib} MiB in`, mib);
  await guestWrite(measure, `exec -T, ${mib} MiB out`, mib);
};

const measureCp = async (measure: Measure): Promise<void> => {
  const { stack } = measure;
  const count = scaled(CP_FILES, measure);
  const [from, back] = [join(stack.dir, 'copied'), join(stack.dir, 'back')];
  await mkdir(from, { recursive: true });
  await Promise.all(Array.from({ length: count }, (_, at) => writeFile(join(from, `f${at}`), Buffer.alloc(CP_BYTES, at % 256))));
  const mib = (count * CP_BYTES) / 2 ** 20;
  const into = await stack.compose(['cp', from, 'a:/vol/copied']);
  noteAs(measure, false).rate(`cp into it, ${count} files of 200 KiB`, mib, into.seconds);
  const out = await stack.compose(['cp', 'a:/vol/copied', back]);
  noteAs(measure, false).rate(`cp out of it, ${count} files of 200 KiB`, mib, out.seconds);
  await rm(back, { recursive: true, force: true });
  await guestWrite(measure, `cp into it, ${count} files of 200 KiB`, Math.max(1, Math.round(mib)));
  await guestWrite(measure, `cp out of it, ${count} files of 200 KiB`, Math.max(1, Math.round(mib)));
};

const measureDns = async (measure: Measure): Promise<void> => {
  const count = scaled(NAMES, measure);
  const figures = await measure.stack.probe('dns', 'b', String(count), String(IN_FLIGHT));
  noteAs(measure, false).plain(`names, ${IN_FLIGHT} in flight`, '1/s', figures.get('names'));
  noteAs(measure, false).plain(`names, ${IN_FLIGHT} in flight, lost`, 'of all', figures.get('lost'));
};

const MEASURES: Readonly<Record<Group, (measure: Measure) => Promise<void>>> = {
  host: measureHost,
  service: measureService,
  volume: measureVolume,
  files: measureFiles,
  exec: measureExec,
  cp: measureCp,
  dns: measureDns,
};
