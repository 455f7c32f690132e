/** What this host trusts, PEM. */
export interface HostCertificates {
  /** All of it. */
  readonly bundle: Uint8Array;
  /** Those that no plain system has, such as an intercepting proxy's. */
  readonly own: Uint8Array;
}
