import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { HyprError, messageOf } from '../../base/errors.ts';
import { withLock } from '../../base/host/lock.ts';
import { logger } from '../../base/log.ts';
import { type HomePaths, shortHash } from '../../base/paths.ts';
import type { Machine, MachineSpec } from '../model/machine.ts';
import { memoryClass } from '../model/memory-class.ts';
import type { Accelerator } from '../qemu/accelerator.ts';
import { buildQemuCommand, type QemuSettings } from '../qemu/command.ts';
import { cloneRefusal, type RootedDisks, rootDisks } from '../qemu/machine-class.ts';
import { isGuestFault } from '../qemu/run-states.ts';
import { makeTemplate } from './make.ts';
import { makeRootedTemplate, rootedKey } from './make-rooted.ts';
import { ifUnlocked, pruneTemplates } from './prune.ts';
import type { MakeInput } from './staging.ts';
import {
  countFailures,
  discardTemplate,
  FORMAT,
  isRooted,
  lockPath,
  noteFailure,
  readTemplate,
  templatesFolder,
  touchTemplate,
} from './store.ts';
import type { Template, Templates } from './types.ts';

export interface TemplatesOptions {
  readonly settings: QemuSettings;
  readonly paths: HomePaths;
  /** How a template is made; replaced by tests that start no machine. */
  readonly make?: typeof makeTemplate;
  readonly makeRooted?: typeof makeRootedTemplate;
  /** Milliseconds without a further cold boot before one is made in the background. */
  readonly quietMs?: number;
}

/** Long enough for the machines of a stack to have booted, because the user is waiting for them. */
const QUIET_MS = 6_000;
const MAKE_MS = 300_000;
/** The template is blamed for a guest that crashes this soon after it was cloned. */
const EARLY_MS = 10_000;
const MAX_FAILURES = 2;

const log = logger('vmm');

/** The templates below HYPR_HOME/cache/templates, one folder for each key. */
export const createTemplates = (options: TemplatesOptions): Templates => new TemplateShelf(options);

/**
 * Whether mounting a root ahead of time pays. It costs a hundred megabytes of disk and of page cache for each image. It
 * saves a third of a start with software emulation, but only milliseconds with KVM.
 */
const MOUNTS_AHEAD: Record<Accelerator, boolean> = { tcg: true, kvm: false };

interface Wanted {
  readonly key: string;
  readonly spec: MachineSpec;
  readonly signal: AbortSignal | undefined;
}

class TemplateShelf implements Templates {
  readonly #settings: QemuSettings;
  readonly #paths: HomePaths;
  readonly #root: string;
  readonly #make: typeof makeTemplate;
  readonly #makeRooted: typeof makeRootedTemplate;
  readonly #quietMs: number;
  readonly #wanted = new Map<string, MachineSpec>();
  readonly #attempts = new Map<string, number>();
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #making: Promise<void> | undefined;

  constructor(options: TemplatesOptions) {
    this.#settings = options.settings;
    this.#paths = options.paths;
    this.#root = templatesFolder(options.paths);
    this.#make = options.make ?? makeTemplate;
    this.#makeRooted = options.makeRooted ?? makeRootedTemplate;
    this.#quietMs = options.quietMs ?? QUIET_MS;
  }

  async find(spec: MachineSpec, form?: 'rooted'): Promise<Template | undefined> {
    const refusal = cloneRefusal(spec);
    if (refusal !== undefined) {
      log.info('booting instead of cloning', { machine: spec.name, reason: refusal });
      return undefined;
    }
    const key = form === 'rooted' ? (await this.#rooted(spec))?.key : templateKey(this.#settings, spec);
    if (key === undefined) {
      return undefined;
    }
    const found = await readTemplate(this.#root, key);
    if (found === 'broken') {
      log.warn('a template was changed or damaged; it is made again', { template: key });
      await this.#discardBroken(key);
      return undefined;
    }
    if (found !== undefined && form === 'rooted') {
      await touchTemplate(this.#root, key);
    }
    return found;
  }

  async make(spec: MachineSpec, signal?: AbortSignal): Promise<Template | undefined> {
    if (cloneRefusal(spec) !== undefined) {
      return undefined;
    }
    const key = templateKey(this.#settings, spec);
    return await this.#makeOnce({ key, spec, signal }, (input) => this.#make(input));
  }

  async makeRooted(spec: MachineSpec, signal?: AbortSignal): Promise<Template | undefined> {
    const rooted = await this.#rooted(spec);
    // If its clones failed although it was tried out, machines boot without a template for a day.
    if (rooted === undefined || (await countFailures(this.#root, rooted.key)) >= MAX_FAILURES) {
      return undefined;
    }
    const { key, disks } = rooted;
    const base = await this.make(spec, signal);
    return base && (await this.#makeOnce({ key, spec, signal }, (input) => this.#makeRooted({ ...input, base, disks })));
  }

  /** Unless another process is making it at this moment. */
  async #discardBroken(key: string): Promise<void> {
    await ifUnlocked(lockPath(this.#paths, key), async () => {
      if ((await readTemplate(this.#root, key)) === 'broken') {
        await discardTemplate(this.#root, key);
      }
    });
  }

  /** Undefined if a template with the machine's root is impossible or would not help. */
  async #rooted(spec: MachineSpec): Promise<{ readonly key: string; readonly disks: RootedDisks } | undefined> {
    const disks = this.#isAhead(spec) && cloneRefusal(spec) === undefined ? rootDisks(spec) : undefined;
    return disks && { key: await rootedKey(templateKey(this.#settings, spec), disks), disks };
  }

  async #makeOnce(wanted: Wanted, make: (input: MakeInput) => Promise<Template>): Promise<Template> {
    const { key, spec, signal } = wanted;
    const lock = lockPath(this.#paths, key);
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    return await withLock(lock, { what: 'a machine template', timeout: MAKE_MS, ...(signal ? { signal } : {}) }, async () => {
      const found = await readTemplate(this.#root, key);
      if (found !== undefined && found !== 'broken') {
        return found;
      }
      const begin = Date.now();
      await pruneTemplates(this.#paths, this.#settings.toolchain.id);
      const template = await make({ settings: this.#settings, root: this.#root, key, spec, signal });
      log.info('made a template', { template: key, vcpus: spec.vcpus, memoryMib: memoryClass(spec.memoryMib), ms: Date.now() - begin });
      return template;
    });
  }

  wanted(spec: MachineSpec): void {
    const key = `${templateKey(this.#settings, spec)} ${this.#isAhead(spec) ? spec.disks[0]?.path : ''}`;
    if (this.#closing.signal.aborted || cloneRefusal(spec) !== undefined || (this.#attempts.get(key) ?? 0) >= MAX_FAILURES) {
      return;
    }
    this.#wanted.set(key, spec);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#begin(), this.#quietMs).unref();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#closing.abort(new HyprError('HYPR_CANCELLED', 'hypr is ending'));
    await this.#making;
  }

  #begin(): void {
    this.#making ??= this.#makeWanted().finally(() => {
      this.#making = undefined;
    });
  }

  async failed(template: Pick<Template, 'key'>): Promise<void> {
    if ((await noteFailure(this.#root, template.key)) >= MAX_FAILURES) {
      log.warn('a template failed twice; it is thrown away', { template: template.key });
      await discardTemplate(this.#root, template.key, { keepFailures: await isRooted(this.#root, template.key) });
    }
  }

  watch(template: Template, machine: Machine): void {
    const begin = Date.now();
    void machine.exited.then(async (exit) => {
      if (isGuestFault(exit) && Date.now() - begin < EARLY_MS) {
        log.warn('a clone crashed early', { machine: machine.record.spec.name, template: template.key, reason: exit.detail });
        await this.failed(template).catch((error: unknown) => log.warn('its failure was not recorded', { reason: messageOf(error) }));
      }
    });
  }

  #isAhead(spec: MachineSpec): boolean {
    return MOUNTS_AHEAD[this.#settings.accelerator] && rootDisks(spec) !== undefined;
  }

  /** One after the other, because each keeps a core busy for seconds. */
  async #makeWanted(): Promise<void> {
    const { signal } = this.#closing;
    for (const [key, spec] of this.#wanted) {
      this.#wanted.delete(key);
      try {
        await (this.#isAhead(spec) ? this.makeRooted(spec, signal) : this.make(spec, signal));
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        this.#attempts.set(key, (this.#attempts.get(key) ?? 0) + 1);
        const details = error instanceof HyprError ? error.details : [];
        log.warn('a template could not be made; machines boot without', { template: key, reason: messageOf(error), details });
      }
    }
  }
}

/**
 * Everything that a template and its clones must have in common; pure, except for the processor's name. The command line
 * contains accelerator, processors, memory, kernel, agent and devices; the toolchain's id stands for the programs.
 */
export const templateKey = (settings: QemuSettings, spec: MachineSpec): string => {
  const bare = { ...spec, name: 't', runDir: '/t', consoleLog: '/t/c', disks: [], nics: [], shares: [] };
  const { args } = buildQemuCommand(settings, bare, { kind: 'template', ram: spec.shares.length > 0 ? undefined : '/t/ram' });
  const { id, qemu } = settings.toolchain;
  return shortHash(JSON.stringify([FORMAT, id, qemu.version, processor(), args]), 16);
};

let known: string | undefined;

/**
 * The state of a processor is only valid where its features are the same: an update of the microcode can remove some, and an outer host
 * can hide some without changing the model's name.
 */
const processor = (): string => {
  if (known === undefined) {
    const text = readCpuInfo();
    const [microcode, flags] = ['microcode', 'flags'].map((field) => new RegExp(`^${field}\\s*:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '');
    known = `${cpus()[0]?.model} ${microcode} ${shortHash(flags ?? '', 8)}`;
  }
  return known;
};

const readCpuInfo = (): string => {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
};
