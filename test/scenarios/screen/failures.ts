import type { Failure } from '../../cli/failures/tell-failure.ts';

const SLEEP = 'services:\n  web:\n    image: busybox\n    command: sleep 1000\n';
const web = (rest: string): string => `services:\n  web:\n    image: busybox\n${rest}`;
const builds = (dockerfile: string): Readonly<Record<string, string>> => ({
  'compose.yaml': 'services:\n  web:\n    build: .\n',
  Dockerfile: dockerfile,
});

/** By what a person would call it. */
export const FAILURES: Readonly<Record<string, Failure>> = {
  'a secret whose file is missing': {
    run: ['up -d'],
    files: `${web('    secrets: [pw]\n')}secrets: { pw: { file: ./pw.txt } }\n`,
  },
  'an external volume that is missing': {
    run: ['up -d'],
    files: `${web('    volumes: ["data:/data"]\n')}volumes: { data: { external: true, name: nobodys-data } }\n`,
  },
  'an external network that is missing': {
    run: ['up -d'],
    files: `${web('    networks: [back]\n')}networks: { back: { external: true, name: nobodys-net } }\n`,
  },
  'a bind whose source is missing': {
    run: ['up -d'],
    files: web('    volumes: [{ type: bind, source: ./nope, target: /x, bind: { create_host_path: false } }]\n'),
  },
  'what a machine cannot have': { run: ['up -d'], files: web('    network_mode: host\n') },
  'an image that does not exist': { run: ['up -d'], files: 'services:\n  web:\n    image: busybox:no-such-tag\n' },
  'an image name that is none': { run: ['up -d'], files: 'services:\n  web:\n    image: "My Image"\n' },
  'a registry that does not answer': { run: ['up -d'], files: 'services:\n  web:\n    image: 127.0.0.1:1/app\n' },
  'a Dockerfile that is missing': { run: ['compose build'], files: 'services:\n  web:\n    build: .\n' },
  'a build folder that is missing': { run: ['compose build'], files: 'services:\n  web:\n    build: ./app\n' },
  'an instruction mistyped': { run: ['compose build'], files: builds('FROM busybox\nCOPPY . /app\n') },
  'COPY of what is not there': { run: ['compose build --progress plain'], files: builds('FROM busybox\nCOPY package.jsn /app/\n') },
  'a port that is taken': { run: ['up -d'], files: web('    command: sleep 1000\n    ports: ["127.0.0.1:PORT:80"]\n'), takesPort: true },
  'a RUN that fails': {
    run: ['compose build --progress plain'],
    files: builds('FROM busybox\nRUN echo checking; cat /no/such/file\n'),
  },
  'a program that is not in the image': { run: ['up -d'], files: web('    command: nosuchprogram --serve\n') },
  'a user that is not in the image': { run: ['up -d'], files: web('    command: sleep 1000\n    user: deploy\n') },
  'a service that ends at once, waited for': {
    run: ['up -d --wait'],
    files: web(
      '    command: sh -c "echo cannot open the database >&2; sleep 1; exit 3"\n    healthcheck: { test: "false", interval: 1s, retries: 100 }\n',
    ),
  },
  'a dependency that is unhealthy': {
    run: ['up -d'],
    files: `services:
  db:
    image: busybox
    command: sleep 1000
    healthcheck: { test: 'echo "role postgres does not exist"; exit 2', interval: 1s, retries: 1 }
  web:
    image: busybox
    depends_on: { db: { condition: service_healthy } }
`,
  },
  'why it is not running': {
    run: ['up -d', 'compose wait web', 'why web'],
    files: web('    command: sh -c "echo cannot open the database >&2; exit 3"\n'),
  },
  'exec of a program that is not there': { run: ['up -d', 'compose exec -T web bash'], files: SLEEP, code: 127 },
  'a volume that is in use': {
    run: ['up -d', 'volume rm failures_data'],
    files: `${web('    command: sleep 1000\n    volumes: ["data:/data"]\n')}volumes: { data: {} }\n`,
  },
};
