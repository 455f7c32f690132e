import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { TestStack } from '../support/stack.ts';

const PYTHON = await freePort();
const APACHE = await freePort();
const COMPOSE = `
services:
  python:
    image: python:3.13
    command: python -m http.server 8000 --directory /srv
    volumes: ["./site:/srv:ro"]
    ports: ["${PYTHON}:8000"]
    healthcheck: { test: ["CMD", "python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000')"], interval: 5s, timeout: 20s, start_period: 90s }
  httpd:
    image: httpd:2.4
    ports: ["${APACHE}:80"]
  mariadb:
    image: mariadb:11
    environment: { MARIADB_ROOT_PASSWORD: root, MARIADB_DATABASE: app, MARIADB_USER: app, MARIADB_PASSWORD: secret }
    volumes: ["data:/var/lib/mysql"]
    healthcheck: { test: ["CMD", "healthcheck.sh", "--connect", "--innodb_initialized"], interval: 5s, timeout: 30s, start_period: 200s, retries: 20 }
volumes: { data: {} }
`;

describe('images that the shop does not use, each for real', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await new TestStack('images').write({ 'compose.yaml': COMPOSE, 'site/index.html': 'served by python\n' });
    await stack.must(['up', '-d', '--wait'], { timeout: 400_000 });
  });
  afterAll(() => stack.close());

  test('Python serves a bind mount', async () => {
    expect(await (await fetch(`http://127.0.0.1:${PYTHON}/`)).text()).toBe('served by python\n');
  });

  test('Apache serves its page', async () => {
    expect(await (await fetch(`http://127.0.0.1:${APACHE}/`)).text()).toMatch(/It works/);
  });

  test('MariaDB made the database and the user', async () => {
    const sql = 'create table t (v int); insert into t values (41), (1); select sum(v) from t';
    expect(await stack.must(['exec', '-T', 'mariadb', 'mariadb', '-uapp', '-psecret', '-N', 'app', '-e', sql], { timeout: 60_000 })).toBe(
      '42\n',
    );
  });
});
