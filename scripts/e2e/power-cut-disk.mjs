import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SoakHome } from './soak-home.mjs';

/** `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH` (include/uapi/linux/fs.h): from now on nothing reaches the device. */
const SHUTDOWN = 'open(F, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl(F, 0x8004587D, $how) or die $!';
const GIB = 2 ** 30;
const END_MS = 20_000;

/**
 * A home, and everything else at `top`, on an ext4 of its own in a file, whose power can be cut: what was written and has not reached the device
 * is lost, in one instant, and all processes with it. What has reached the device counts as kept: the device's own cache is not played.
 */
export class PowerCutDisk extends SoakHome {
  /** `folder` is outside: for the device, and for what a new start of the host finds empty. */
  constructor(folder) {
    const top = join(folder, 'disk');
    super(join(top, 'home'), join(folder, 'run'));
    this.top = top;
    this.#image = join(folder, 'disk.ext4');
    execFileSync('truncate', ['-s', String(12 * GIB), this.#image]);
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=1,lazy_journal_init=1', this.#image]);
    mkdirSync(top);
    this.#mount();
    mkdirSync(this.dir, { mode: 0o700 });
    mkdirSync(this.runtime, { mode: 0o700 });
  }

  #image;

  #mount() {
    execFileSync('mount', ['-o', 'loop', this.#image, this.top]);
  }

  /** Everything written so far is kept: a calm moment. */
  calm() {
    execFileSync('sync', ['-f', this.top]);
  }

  /** Cuts the power. Nothing of what happens after this call's begin counts. */
  cut() {
    execFileSync('perl', ['-e', SHUTDOWN, this.top]);
  }

  /** Starts the host again. */
  async start() {
    for (const until = Date.now() + END_MS; !this.#unmounted(); await sleep(50)) {
      this.killAll();
      if (Date.now() > until) {
        throw new Error(`the disk stays in use: ${JSON.stringify(this.processes())}`);
      }
    }
    for (const name of readdirSync(this.runtime)) {
      rmSync(join(this.runtime, name), { recursive: true, force: true });
    }
    this.#mount();
  }

  /** Processes on their way out, which have no command any more, still hold it. */
  #unmounted() {
    return this.processes().length === 0 && spawnSync('umount', [this.top], { stdio: 'ignore' }).status === 0;
  }

  close() {
    this.killAll();
    spawnSync('umount', ['--lazy', this.top], { stdio: 'ignore' });
  }
}
