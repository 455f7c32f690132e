export const packFolder: (folder: string, out: string, level?: number) => Promise<string>;
export const sha256: (file: string) => Promise<string>;
export const sha512: (file: string) => Promise<string>;
