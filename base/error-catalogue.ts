/**
 * Every error code of hypr, in the order of the folders that throw them. `kind` says who has to fix it: the user, or hypr's
 * authors; `text` is what the code means, printed in docs/errors.md. A test keeps the two in step.
 */
export const ERRORS = {
  // base
  HYPR_INTERNAL: { kind: 'bug', text: 'something inside hypr failed unexpectedly' },
  HYPR_CANCELLED: { kind: 'user', text: 'the command was interrupted' },
  HYPR_TIMEOUT: { kind: 'user', text: 'something did not happen within its deadline' },
  HYPR_USAGE: { kind: 'user', text: 'a flag or argument is not understood' },
  HYPR_DISK_FULL: { kind: 'user', text: 'no space left on the disk that holds HYPR_HOME' },
  HYPR_PERMISSION: { kind: 'user', text: 'no permission to read or write a file or folder' },
  HYPR_FILE: { kind: 'user', text: 'the file to read is a device or a pipe, or much too large' },
  HYPR_LOCKED: { kind: 'user', text: 'another hypr process is doing the same thing' },
  HYPR_UNSUPPORTED: { kind: 'user', text: 'a feature that hypr does not support, with the reason' },

  // compose
  COMPOSE_NOT_FOUND: { kind: 'user', text: 'no Compose file here or in a parent folder' },
  COMPOSE_SYNTAX: { kind: 'user', text: 'the file is not valid YAML' },
  COMPOSE_INVALID: { kind: 'user', text: 'the file does not follow the Compose Specification' },
  COMPOSE_INTERPOLATION: { kind: 'user', text: 'a ${VARIABLE} is malformed, required or of the wrong type' },
  COMPOSE_ENV_FILE: { kind: 'user', text: 'an env file is missing or malformed' },
  COMPOSE_LIMIT: { kind: 'user', text: 'the file is larger or nested deeper than hypr reads' },
  PROVIDER_FAILED: { kind: 'user', text: 'the program that provides a service is missing or failed' },
  COMPOSE_NO_SERVICE: { kind: 'user', text: 'a service named on the command line does not exist' },

  // vmm and toolchain
  TOOLCHAIN_MISSING: { kind: 'user', text: 'a program that hypr needs is missing and cannot be downloaded' },
  TOOLCHAIN_FAILED: { kind: 'user', text: 'downloading or compiling the toolchain failed' },
  VMM_START: { kind: 'user', text: 'the virtual machine monitor did not start' },
  VMM_SAVED: {
    kind: 'user',
    text: 'the saved memory of a machine cannot be used: it is missing, damaged or from another version of the toolchain',
  },
  VMM_FENCE: { kind: 'user', text: 'this host cannot isolate something that a machine would share with it' },
  VMM_DIED: { kind: 'user', text: 'a virtual machine monitor ended unexpectedly' },
  GUEST_BOOT: { kind: 'user', text: 'the guest kernel did not reach its agent in time' },
  GUEST_PROTOCOL: { kind: 'bug', text: 'the guest agent sent something that is not in the protocol' },
  GUEST_REFUSED: { kind: 'user', text: 'the guest agent could not carry out a request' },
  GUEST_LOST: { kind: 'user', text: 'the channel to a guest broke or its machine is gone' },
  GUEST_SILENT: {
    kind: 'user',
    text: 'a guest does not answer: its machine was stopped by the host, it hangs, or it could not be taken over',
  },
  GUEST_EXEC: { kind: 'user', text: 'a program could not be started in the guest' },

  // net
  NET_START: { kind: 'user', text: 'a network did not start' },
  NET_PORT_IN_USE: { kind: 'user', text: 'a published port is already taken, and by whom' },
  NET_PORT_DENIED: { kind: 'user', text: 'a published port below 1024 needs a setting of the host' },
  NET_EXHAUSTED: { kind: 'user', text: 'no free address or subnet is left' },
  NET_CERTIFICATE: { kind: 'user', text: 'the certificate authority cannot be used, or may not vouch for a name' },
  NET_ADDRESS: { kind: 'user', text: 'an address or subnet does not fit its network' },
  NAME_UNREACHABLE: { kind: 'user', text: 'nothing listens on this port of the service' },
  NAME_UNKNOWN: { kind: 'user', text: 'no service has this name' },
  NAME_NOT_READY: { kind: 'user', text: 'the service of this name does not run or listen yet' },
  EDGE_HOST: { kind: 'user', text: 'a request to the edge is for a name that is not of hypr, or malformed' },
  EDGE_HOST_REFUSED: { kind: 'user', text: 'a development server refuses the name under which it was asked' },
  EDGE_UPSTREAM: { kind: 'user', text: 'a service closed the connection without an answer, or does not speak HTTP' },

  // builder and images
  IMAGE_REFERENCE: { kind: 'user', text: 'an image name is not valid' },
  IMAGE_NOT_FOUND: { kind: 'user', text: 'the image is not in the store or the registry' },
  IMAGE_IN_USE: { kind: 'user', text: 'the image is used by a stack' },
  IMAGE_CORRUPT: { kind: 'user', text: 'a blob does not have the digest it should have' },
  IMAGE_LAYER: { kind: 'user', text: 'a layer cannot be unpacked safely' },
  IMAGE_PLATFORM: { kind: 'user', text: 'the image does not exist for this platform' },
  REGISTRY_AUTH: { kind: 'user', text: 'the registry refuses the credentials' },
  REGISTRY_UNREACHABLE: { kind: 'user', text: 'the registry cannot be reached' },
  REGISTRY_ERROR: { kind: 'user', text: 'the registry answered with an error' },
  DOCKERFILE_NOT_FOUND: { kind: 'user', text: 'the Dockerfile or its context does not exist' },
  DOCKERFILE_SYNTAX: { kind: 'user', text: 'the Dockerfile cannot be parsed' },
  BUILD_FAILED: { kind: 'user', text: 'a build step failed' },

  // engine
  SETUP_REFUSED: {
    kind: 'user',
    text: 'what names need cannot be set up: this host lacks something, or has it already from somebody else',
  },
  STACK_NOT_RUNNING: { kind: 'user', text: 'the stack is not running' },
  STACK_BUSY: { kind: 'user', text: 'another command is changing this stack' },
  STACK_STATE: { kind: 'bug', text: 'the recorded state of a stack cannot be read' },
  STATE_DAMAGED: { kind: 'user', text: 'the file that records the stacks is not as hypr wrote it' },
  SUPERVISOR_FAILED: { kind: 'bug', text: 'the supervisor of the stack did not start or failed' },
  SUPERVISOR_GONE: { kind: 'user', text: 'the supervisor of the stack was stopped or killed in the middle of a command' },
  SUPERVISOR_LOST: { kind: 'user', text: 'the connection to a program was lost: its output ended without an exit code' },
  SUPERVISOR_VERSION: { kind: 'user', text: 'the supervisor of the stack is of another version of hypr' },
  SERVICE_FAILED: { kind: 'user', text: 'a service ended with a failure' },
  SERVICE_UNHEALTHY: { kind: 'user', text: 'a health check failed' },
  DEPENDENCY_FAILED: { kind: 'user', text: 'a dependency failed to start' },
  NOT_FOUND: { kind: 'user', text: 'nothing has the name that a command was given' },
  NETWORK_IN_USE: { kind: 'user', text: 'a network cannot be removed while machines are on it' },
  SYNC_PENDING: { kind: 'user', text: 'what a machine wrote in a synced folder is not on this host yet' },
  VOLUME_IN_USE: { kind: 'user', text: 'a volume is in use' },
  EXTERNAL_NOT_FOUND: { kind: 'user', text: 'an external volume, network, config or secret does not exist' },
  SETUP_FAILED: { kind: 'user', text: 'a step of the set-up failed' },
} as const satisfies Record<string, { kind: 'user' | 'bug'; text: string }>;
