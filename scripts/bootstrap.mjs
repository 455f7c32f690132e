// `node scripts/bootstrap.mjs NAME [ARG…]`: runs scripts/NAME.mjs with hypr's own Node, which is installed first where it is missing.
// The Node that runs this file is the user's and may be any: it imports nothing until the version is known.
const OLDEST = 18;

if (Number(process.versions.node.split('.')[0]) < OLDEST) {
  console.error(`hypr needs Node.js ${OLDEST} or newer to install itself, and this is ${process.version} (${process.execPath}).`);
  console.error('It runs with a Node.js of its own afterwards.');
  process.exitCode = 1;
} else {
  import('./own-node.mjs')
    .then(({ runScript }) => runScript(process.argv[2], process.argv.slice(3)))
    .catch((error) => {
      console.error(`hypr cannot be installed: ${error.message}`);
      process.exitCode = 1;
    });
}
