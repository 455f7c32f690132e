import { errorAt, type Mark } from '../source/source.ts';

/**
 * Limits on how much of a Compose file hypr reads: far above real files, low enough that a hostile file is refused
 * within a second and in bounded memory.
 */
export const LIMITS = {
  /** Bytes of one YAML or env file. */
  fileBytes: 8 << 20,
  /** Characters of one scalar, before and after interpolation. */
  scalarLength: 1 << 20,
  /** Lines and punctuation of all YAML files together: what the quick reader's time and memory grow with. */
  tokens: 800_000,
  /** The same of those files that the full reader must read: ten times the time and memory. */
  unusualTokens: 150_000,
  /** Values written in all files: three times what 5,000 ordinary services come to. */
  nodes: 300_000,
  /** Values that aliases, merge keys and `extends` add to those, counted once per use, because a short file can multiply them. */
  copies: 200_000,
  /** Keys of one mapping, entries of one list. */
  entries: 20_000,
  /** Characters of all scalars together, aliases counted once per use. */
  totalLength: 32 << 20,
  depth: 100,
  /** Lines of one env file. */
  envLines: 20_000,
  /** Values that env files and label files give to all services together. */
  envValues: 300_000,
  /** Services that extend one another in a row. */
  extendsDepth: 500,
  /** Files read by `include` and `extends`. */
  files: 500,
  /** Files named by `include`, counted each time, because nested includes multiply. */
  includes: 1000,
  /** Published ports that the ranges of one project expand to. */
  ports: 70_000,
  /** Nesting of `${A:-${B:-…}}`. */
  templateDepth: 50,
} as const;

/** Counts what a load uses up; one per `loadProject`. */
export class Budget {
  #nodes = 0;
  #copies = 0;
  #length = 0;
  #files = 0;
  #ports = 0;
  #tokens = 0;
  #unusual = 0;
  #includes = 0;

  countNode(mark: Mark, length: number): void {
    this.#nodes += 1;
    this.#length += length;
    if (this.#nodes > LIMITS.nodes) {
      throw limitError(`the project's files have more than ${LIMITS.nodes} values`, mark);
    }
    if (length > LIMITS.scalarLength) {
      throw limitError(`this value is longer than ${LIMITS.scalarLength} characters`, mark);
    }
    this.#checkLength(mark);
  }

  #checkLength(mark: Mark): void {
    if (this.#length > LIMITS.totalLength) {
      throw limitError(`the file has more than ${LIMITS.totalLength} characters once its aliases are expanded`, mark);
    }
  }

  countEntries(count: number, mark: Mark): void {
    if (count > LIMITS.entries) {
      throw limitError(`this has more than ${LIMITS.entries} entries`, mark);
    }
  }

  /** What has been counted so far, to measure what a part costs. */
  get used(): { nodes: number; length: number } {
    return { nodes: this.#nodes + this.#copies, length: this.#length };
  }

  /** Counts a part again for a further use. */
  countAgain(part: { nodes: number; length: number }, mark: Mark): void {
    this.#copies += part.nodes;
    this.#length += part.length;
    if (this.#copies > LIMITS.copies) {
      throw limitError(`the file has more than ${LIMITS.copies} values once its aliases are expanded`, mark);
    }
    this.#checkLength(mark);
  }

  countTokens(count: number, mark: Mark): void {
    this.#tokens += count;
    if (this.#tokens > LIMITS.tokens) {
      throw limitError(`the project's files have more than ${LIMITS.tokens} lines and separators`, mark);
    }
  }

  /** @param count of a whole file that the full reader is to read */
  countUnusual(count: number, mark: Mark): void {
    this.#unusual += count;
    if (this.#unusual > LIMITS.unusualTokens) {
      throw limitError(
        `the project's files have more than ${LIMITS.unusualTokens} lines and separators, and some YAML that is rare in Compose files`,
        mark,
      );
    }
  }

  /** Values that a merge copies from one service into another. */
  countCopies(count: number, mark: Mark): void {
    this.#copies += count;
    if (this.#copies > LIMITS.copies) {
      throw limitError(`the services have more than ${LIMITS.copies} values once all they extend is put in`, mark);
    }
  }

  countFile(mark: Mark | undefined): void {
    this.#files += 1;
    if (this.#files > LIMITS.files) {
      throw limitError(`more than ${LIMITS.files} files are included or extended`, mark);
    }
  }

  countInclude(mark: Mark): void {
    this.#includes += 1;
    if (this.#includes > LIMITS.includes) {
      throw limitError(`files are included more than ${LIMITS.includes} times`, mark);
    }
  }

  countPorts(count: number, mark: Mark): void {
    this.#ports += count;
    if (this.#ports > LIMITS.ports) {
      throw limitError(`the port ranges of this project expand to more than ${LIMITS.ports} ports`, mark);
    }
  }
}

export const limitError = (message: string, mark: Mark | undefined) =>
  errorAt('COMPOSE_LIMIT', message, { mark, hint: 'split the file, or write the repeated part once' });
