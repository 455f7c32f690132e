import { join } from 'node:path';

// What the cases of power cuts are written with.

export const must = async (home, ...args) => {
  const { code, stdout, stderr } = await home.hypr(args, home.top);
  if (code !== 0) {
    throw new Error(`hypr ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`);
  }
  return stdout;
};

export const want = (isRight, what) => {
  if (!isRight) {
    throw new Error(what);
  }
};

export const compose = (home, stack, ...args) =>
  must(home, '--project-directory', join(home.top, stack), '-f', join(home.top, stack, 'compose.yaml'), ...args);
export const lines = (text) => text.split('\n').filter(Boolean);
export const has = async (home, kind, name) => lines(await must(home, kind, 'ls', '--format', '{{.Name}}')).includes(name);
export const hasImage = async (home, name) => lines(await must(home, 'images', '--format', '{{.Repository}}:{{.Tag}}')).includes(name);
export const runs = async (home, image, ...command) => must(home, 'run', '--rm', '--pull', 'never', image, ...command);
