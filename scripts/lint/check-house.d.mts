/** Sources as path → text; gives one line a fault. */
export declare const checkHouse: (sources: ReadonlyMap<string, string>) => string[];
/** CONTRIBUTING's map, as the table says. */
export declare const houseMap: () => string;
/** Paths of all files; gives one line for each that stands at the top and should not. */
export declare const findStrangers: (files: readonly string[]) => string[];
