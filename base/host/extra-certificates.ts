/*
 * Node reads the file of NODE_EXTRA_CA_CERTS at every start, whatever then runs: with a system's usual bundle that
 * is 50 ms of a processor, twice as long as an empty node takes without it. So our processes start without the
 * variable (bin/hypr, the supervisor) and put it back at once: Compose files and programs that they start see what the user set. Who makes TLS
 * connections has to name the file, builder/registry/config/certificates.ts.
 */

/** What the variable is called across a start. */
const DEFERRED = 'HYPR_EXTRA_CA_CERTS';

let deferred: string | undefined;

/** `env` for a Node program that calls takeExtraCertificates. As in bin/hypr: whoever gives Node options may mean its certificates. */
export const deferExtraCertificates = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
  const { NODE_EXTRA_CA_CERTS: file, ...rest } = env;
  return file && !env.NODE_OPTIONS ? { ...rest, [DEFERRED]: file } : env;
};

/** Puts the variable back where the user had it. Once, before anything reads the environment. */
export const takeExtraCertificates = (): void => {
  const file = process.env[DEFERRED];
  if (file) {
    deferred = file;
    process.env.NODE_EXTRA_CA_CERTS = file;
    delete process.env[DEFERRED];
  }
};

/** The file that Node would have taken and has not; undefined when there is none or Node has. */
export const deferredCertificates = (): string | undefined => deferred;
