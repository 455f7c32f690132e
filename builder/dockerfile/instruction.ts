import type { ParsedMount } from './mount.ts';

/** Lines of the Dockerfile, counted from 1, both included. */
export interface SourceRange {
  readonly line: number;
  readonly endLine: number;
}

export interface Heredoc {
  readonly name: string;
  /** The number before `<<`; 0 when there is none. */
  readonly fd: number;
  /** False when any part of the word was quoted: the body is literal. */
  readonly expand: boolean;
  /** `<<-`: leading tabs of every line are removed. */
  readonly chomp: boolean;
  /** The body, with its newlines; for `<<-` the tabs are already removed. */
  readonly content: string;
  /** The body as it was written, which a shell gets. */
  readonly written: string;
}

export interface KeyValue {
  readonly name: string;
  readonly value: string;
  /** `ENV name value` instead of `name=value`. */
  readonly legacy: boolean;
}

/** One logical line after the lexer: continuation lines joined, comments removed, flags and arguments separated. */
export interface RawInstruction {
  /** Lower case. */
  readonly keyword: string;
  readonly flags: readonly string[];
  readonly args: readonly string[];
  /** The arguments were a JSON array. */
  readonly json: boolean;
  /** ENV and LABEL. */
  readonly pairs: readonly KeyValue[];
  readonly heredocs: readonly Heredoc[];
  /** The joined line as written. */
  readonly original: string;
  readonly range: SourceRange;
  /** Comment lines directly above, without `#`. */
  readonly comments: readonly string[];
  /** ONBUILD: the instruction that it triggers. */
  readonly trigger?: RawInstruction;
}

interface InstructionBase {
  readonly range: SourceRange;
  /** The joined line as written. */
  readonly text: string;
  readonly comments: readonly string[];
}

/** A command line in exec form (JSON) or shell form (one string). */
export interface CommandLine {
  readonly form: 'exec' | 'shell';
  readonly args: readonly string[];
}

export interface SourcesAndTarget {
  readonly sources: readonly string[];
  /** Heredocs among the sources; each becomes a file. */
  readonly documents: readonly Heredoc[];
  readonly target: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly link: boolean;
  readonly exclude: readonly string[];
}

export interface FromInstruction extends InstructionBase {
  readonly kind: 'from';
  readonly image: string;
  readonly platform: string | undefined;
  /** Lower case. */
  readonly name: string | undefined;
}
export interface ArgInstruction extends InstructionBase {
  readonly kind: 'arg';
  readonly args: ReadonlyArray<{ readonly name: string; readonly value: string | undefined }>;
}
export interface EnvInstruction extends InstructionBase {
  readonly kind: 'env' | 'label';
  readonly pairs: readonly KeyValue[];
}
export interface RunInstruction extends InstructionBase {
  readonly kind: 'run';
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  readonly mounts: readonly ParsedMount[];
  readonly network: 'default' | 'none' | 'host' | undefined;
  readonly security: string | undefined;
  readonly devices: readonly string[];
}
export interface CopyInstruction extends InstructionBase, SourcesAndTarget {
  readonly kind: 'copy';
  readonly from: string | undefined;
  readonly parents: boolean;
}
export interface AddInstruction extends InstructionBase, SourcesAndTarget {
  readonly kind: 'add';
  readonly checksum: string | undefined;
  readonly keepGitDir: boolean;
  readonly unpack: boolean | undefined;
}
export interface CommandInstruction extends InstructionBase {
  readonly kind: 'cmd' | 'entrypoint';
  readonly command: CommandLine;
}
/** Durations are nanoseconds, as in the image config. */
export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: 'healthcheck';
  readonly test: readonly string[];
  readonly interval: number | undefined;
  readonly timeout: number | undefined;
  readonly startPeriod: number | undefined;
  readonly startInterval: number | undefined;
  readonly retries: number | undefined;
}
export interface WordInstruction extends InstructionBase {
  readonly kind: 'workdir' | 'user' | 'stopsignal' | 'maintainer';
  readonly value: string;
}
export interface WordsInstruction extends InstructionBase {
  readonly kind: 'expose' | 'volume' | 'shell';
  readonly values: readonly string[];
}
export interface OnbuildInstruction extends InstructionBase {
  readonly kind: 'onbuild';
  /** The trigger as the image config stores it; a heredoc keeps its body. */
  readonly expression: string;
}

/** Instructions of a stage, which FROM starts. */
export type StageInstruction =
  | ArgInstruction
  | EnvInstruction
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | CommandInstruction
  | HealthcheckInstruction
  | WordInstruction
  | WordsInstruction
  | OnbuildInstruction;
export type Instruction = FromInstruction | StageInstruction;

export interface Stage {
  readonly index: number;
  readonly from: FromInstruction;
  readonly instructions: readonly StageInstruction[];
}

export interface Directives {
  readonly escape: '\\' | '`';
  readonly syntax: string | undefined;
  readonly check: string | undefined;
}

export interface Dockerfile {
  /** How errors name it. */
  readonly file: string;
  readonly directives: Directives;
  /** ARG before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  readonly warnings: ReadonlyArray<{ readonly message: string; readonly line: number }>;
  /** The original text, for excerpts. */
  readonly text: string;
}
