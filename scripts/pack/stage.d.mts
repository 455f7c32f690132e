export const SEPARATE: readonly string[];
export const stageNative: (input: {
  work: string;
  version: string;
  native: { bin: string; licences: ReadonlyMap<string, string> };
  sbom: string;
}) => Promise<string>;
export const stageHypr: (input: { work: string; version: string }) => Promise<string>;
