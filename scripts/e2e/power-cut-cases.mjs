// What is played: operations whose end is an acknowledgement, and what must be there after the power was cut. `wasTold`: the command had ended
// with 0 before the cut. Where it had not, all or nothing may be there, and what is there must be whole.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commits, POSTGRES } from './power-cut-postgres.mjs';
import { compose, has, hasImage, lines, must, runs, want } from './power-cut-steps.mjs';
import { write, writers } from './power-cut-writers.mjs';

const COMPOSE = `services:
  app: {image: busybox, command: sleep infinity, init: true, volumes: [data:/data]}
volumes: {data: {}}
`;
const DOCKERFILE = `FROM busybox
COPY copied /copied
RUN echo made > /made && dd if=/dev/urandom of=/random bs=1k count=3000 && sha256sum /random > /sums
`;
const FILES = 40;

/** An operation that makes an image. `prove` runs in it. */
const imageCase = (name, image, args, { prepare = async () => {}, command = ['sh', '-c', 'echo whole'], output = 'whole\n' } = {}) => ({
  name,
  prepare: async (home) => {
    if (await hasImage(home, image)) {
      await must(home, 'rmi', image);
    }
    await prepare(home);
  },
  args,
  check: async (home, wasTold) => {
    const isThere = await hasImage(home, image);
    want(isThere || !wasTold, `the image ${image} is lost`);
    if (!isThere) {
      await must(home, ...args(home));
    }
    const told = await runs(home, image, ...command);
    want(told.includes(output), `${image} is not whole: ${told}`);
  },
});

/** An operation that makes an object of a name. */
const objectCase = (kind) => ({
  name: `${kind} create`,
  prepare: async () => {},
  args: () => [kind, 'create', 'made'],
  check: async (home, wasTold) => {
    const isThere = await has(home, kind, 'made');
    want(isThere || !wasTold, `the ${kind} is lost`);
    if (isThere) {
      await must(home, kind, 'rm', 'made');
    }
    await must(home, kind, 'create', 'made');
    await must(home, kind, 'rm', 'made');
  },
});

const gone = (kind, { make, remove, name = 'gone' }) => ({
  name: remove.join(' '),
  prepare: async (home) => {
    await must(home, ...make);
  },
  args: () => [...remove, name],
  check: async (home, wasTold) => {
    const isThere = await (kind === 'image' ? hasImage(home, `${name}:latest`) : has(home, kind, name));
    want(!isThere || !wasTold, `the ${kind} was removed and is there again`);
    if (isThere) {
      await must(home, ...remove, name);
    }
  },
});

/** Into a volume that a machine has: a folder, as `volume create` makes it, or the disk of a service. */
const volumeImport = (form) => {
  const name = form === 'folder' ? 'filled' : 'keeper_data';
  const keep = async (home) => {
    await (form === 'folder'
      ? must(home, 'run', '-d', '--name', 'keeper', '-v', 'filled:/data', 'busybox', 'sleep', '1d')
      : compose(home, 'keeper', 'up', '-d'));
  };
  const drop = async (home) => {
    await (form === 'folder' ? must(home, 'rm', '-f', 'keeper') : compose(home, 'keeper', 'down', '-t', '1'));
  };
  const args = (home) => ['volume', 'import', name, join(home.top, 'files.tar')];
  return {
    name: `volume import to a ${form}`,
    prepare: async (home) => {
      if (await has(home, 'volume', name)) {
        await drop(home);
        await must(home, 'volume', 'rm', name);
      }
      await keep(home);
    },
    args,
    check: async (home, wasTold) => {
      want(await has(home, 'volume', name), 'the volume is lost');
      await drop(home);
      await keep(home);
      if (!wasTold) {
        await must(home, ...args(home));
      }
      const read = ['sh', '-c', 'cd /data && sha256sum -c sums'];
      const told = await (form === 'folder'
        ? must(home, 'exec', 'keeper', ...read)
        : compose(home, 'keeper', 'exec', '-T', 'app', ...read));
      want(lines(told).filter((line) => line.endsWith(': OK')).length === FILES, `the volume is not as imported: ${told}`);
    },
  };
};

const up = {
  name: 'up',
  prepare: async (home) => {
    await compose(home, 'stack', 'down', '-v', '-t', '1');
  },
  args: (home) => ['--project-directory', join(home.top, 'stack'), 'up', '-d'],
  check: async (home, wasTold) => {
    const there = lines(await compose(home, 'stack', 'ps', '-a', '-q'));
    want(there.length === 1 || !wasTold, 'the machine is lost');
    want((await has(home, 'volume', 'stack_data')) || !wasTold, 'the volume is lost');
    await compose(home, 'stack', 'up', '-d');
    await compose(home, 'stack', 'exec', '-T', 'app', 'sh', '-c', 'echo a > /data/file; echo b > /file; sync');
  },
};

const down = {
  name: 'down -v',
  prepare: async (home) => {
    await compose(home, 'stack', 'up', '-d');
  },
  args: (home) => ['--project-directory', join(home.top, 'stack'), 'down', '-v', '-t', '1'],
  check: async (home, wasTold) => {
    const left = lines(await must(home, 'ls', '-a', '-q')).filter((name) => name === 'stack');
    const volume = await has(home, 'volume', 'stack_data');
    want((left.length === 0 && !volume) || !wasTold, 'the stack was removed and is there again');
    await compose(home, 'stack', 'down', '-v', '-t', '1');
    const machines = join(home.dir, 'machines', 'stack');
    want(!existsSync(machines) || readdirSync(machines).length === 0, `disks are left in ${machines}`);
  },
};

const BOOT = ['exec', '-T', 'app', 'sh', '-c', 'cat /proc/sys/kernel/random/boot_id; cat /dev/shm/memory'];

const suspend = {
  name: 'suspend',
  prepare: async (home) => {
    await compose(home, 'stack', 'up', '-d');
    await compose(home, 'stack', 'exec', '-T', 'app', 'sh', '-c', 'cat /proc/uptime > /dev/shm/memory');
    suspend.before = await compose(home, 'stack', ...BOOT);
  },
  args: (home) => ['--project-directory', join(home.top, 'stack'), 'suspend'],
  check: async (home, wasTold) => {
    if (wasTold) {
      await compose(home, 'stack', 'resume');
      want((await compose(home, 'stack', ...BOOT)) === suspend.before, 'the memory of the suspended stack is lost');
    } else {
      await compose(home, 'stack', 'up', '-d');
    }
    await compose(home, 'stack', 'down', '-v', '-t', '1');
  },
};

/** Writes the projects and archives that the cases name. */
export const makeFiles = async (home) => {
  const folders = ['stack', 'keeper', 'writers', 'writers/bind', 'postgres', 'context', 'files'].map((name) => join(home.top, name));
  for (const folder of folders) {
    await mkdir(folder);
  }
  await writeFile(join(home.top, 'stack', 'compose.yaml'), COMPOSE);
  await writeFile(join(home.top, 'keeper', 'compose.yaml'), COMPOSE);
  await writeFile(join(home.top, 'writers', 'compose.yaml'), writers());
  await writeFile(join(home.top, 'postgres', 'compose.yaml'), POSTGRES);
  await writeFile(join(home.top, 'context', 'Dockerfile'), DOCKERFILE);
};

export const CASES = [
  imageCase('pull', 'busybox:latest', () => ['pull', 'busybox']),
  imageCase('load', 'busybox:latest', (home) => ['load', '-i', join(home.top, 'busybox.tar')]),
  imageCase('tag', 'tagged:latest', () => ['tag', 'busybox', 'tagged']),
  imageCase('build', 'built:latest', (home) => ['build', '--no-cache', '-t', 'built', join(home.top, 'context')], {
    prepare: (home) => writeFile(join(home.top, 'context', 'copied'), String(Math.random())),
    command: ['sh', '-c', 'test -s /copied && sha256sum -c /sums && cat /made'],
    output: 'made\n',
  }),
  objectCase('volume'),
  objectCase('network'),
  gone('volume', { make: ['volume', 'create', 'gone'], remove: ['volume', 'rm'] }),
  gone('network', { make: ['network', 'create', 'gone'], remove: ['network', 'rm'] }),
  gone('image', { make: ['tag', 'busybox', 'gone'], remove: ['rmi'] }),
  volumeImport('folder'),
  volumeImport('disk'),
  up,
  down,
  suspend,
  write,
  commits,
];

/** Sets the home up for them: needs busybox and postgres served by a registry. */
export const setUp = async (home) => {
  await makeFiles(home);
  await must(home, 'run', '--rm', 'busybox', 'true');
  await must(home, 'save', '-o', join(home.top, 'busybox.tar'), 'busybox');
  for (let number = 0; number < FILES; number++) {
    await writeFile(join(home.top, 'files', `f${number}`), String(Math.random()).repeat(1000 * (number % 9)));
  }
  const pack = 'cd "$0" && sha256sum f* > sums && tar -cf ../files.tar .';
  execFileSync('sh', ['-c', pack, join(home.top, 'files')]);
};
