/** The generated files by path from the project's root: text of each. */
export const generateProtocol: () => Readonly<Record<string, string>>;
