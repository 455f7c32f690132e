import { confine } from '../../../base/host/cgroup.ts';

/** `confine-in-scope.ts BUS PID...`: for test/base/host/user-scope.test.ts, in its namespaces. */
const [bus = '', ...pids] = process.argv.slice(2);
const limits = { memoryBytes: 2 ** 30, cpus: 3, tasks: 512 };
await confine(pids.map(Number), { limits, name: 'shop-db-1', runDir: '/run/m-1' }, { bus, controllers: ['memory', 'cpu', 'pids'] });
