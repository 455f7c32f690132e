import { errorAt, type Mark } from './source.ts';

/**
 * How much of a Compose file hypr reads. Far above what people write; low enough that a hostile file
 * is refused within a second and a bounded amount of memory.
 */
export const LIMITS = {
  /** Bytes of one YAML or env file. */
  fileBytes: 8 << 20,
  /** Characters of one scalar, before and after interpolation. */
  scalarLength: 1 << 20,
  /** Lines and punctuation of all YAML files together: what the parser's time and memory grow with. */
  tokens: 150_000,
  /** Nodes of the whole model, aliases and inherited values counted once per use. */
  nodes: 200_000,
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
  /** Files that `include` names, counted each time: includes of includes multiply. */
  includes: 1000,
  /** Published ports that the ranges of one project expand to. */
  ports: 70_000,
  /** Nesting of `${A:-${B:-…}}`. */
  templateDepth: 50,
} as const;

/** Counts what a load uses up; one per `loadProject`. */
export class Budget {
  #nodes = 0;
  #length = 0;
  #files = 0;
  #ports = 0;
  #tokens = 0;
  #includes = 0;

  countNode(mark: Mark, length: number): void {
    this.#nodes += 1;
    this.#length += length;
    if (this.#nodes > LIMITS.nodes) {
      throw limitError(`the file has more than ${LIMITS.nodes} values once its aliases are expanded`, mark);
    }
    if (length > LIMITS.scalarLength) {
      throw limitError(`this value is longer than ${LIMITS.scalarLength} characters`, mark);
    }
    if (this.#length > LIMITS.totalLength) {
      throw limitError(`the file has more than ${LIMITS.totalLength} characters once its aliases are expanded`, mark);
    }
  }

  /** What was counted so far, to tell what a part costs. */
  get used(): { nodes: number; length: number } {
    return { nodes: this.#nodes, length: this.#length };
  }

  /** Counts a part again that is used once more. */
  countAgain(part: { nodes: number; length: number }, mark: Mark): void {
    this.#nodes += Math.max(0, part.nodes - 1);
    this.#length += part.length;
    this.countNode(mark, 0);
  }

  countTokens(count: number, mark: Mark): void {
    this.#tokens += count;
    if (this.#tokens > LIMITS.tokens) {
      throw limitError(`the project's files have more than ${LIMITS.tokens} lines and separators`, mark);
    }
  }

  /** Values that a merge copies from one service into another. */
  countCopies(count: number, mark: Mark): void {
    this.#nodes += count;
    if (this.#nodes > LIMITS.nodes) {
      throw limitError(`the services have more than ${LIMITS.nodes} values once all they extend is put in`, mark);
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
