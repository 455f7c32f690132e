import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRoutes, parseSocketTable } from '../../../net/addresses/proc-net.ts';
import { parseStatus } from '../../../net/client/fence.ts';
import { parseResolvConf } from '../../../net/client/resolvers.ts';
import { runs } from '../../support/seed.ts';

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000 100 0 0 10 0
   1: 020200C0:8A46 507100CB:01BB 06 00000000:00000000 03:000009C1 00000000     0        0 0 3 000000002f6eac29
`;
const TCP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0
   1: B80D0120000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 98 1 0 100 0 0 10 0
`;
const ROUTE = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
odd	000011AC	00000000	0001	0	0	0	00FF00FF	0	0	0
`;

describe('tables of the kernel', () => {
  it('reads sockets', () => {
    expect(parseSocketTable(TCP)).toEqual([
      { address: '127.0.0.1', port: 8080, remoteAddress: '0.0.0.0', remotePort: 0, state: 10, uid: 1000, inode: '31337' },
      { address: '192.0.2.2', port: 35398, remoteAddress: '203.0.113.80', remotePort: 443, state: 6, uid: 0, inode: '0' },
    ]);
    expect(parseSocketTable(TCP6).map((row) => `${row.address} ${row.port}`)).toEqual(['0:0:0:0:0:0:0:1 80', '2001:db8:0:0:0:0:0:1 81']);
  });

  it('reads routes without the default one', () => {
    expect(parseRoutes(ROUTE).map((route) => route.prefix)).toEqual([24, 16]);
    expect(parseRoutes(ROUTE)[0]).toEqual({ base: 0xc0000200, size: 256, prefix: 24 });
  });
});

// Whatever the text, a parser gives well-formed rows or nothing, and never throws.
describe('hostile text', () => {
  const noise = fc.oneof(fc.string({ maxLength: 300 }), fc.constantFrom(TCP, TCP6, ROUTE).chain(mutate));
  const options = runs(500);

  it('socket tables and routes', () => {
    fc.assert(
      fc.property(noise, (text) => {
        for (const row of parseSocketTable(text)) {
          expect(row.port).toBeLessThan(65_536);
          expect(row.state).toBeLessThan(256);
          expect(Number.isSafeInteger(row.uid) || row.uid > 0).toBe(true);
        }
        for (const route of parseRoutes(text)) {
          expect(route.base % route.size).toBe(0);
          expect(route.base + route.size).toBeLessThanOrEqual(2 ** 32);
        }
      }),
      options,
    );
  });

  it('survives any status line and any resolv.conf', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        const status = parseStatus(text);
        if (status !== undefined && 'fence' in status) {
          expect(Number.isInteger(status.fence.landlock)).toBe(true);
        }
        for (const server of parseResolvConf(text)) {
          expect(server).toMatch(/:53$/);
        }
      }),
      options,
    );
  });
});

function mutate(text: string): fc.Arbitrary<string> {
  const edit = fc.record({ at: fc.nat(text.length), drop: fc.nat(5), add: fc.string({ maxLength: 4 }) });
  return fc
    .array(edit, { maxLength: 6 })
    .map((edits) => edits.reduce((value, { at, drop, add }) => value.slice(0, at) + add + value.slice(at + drop), text));
}
