/** What was done or found in one place; `text` is for people. */
export interface SetupStep {
  readonly place: string;
  readonly status: 'done' | 'kept' | 'failed';
  readonly text: string;
}

/** What root would run, in full; '' where there is nothing to do. `kept` says what stays as it is. */
export interface RootWork {
  readonly script: string;
  readonly kept: readonly string[];
}

/** What trusts hypr's authority, and what leads names to it: found by looking and trying, not from a record. */
export interface TrustStatus {
  readonly domain: string;
  /** Absent before the first `hypr setup --browser`, or the first edge. */
  readonly authority?: { readonly name: string; readonly path: string; readonly fingerprint: string; readonly notAfter: string };
  readonly trust: ReadonlyArray<{ readonly what: 'chromium' | 'firefox' | 'system'; readonly place: string; readonly trusts: boolean }>;
  /** The desktop's proxy: `ours`, `stale`, `free`, `other`, `none`. */
  readonly proxy: { readonly state: string; readonly detail: string };
  /** Whether the edge answers now, whether the host's resolver finds the domain, and whether port 443 is served. */
  readonly edge: boolean;
  readonly resolves: boolean;
  readonly port443: boolean;
}

/** A page to open: its URL, and whether every program finds the name (`system`) or only browsers and curl (`localhost`). */
export interface OpenRequest {
  readonly url: string;
  readonly reach: 'system' | 'localhost';
  /** Name of a browser, which then gets a profile of hypr's. */
  readonly browser?: string;
}

/** What came of it: where the page was opened, or why no window could be. */
export interface OpenedUrl {
  readonly url: string;
  readonly where?: string;
  readonly why?: string;
}

/** What makes names of services work beyond their own stack: who trusts hypr's authority, and what leads names to the edge. */
export interface TrustApi {
  status(): Promise<TrustStatus>;
  /** The authority's certificate (PEM). Throws SETUP_REFUSED where there is none yet. */
  certificate(): Promise<string>;
  /** No root. Throws SETUP_REFUSED when a browser cannot be set up, after the others were. */
  setupBrowser(onStep: (step: SetupStep) => void): Promise<void>;
  undoBrowser(onStep: (step: SetupStep) => void): Promise<void>;
  /** Changes nothing; throws SETUP_REFUSED with what is in the way. */
  planSystem(): Promise<RootWork>;
  planUndo(): Promise<RootWork>;
  open(request: OpenRequest): Promise<OpenedUrl>;
  /** One sudo, unless this is root. */
  runAsRoot(work: RootWork): Promise<void>;
}
