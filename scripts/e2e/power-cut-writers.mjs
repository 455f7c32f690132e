import { join } from 'node:path';
import { compose, lines, want } from './power-cut-steps.mjs';

// What services sync, in four kinds of places, and what is there of it after the power was cut.

/** Lines are told as soon as they are synced, by a writer in a service, each to another kind of place. */
const WRITER = `s=$(date +%s); i=0; while :; do i=$((i+1)); echo $s-$i > $0/new
dd if=/dev/null of=$0/new bs=1 count=0 conv=notrunc,fsync 2>/dev/null && mv $0/new $0/value
echo $s-$i | dd of=$0/lines oflag=append conv=notrunc,fsync 2>/dev/null && echo kept $s-$i; done`;
const PLACES = { disk: 'own:/at', folder: 'both:/at', bind: './bind:/at', layer: undefined };

export const writers = () => {
  const services = Object.entries(PLACES).map(([name, volume]) => [
    name,
    {
      ...{ image: 'busybox', init: true, stop_grace_period: '1s', ...(volume === undefined ? {} : { volumes: [volume] }) },
      command: ['sh', '-c', `mkdir -p /at; ${WRITER.replaceAll('$0', '/at').split('$').join('$$')}`],
    },
  ]);
  const reader = { image: 'busybox', command: 'sleep infinity', init: true, volumes: ['both:/at'] };
  return JSON.stringify({ services: { ...Object.fromEntries(services), reader }, volumes: { own: {}, both: {} } });
};

/** The lines that one of them said were synced. */
const keptOf = (printed, place) => lines(printed).flatMap((line) => new RegExp(`^${place}-1 .*kept (\\d+-\\d+)$`).exec(line)?.[1] ?? []);

/** The services write until the power is cut. */
export const write = {
  name: 'writes with fsync',
  prepare: async (home) => {
    await compose(home, 'writers', 'down', '-v', '-t', '1');
    await compose(home, 'writers', 'up', '-d');
  },
  args: (home) => ['--project-directory', join(home.top, 'writers'), 'logs', '-f', '--no-color'],
  hasBegun: (printed) => Object.keys(PLACES).every((place) => keptOf(printed, place).length > 0),
  check: async (home, _wasTold, printed) => {
    await compose(home, 'writers', 'up', '-d');
    for (const place of Object.keys(PLACES)) {
      const kept = keptOf(printed, place);
      want(kept.length > 0, `${place} had written nothing before the cut: ${printed.slice(-500)}`);
      const found = new Set(lines(await compose(home, 'writers', 'exec', '-T', place, 'cat', '/at/lines')));
      const missing = kept.filter((line) => !found.has(line));
      want(missing.length === 0, `${place}: ${kept.length} lines were synced, and these are lost: ${missing.join(' ').slice(0, 200)}`);
      // It was synced before it got its name.
      await compose(home, 'writers', 'exec', '-T', place, 'test', '-s', '/at/value');
      console.log(`    ${place}: ${kept.length} synced writes, all there`);
    }
    await compose(home, 'writers', 'down', '-v', '-t', '1');
  },
};
