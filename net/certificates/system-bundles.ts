/**
 * The system's store of a Linux root, all authorities in one file: Debian, Alpine and Arch; Fedora and its kin; SUSE. Other paths for it are
 * links to these.
 */
export const SYSTEM_BUNDLES: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/var/lib/ca-certificates/ca-bundle.pem',
];
