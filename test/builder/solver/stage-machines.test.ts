import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { logSeldom } from '../../../base/log.ts';
import { SILENT_START } from '../../../guest/types.ts';
import { Workshop } from './workshop.ts';

describe('machines of the stages of one build', () => {
  let shop: Workshop;
  beforeEach(async () => {
    shop = new Workshop();
    await shop.busybox();
  });
  afterEach(() => shop.close());

  const stages = (count: number, steps: (stage: number) => string) =>
    Array.from({ length: count }, (_, stage) => `FROM busybox AS s${stage}\n${steps(stage)}`).join('');
  const collect = (count: number) =>
    `FROM scratch\n${Array.from({ length: count }, (_, stage) => `COPY --from=s${stage} /made /made${stage}\n`).join('')}`;

  it('a machine whose stage is over serves others that begin with the same layers: what it had is dropped', async () => {
    shop.machines.program = (spec) => ({ files: { made: spec.args.join(' ') } });
    shop.maxMachines = 2;
    const { tree } = await shop.build(`${stages(12, (stage) => `RUN one ${stage}\nRUN two ${stage}\n`)}${collect(12)}`);
    expect(shop.machines.started.length).toBeLessThanOrEqual(2);
    expect(shop.machines.started.reduce((sum, { drops }) => sum + drops.length, 0)).toBe(12 - shop.machines.started.length);
    expect(await tree.readText('made7')).toBe('/bin/sh -c two 7');
    expect(shop.machines.started.every(({ closed }) => closed)).toBe(true);
  });

  it('a stage that goes on from another one goes on in its machine', async () => {
    await shop.build('FROM busybox AS a\nRUN one\nFROM a AS b\nRUN two\nCOPY --chown=1 <<E /x\nE\nRUN three\n');
    expect(shop.machines.started).toHaveLength(1);
    const [machine] = shop.machines.started;
    expect([machine?.drops, machine?.pushes.map((tar) => tar !== undefined)]).toEqual([[], [false, true]]);
  });

  it('of layers that only one of two stages has those that both have stay', async () => {
    const goOn = (stage: string) => `FROM a AS ${stage}\nRUN ${stage} 1\nRUN ${stage} 2\n`;
    await shop.build(`FROM busybox AS a\nRUN one\nRUN two\n${goOn('b')}${goOn('c')}COPY --from=b /bin /b\n`);
    expect(shop.machines.started).toHaveLength(1);
    // two was frozen with b's first step: that is how many layers c keeps.
    expect(shop.machines.started[0]?.drops).toEqual([2]);
  });

  it('other layers, another network: another machine', async () => {
    await shop.image('other', { 'bin/sh': 'other' });
    await shop.build(
      'FROM busybox AS a\nRUN one\nFROM other AS b\nRUN two\nRUN --network=none three\nFROM busybox\nCOPY --from=a /tmp /a\nCOPY --from=b /bin /b\n',
    );
    expect(shop.machines.started).toHaveLength(2);
  });

  it('a machine of which a step failed is used by no other', async () => {
    shop.machines.program = (spec) => ({ code: spec.args.includes('bad') ? 1 : 0 });
    await expect(shop.build('FROM busybox AS a\nRUN ["bad"]\n')).rejects.toThrow('exit code: 1');
    expect(shop.machines.started.map(({ closed }) => closed)).toEqual([true]);
  });

  it('without memory for a second one, machines that wait are given up, and their stages go on in new ones', async () => {
    shop.memoryMib = 2048;
    shop.machines.program = (spec) => ({ files: { made: spec.args.join(' ') } });
    // b waits for c before its second step, and meanwhile c has a base of its own to run in.
    await shop.image('other', { 'bin/sh': 'other' });
    const { tree } = await shop.build(
      'FROM other AS c\nRUN c\nFROM busybox AS b\nRUN b 1\nRUN --mount=from=c,target=/c b 2\nFROM scratch\nCOPY --from=b /made /made\n',
    );
    expect(await tree.readText('made')).toBe('/bin/sh -c b 2');
    expect(shop.machines.most).toBe(1);
  });

  describe('a machine that is lost', () => {
    const lost = () => new HyprError('GUEST_LOST', 'the channel to the guest is gone');

    it('before a step began: the step begins again in another, once', async () => {
      shop.machines.onStart = (machine) => {
        machine.onPush = () => {
          throw lost();
        };
      };
      shop.machines.program = (spec) => ({ files: { [spec.args.at(-1) ?? '']: 'made' } });
      const { tree } = await shop.build('FROM busybox\nRUN one\nRUN two\n');
      expect(shop.machines.runs.map(({ args }) => args.at(-1))).toEqual(['one', 'two']);
      expect([await tree.readText('one'), await tree.readText('two')]).toEqual(['made', 'made']);
      expect(shop.machines.started.map(({ closed }) => closed)).toEqual([true, true]);
    });

    it('while it starts, twice: the build fails with the reason', async () => {
      shop.machines.onStart = () => {
        throw lost();
      };
      await expect(shop.build('FROM busybox\nRUN one\n')).rejects.toThrow('the channel to the guest is gone');
      expect(shop.machines.started).toHaveLength(2);
    });

    it('by a guest that gives no answer to its start: the step begins again in another', async () => {
      let isFirst = true;
      shop.machines.program = () => {
        if (isFirst) {
          isFirst = false;
          throw new HyprError('HYPR_TIMEOUT', 'no answer', { reason: SILENT_START });
        }
        return { files: { made: 'made' } };
      };
      const file = join(shop.folder, 'commands.log');
      logSeldom(() => file);
      const { tree } = await shop.build('FROM busybox\nRUN one\n');
      expect(await tree.readText('made')).toBe('made');
      expect(shop.machines.started).toHaveLength(2);
      const message = 'a build machine was lost before this step began, which began again in another: no answer';
      expect(shop.events).toContainEqual(expect.objectContaining({ type: 'warning', message, line: 2 }));
      expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
        module: 'build',
        reason: 'no answer',
        machine: { agent: 'is fake' },
      });
    });

    it('when its program may have run: never twice', async () => {
      shop.machines.program = () => {
        throw lost();
      };
      await expect(shop.build('FROM busybox\nRUN one\n')).rejects.toThrow('the channel to the guest is gone');
      expect(shop.machines.started).toHaveLength(1);
    });
  });
});
