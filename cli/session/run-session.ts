import { errorFromJson } from '../../base/errors.ts';
import type { Project } from '../../compose/model/model.ts';
import { DEFAULT_DETACH_KEYS } from '../../engine/docker/machines/detach-keys.ts';
import type { EngineEvent } from '../../engine/model/events.ts';
import type { RunOptions } from '../../engine/model/types.ts';
import type { Invocation } from '../core/command-spec.ts';
import { formatError } from '../core/print-error.ts';
import { openStack } from '../core/project.ts';
import { hasUnicode, wantsColour } from '../core/style.ts';
import { feedEvent, type ProgressRenderer } from '../render/types.ts';
import { createBuildingRenderer } from '../render/with-builds.ts';
import { carrySession } from './session.ts';

export interface RunInput {
  readonly project: Project;
  readonly options: RunOptions;
  readonly detachKeys: string | undefined;
  /** Whether an event before the program starts should be printed. */
  readonly shows: (event: EngineEvent) => boolean;
  /** Called with its id before it starts. */
  readonly onCreated?: ((id: string) => Promise<void>) | undefined;
}

/** Runs a one-off in the foreground, or starts it and prints its id; returns the program's exit code. */
export const runOneOff = async (invocation: Invocation, input: RunInput): Promise<number> => {
  const { context } = invocation;
  const { project, options } = input;
  return openStack(invocation, project.name, async (stack) => {
    const progress = new LazyProgress(invocation, input.shows);
    try {
      const session = await stack.run(project, options, (event) => progress.see(event), context.interrupts.signal);
      await progress.close();
      await input.onCreated?.(session.id);
      if (options.detach) {
        // Not at the end: a hook of what runs may take its time, or fail.
        const telling = session.started.then((runs) => runs && context.stdout.write(`${session.id}\n`));
        for await (const _ of session.output) {
          // Until it is started and its hooks have ended.
        }
        await telling;
        return await session.exitCode;
      }
      const keys = input.detachKeys ?? DEFAULT_DETACH_KEYS;
      return await carrySession(session, { ...options, closeInput: true, detachKeys: keys }, context);
    } finally {
      await progress.close();
    }
  });
};

/** A renderer that is created with the first event, because most one-offs show no progress. */
class LazyProgress {
  readonly #invocation: Invocation;
  readonly #shows: RunInput['shows'];
  #renderer: Promise<ProgressRenderer> | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(invocation: Invocation, shows: RunInput['shows']) {
    this.#invocation = invocation;
    this.#shows = shows;
  }

  see(event: EngineEvent): void {
    if (event.type === 'error') {
      this.#printError(event.error);
    } else if (this.#shows(event)) {
      const { context, flags } = this.#invocation;
      this.#renderer ??= createBuildingRenderer(context, flags, 'run');
      const renderer = this.#renderer;
      this.#turn = this.#turn.then(async () => feedEvent(await renderer, event));
    }
  }

  async close(): Promise<void> {
    await this.#turn;
    const renderer = await this.#renderer;
    this.#renderer = undefined;
    renderer?.close();
  }

  #printError(error: (EngineEvent & { type: 'error' })['error']): void {
    const { stderr, env } = this.#invocation.context;
    const style = { color: wantsColour(stderr, env), json: false, unicode: hasUnicode(env) || stderr.isTTY !== true };
    stderr.write(formatError(errorFromJson(error), { ...style, columns: stderr.columns ?? 80 }));
  }
}
