import { HyprError, messageOf } from '../../../base/errors.ts';
import { sanitiseText } from '../../../base/sanitise.ts';
import type { FailedStep } from '../../../engine/model/types.ts';
import type { CliContext } from '../../core/context.ts';
import { writeOut } from '../../core/output.ts';
import type { BuildRenderer } from '../../render/types.ts';

/** `build --debug` is interactive. Throws HYPR_USAGE without a terminal. */
export const needTerminal = ({ stdin, stdout }: CliContext): void => {
  if (stdin.isTTY !== true || stdout.isTTY !== true) {
    throw new HyprError('HYPR_USAGE', '--debug opens a shell where a RUN fails, and there is no terminal for it', {
      hint: 'run it in a terminal, or leave --debug out',
    });
  }
};

/** A shell in the machine of a RUN that failed, with the step's environment, folder, user and mounts. Ends with the shell. */
export const debugShell =
  (context: CliContext, renderer: BuildRenderer) =>
  async ({ guest, process, shell, error }: FailedStep): Promise<void> => {
    renderer.close();
    const command = sanitiseText(process.args.join(' '));
    context.stderr.write(
      `\n${sanitiseText(messageOf(error))}\n\nA shell where it failed; its machine goes when you leave.\nThe step was: ${command}\n\n`,
    );
    const { stdout, stdin } = context;
    const size = () => (stdout.columns && stdout.rows ? { columns: stdout.columns, rows: stdout.rows } : undefined);
    const first = size();
    const args = shell.length > 0 ? shell : ['/bin/sh'];
    const running = await guest.spawn({ ...process, args, tty: true, stdin: true, ...(first ? { size: first } : {}) });
    const leave = context.terminal.enter({ enter: () => stdin.setRawMode?.(true), leave: () => stdin.setRawMode?.(false) });
    const ignore = (): void => {};
    const onData = (data: Uint8Array | string): void =>
      void running.write(typeof data === 'string' ? Buffer.from(data) : data).catch(ignore);
    const onResize = (): void => {
      const now = size();
      if (now !== undefined) {
        void running.resize(now).catch(ignore);
      }
    };
    stdin.on('data', onData).resume();
    stdout.on('resize', onResize);
    try {
      for await (const chunk of running.output) {
        await writeOut(stdout, chunk.data);
      }
      await running.exited;
    } finally {
      stdout.removeListener('resize', onResize);
      stdin.removeListener('data', onData).pause();
      leave();
    }
  };
