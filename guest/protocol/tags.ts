// Made from guest/protocol/tags.json by scripts/generate-protocol.mjs: change that table, not this file.

export const PROTOCOL_VERSION = 1;
export const HEADER_SIZE = 10;
export const NONCE_SIZE = 16;
export const MAX_TO_GUEST = 16384;
export const MAX_REQUEST = 33554432;
export const FRAME_END = 165;
export const FLAG_MORE = 1;

export const FRAME = {
  hello: 1,
  request: 2,
  data: 3,
  eof: 4,
  window: 5,
  drop: 6,
  welcome: 129,
  answer: 130,
  output: 131,
  outputEnd: 132,
  exit: 133,
  event: 134,
  inputWindow: 135,
  fault: 136,
} as const;

export const OPCODE = {
  prepare: 1,
  start: 2,
  attach: 3,
  spawn: 4,
  signal: 5,
  resize: 6,
  names: 7,
  clock: 8,
  files: 9,
  writeTar: 10,
  readTar: 11,
  readLayer: 12,
  pushLayer: 13,
  stats: 14,
  watch: 15,
  powerOff: 16,
  sync: 17,
  stage: 18,
  release: 19,
  relay: 20,
  mountRoot: 21,
  forget: 22,
  dial: 23,
  dropLayers: 24,
  nics: 25,
} as const;

export const STATUS = {
  ok: 0,
  refused: 1,
  notExecutable: 126,
  notFound: 127,
} as const;

export const REASON = {
  malformed: 1,
  outOfTurn: 2,
  resources: 3,
  machine: 4,
  setting: 5,
  mount: 6,
  file: 7,
  notFound: 8,
  archive: 9,
  process: 10,
  step: 11,
} as const;

export const STATE = {
  waiting: 0,
  prepared: 1,
  running: 2,
  exited: 3,
} as const;

export const EVENT = {
  workloadExited: 1,
  oom: 2,
  listening: 3,
  notListening: 4,
} as const;

export const MOUNT = {
  disk: 1,
  share: 2,
  tmpfs: 3,
} as const;

export const STEP_SOURCE = {
  cache: 1,
  staged: 2,
  image: 3,
  tmpfs: 4,
  file: 5,
  socket: 6,
} as const;

export const TAG = {
  machine: {
    hostname: 1,
    domainname: 2,
    machineId: 3,
    entropy: 4,
    clock: 5,
    rootDisk: 6,
    upperDisk: 7,
    readOnly: 8,
    mount: 10,
    nic: 11,
    name: 12,
    search: 13,
    upstream: 14,
    option: 15,
    host: 16,
    file: 17,
    sysctl: 18,
  },
  mount: {
    kind: 1,
    source: 2,
    target: 3,
    readOnly: 4,
    subpath: 5,
    seed: 6,
    size: 7,
    mode: 8,
    file: 9,
    image: 10,
  },
  nic: {
    mac: 1,
    name: 2,
    address: 3,
    prefix: 4,
    gateway: 5,
    mtu: 6,
    address6: 7,
    prefix6: 8,
    gateway6: 9,
  },
  name: {
    name: 1,
    address: 2,
    address6: 3,
  },
  host: {
    address: 1,
    name: 2,
  },
  file: {
    path: 1,
    content: 2,
    mode: 3,
    uid: 4,
    gid: 5,
    readOnly: 6,
    append: 7,
  },
  sysctl: {
    key: 1,
    value: 2,
  },
  process: {
    arg: 1,
    env: 2,
    cwd: 3,
    user: 4,
    group: 5,
    tty: 6,
    columns: 7,
    rows: 8,
    stdin: 9,
    limit: 10,
    privileged: 11,
    capAdd: 12,
    capDrop: 13,
    init: 14,
    noNewPrivileges: 15,
    mount: 16,
    isolated: 17,
  },
  limit: {
    name: 1,
    soft: 2,
    hard: 3,
  },
  stepMount: {
    kind: 1,
    source: 2,
    target: 3,
    writable: 4,
    path: 5,
    content: 6,
    size: 7,
    mode: 8,
    uid: 9,
    gid: 10,
    seedKind: 11,
    seed: 12,
    seedPath: 13,
  },
  simple: {
    channel: 1,
    signal: 2,
    columns: 3,
    rows: 4,
    clock: 5,
    grace: 6,
    flag: 7,
    path: 8,
    port: 9,
    mode: 10,
    uid: 11,
    gid: 12,
    count: 13,
  },
  answer: {
    text: 1,
    pid: 2,
    outputStart: 13,
    errorStart: 14,
    inputReceived: 15,
    reason: 16,
  },
  info: {
    pid: 2,
    agent: 3,
    kernel: 4,
    state: 5,
    bootMs: 6,
  },
  exit: {
    code: 10,
    signal: 11,
    oom: 12,
  },
  event: {
    kind: 1,
    pid: 2,
    port: 3,
    udp: 4,
    address: 5,
  },
  stats: {
    cpuMs: 20,
    memoryUsed: 21,
    memoryTotal: 22,
    netRx: 23,
    netTx: 24,
    blockRead: 25,
    blockWrite: 26,
    pids: 27,
    diskFree: 28,
    diskTotal: 29,
  },
} as const;
