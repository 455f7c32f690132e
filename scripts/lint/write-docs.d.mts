/** Name of the page in docs/ → its text as the tables of the code say. */
export declare const writtenDocs: () => Record<string, string>;
