import { compose, lines, want } from './power-cut-steps.mjs';

// A database's own acknowledgement: a transaction that PostgreSQL called committed is there after the power was cut.

export const POSTGRES = JSON.stringify({
  services: {
    db: {
      image: 'postgres:17',
      environment: { POSTGRES_PASSWORD: 'secret' },
      volumes: ['data:/var/lib/postgresql/data'],
      healthcheck: { test: ['CMD', 'pg_isready', '-q', '-h', '127.0.0.1', '-U', 'postgres'], start_period: '300s', start_interval: '1s' },
    },
  },
  volumes: { data: {} },
});

const psql = (...args) => ['exec', '-T', 'db', 'psql', '-U', 'postgres', '-AtqX', '-v', 'ON_ERROR_STOP=1', ...args];
/** Each is a transaction of its own, and its number is printed once it is committed. Every second one also changes a row that all share. */
const COMMITS = `yes "INSERT INTO kept(what) VALUES (repeat(md5(random()::text), 30)) RETURNING id;
UPDATE counted SET n = n + 1;" | psql -U postgres -AtqX -v ON_ERROR_STOP=1`;
/** Reads all of the table, and each index against it. */
const WHOLE = `CREATE EXTENSION IF NOT EXISTS amcheck; SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p'; SELECT count(*) FROM kept WHERE length(what) <> 960;`;

const idsOf = (printed) => lines(printed).filter((line) => /^\d+$/.test(line));

/** PostgreSQL commits until the power is cut. */
export const commits = {
  name: 'commits of PostgreSQL',
  prepare: async (home) => {
    await compose(home, 'postgres', 'down', '-v', '-t', '60');
    await compose(home, 'postgres', 'up', '-d', '--wait');
    const tables = 'CREATE TABLE kept(id serial PRIMARY KEY, what text); CREATE TABLE counted AS SELECT 0 AS n';
    await compose(home, 'postgres', ...psql('-c', tables));
  },
  args: (home) => ['--project-directory', `${home.top}/postgres`, 'exec', '-T', 'db', 'sh', '-c', COMMITS],
  hasBegun: (printed) => idsOf(printed).length > 0,
  check: async (home, _wasTold, printed) => {
    const kept = idsOf(printed);
    want(kept.length > 0, `PostgreSQL had committed nothing before the cut: ${printed.slice(-500)}`);
    await compose(home, 'postgres', 'up', '-d', '--wait');
    const found = new Set(lines(await compose(home, 'postgres', ...psql('-c', 'SELECT id FROM kept'))));
    const missing = kept.filter((id) => !found.has(id));
    want(missing.length === 0, `${kept.length} transactions were committed, and these are lost: ${missing.join(' ').slice(0, 200)}`);
    const counted = Number(await compose(home, 'postgres', ...psql('-c', 'SELECT n FROM counted')));
    want(counted >= kept.length - 1, `${kept.length} rows were told, and the shared row says ${counted}`);
    const broken = lines(await compose(home, 'postgres', ...psql('-c', WHOLE)));
    want(broken.at(-1) === '0', `${broken.at(-1)} rows are not whole`);
    console.log(`    ${kept.length} commits, all there, in tables and indexes that are whole`);
    await compose(home, 'postgres', 'down', '-v', '-t', '60');
  },
};
