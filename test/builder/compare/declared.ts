import type { BuildCase } from './generate.ts';

interface Declared {
  readonly id: string;
  /** The whole line of a difference, as `compareCase` writes it. */
  readonly pattern: RegExp;
  /** Text that the Dockerfile has, where that is part of the reason. */
  readonly needs?: RegExp;
}

/** Differences that are on purpose, or docker's own faults. docs/builds.md says why. */
const DECLARED: readonly Declared[] = [
  // Where a step puts something the folder keeps its time, so that the same inputs give the same layer.
  { id: 'time of a folder', pattern: /^file [^:]*: docker dir (\d+ \d+:\d+) made {2}\| hypr dir \1 \d+ $/ },
  // The root of an image has no entry in its layers, and so no time, but in the disk where BuildKit still has it.
  {
    id: 'time of a root',
    pattern: /^file [^:]*: docker dir (\d+ \d+:\d+) \d+ {2}\| hypr dir \1 made $/,
    needs: /^(COPY|ADD) .*--from=\S+ \/ /m,
  },
  // BuildKit up to 0.13 follows links in folders that a pattern found, and fails where they lead nowhere.
  {
    id: 'links below a pattern',
    pattern: /^refusal: docker (?:ERROR: failed to solve: )?failed to compute cache key: .*not found \| hypr builds$/,
    needs: /^(COPY|ADD) .*[*?]/m,
  },
  // In an empty root no name has a number: the first step of a stage from scratch fails in BuildKit 0.13, a later one takes 0, as hypr does.
  { id: 'an owner by name in an empty root', pattern: /^refusal: docker .*invalid user index: -1 \| hypr builds$/ },
  // docker writes it into the layer, where it deletes another file; hypr refuses to make such a layer (docs/builds.md).
  { id: 'a name that means a deletion', pattern: /^refusal: docker builds \| hypr ✗ \S*\.wh\.\S* cannot be in an image/ },
  // What a RUN sees of its machine: other addresses, and files that docker's builds do not have.
  { id: 'files of the machine', pattern: /^file \S*etc-copy\/(hosts|resolv\.conf|hostname|machine-id): / },
  // BuildKit after 0.13 has the value in force, as hypr has; 0.13 the default.
  { id: 'ARG in the history', pattern: /^history \d+: docker \S*"ARG .* \| hypr \S*"ARG / },
  // BuildKit after 0.13 has the ARGs of the stage that this one is made from too, as hypr has; 0.13 only this one's.
  {
    id: 'ARG of the parent in the history',
    pattern: /^history \d+: docker (.*"RUN )(?:\|\d+ .* )?(\S+ .*) \| hypr \1\|\d+ .* \2$/,
    needs: /^FROM (s\d|one)/m,
  },
  // BuildKit 0.13 reads the groups of a user from a file that is not open; later ones, as hypr, take it that there are none.
  {
    id: 'a user without a group, and no /etc/group',
    pattern: /^refusal: docker .*: unable to find groups for spec \S+: invalid argument \| hypr builds$/,
    needs: /^USER [^:]+$/m,
  },
  // BuildKit 0.13 asks its client for the name as it is, which a header of gRPC does not carry; later ones encode it.
  {
    id: 'a name that is not ASCII below a folder',
    pattern: /^refusal: docker .*(?:failed to walk .*: no such file or directory|"[^"]*": not found) \| hypr builds$/,
    needs: /^(COPY|ADD) .*[^ -~].*$/m,
  },
  // And the patterns beside such a name then find nothing.
  { id: 'files beside a name that is not ASCII', pattern: /^file .*: docker – \| hypr file /, needs: /^(COPY|ADD) .*[^ -~].*$/m },
  // 0.13 takes what is no octal number for no --chmod; later ones, as hypr, for a mode in letters.
  { id: 'a mode in letters', pattern: /^file [^:]*: docker file 0644 (.*) \| hypr file 0\d{3} \1$/, needs: /--chmod=[ugoa+=-]/ },
  // docker's store reads one attribute back out of a layer, security.capability; hypr, as containerd's store, keeps what the archive has.
  {
    id: 'attributes of an archive',
    pattern: /^file [^:]*: docker (.*?)( security\.capability=\w+)?( = [^|]*)? \| hypr \1\2 user\.note=\w+\3$/,
    needs: /^ADD /m,
  },
  // docker gives each hard link of an archive its owner after the attributes, and the kernel takes the file's capabilities away then.
  {
    id: 'capabilities of a file with hard links',
    pattern: /^file [^:]*: docker (.*?)( = [^|]*)? \| hypr \1 security\.capability=\w+(?: user\.note=\w+)?\2$/,
    needs: /^ADD /m,
  },
  // BuildKit after 0.13 gives what an archive holds the owner that is asked for, as hypr does.
  {
    id: 'the owner of an archive',
    pattern:
      /^file [^:]*: docker (\S+ \d*) \d+:\d+ (.*) \| hypr \1 (?:5:6|65534:0|1000:1000|7:7) \2(?: security\.capability=\w+)?(?: user\.note=\w+)?$/,
    needs: /^ADD --chown/m,
  },
  // Only BuildKit after 0.13 has them without a syntax line, as hypr has.
  {
    id: 'flags of later versions',
    pattern: /^refusal: docker .*(unknown flag: (parents|exclude)|unexpected key 'env' in 'env=SECRET') \| hypr builds$/,
  },
  { id: 'docker saves no image without layers', pattern: /^refusal: docker save: .*empty export/ },
];

/** The row that explains a difference. */
export const explainDifference = (difference: string, { dockerfile }: BuildCase): string | undefined =>
  DECLARED.find(({ pattern, needs }) => pattern.test(difference) && (needs?.test(dockerfile) ?? true))?.id;
