// A process of a test that takes part in the edge until it is killed: `node holder.ts FOLDER NAME`; serves nothing but says so.
import { takePart } from '../../../engine/edge/election.ts';

const [folder = '', name = ''] = process.argv.slice(2);
await takePart({
  folder,
  signal: new AbortController().signal,
  serve: async () => {
    process.stdout.write('holding\n');
    return {
      info: async () => ({ pid: process.pid, domain: name, systemPorts: [], tls: false, problems: [] }),
      close: async () => {},
    };
  },
});
