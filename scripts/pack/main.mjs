// `npm run pack`: dist-packages/ with what is published: the npm packages `hypr` and `@hypr/linux-x64`, the install script, the .deb,
// SHA256SUMS and an SBOM. `npm run pack -- FOLDER` writes them elsewhere.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ensureBuilt } from '../ensure-built.mjs';
import { root, run } from '../own-node.mjs';
import { makeDeb } from './deb.mjs';
import { installScript } from './install-script.mjs';
import { makeNative } from './native.mjs';
import { packFolder, sha256, sha512 } from './npm.mjs';
import { makeSbom } from './sbom.mjs';
import { stageHypr, stageNative } from './stage.mjs';

const out = resolve(process.argv[2] ?? join(root, 'dist-packages'));

const main = async () => {
  await ensureBuilt();
  // The C library that the programs are linked with is of the toolchain.
  await run(join(root, 'bin', 'hypr'), ['setup', '--progress', 'quiet']);
  await mkdir(out, { recursive: true });
  const work = await mkdtemp(join(out, '.work-'));
  try {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const native = await makeNative(join(work, 'native'));
    const sbom = `${JSON.stringify(await makeSbom({ root, version, native }), null, 2)}\n`;
    const folders = { hypr: await stageHypr({ work, version }), '@hypr/linux-x64': await stageNative({ work, version, native, sbom }) };
    const hypr = await packFolder(folders.hypr, out);
    const platform = await packFolder(folders['@hypr/linux-x64'], out);
    const integrity = { hypr: await sha512(hypr), '@hypr/linux-x64': await sha512(platform) };
    const script = join(out, 'install.sh');
    await writeFile(script, await installScript({ version, integrity }), { mode: 0o755 });
    await writeFile(join(out, 'sbom.cdx.json'), sbom);
    const deb = await makeDeb({ out, version, work, folders });
    const files = [hypr, platform, script, join(out, 'sbom.cdx.json'), deb].sort();
    const sums = await Promise.all(files.map(async (file) => `${await sha256(file)}  ${file.slice(out.length + 1)}\n`));
    await writeFile(join(out, 'SHA256SUMS'), sums.join(''));
    process.stdout.write(sums.join(''));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
};

try {
  await main();
} catch (error) {
  console.error(error.exitCode === undefined ? error : error.message);
  process.exitCode = error.exitCode ?? 1;
}
