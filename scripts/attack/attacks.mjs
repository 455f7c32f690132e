// The attacks that tests try: what is attacked, what stops it, and the tests that try it, by their file and a part of their name.
// `npm run attack` runs them and prints what came of each; a new attack gets a test where it belongs, and a row here.

/** @type {ReadonlyArray<import('./attacks.d.mts').Attack>} */
export const ATTACKS = [
  // A guest's kernel is the guest's.
  [
    'A client that speaks FUSE itself leaves the shared folder',
    'namespaces or Landlock',
    'test/vmm/jail/share.test.ts',
    'is no way out for who',
  ],
  [
    'A share without a fence is given anyway',
    'refused: VMM_FENCE',
    'test/vmm/devices/virtiofsd.test.ts',
    'nothing is ever shared without a fence',
  ],
  [
    'A dead daemon is taken for a share that is ready',
    'its word, not its socket',
    'test/vmm/devices/virtiofsd.test.ts',
    'is not taken to be ready because its socket is there',
  ],
  [
    'A share of a daemon is used to reach TCP or abstract sockets',
    'Landlock',
    'test/vmm/jail/share.test.ts',
    'lets nobody be reached by TCP or by an abstract socket',
  ],
  [
    'What watches a shared folder is led out of it by a link',
    'openat2 beneath the folder',
    'test/vmm/devices/watch-folder.test.ts',
    'follows no link, neither one that is there nor one that takes the place of a folder',
  ],
  [
    'What watches a shared folder goes on in one that was moved out',
    'not watched any more',
    'test/vmm/devices/watch-folder.test.ts',
    'tells nothing of one that was moved out',
  ],
  [
    'Guests fill their shares with folders until the user may watch no more',
    'less than half for all of a stack',
    'test/vmm/devices/watch-folder.test.ts',
    'leaves half of what the user may watch to others',
  ],
  [
    'A guest has folders of the host watched that it does not share',
    'by tags of its own shares',
    'test/engine/replica/edits/share-watch.test.ts',
    'have no folder of this host watched by a name',
  ],
  [
    'What a stopped service left on its disks gets out when its files are read',
    'no network, no ports, no socket',
    'test/engine/stack/files-at-rest.test.ts',
    'gets no way out',
  ],
  [
    'A bound file gives its folder',
    'a folder with one file',
    'test/vmm/jail/share.test.ts',
    'is alone in its folder, where nothing can be made',
  ],
  [
    'A client that speaks FUSE itself writes to a folder that is :ro',
    'virtiofsd --readonly, Landlock',
    'test/vmm/jail/share.test.ts',
    'that is only to be read is only read',
  ],
  ['A bound file that is :ro is written', 'read-only mount', 'test/vmm/jail/share.test.ts', 'that is only to be read cannot be written'],
  [
    'A device or a pipe of the host is bound',
    'files and folders only',
    'test/engine/resources/binds.test.ts',
    'of a device or a pipe of the host is refused',
  ],
  [
    'A :ro volume is written through a device node',
    'attached read-only',
    'test/engine/resources/binds.test.ts',
    'is attached for reading only when no mount',
  ],
  [
    'Root mounts the tag of a bound file by hand',
    'one file, not its folder',
    'test/scenarios/fences.vm.test.ts',
    'sees of a bound file nothing but that file',
  ],
  [
    'Root writes to a :ro bound file',
    'read-only in the guest',
    'test/scenarios/fences.vm.test.ts',
    'cannot write to one that is only to be read',
  ],
  [
    'Root writes to the disk of a :ro volume',
    'QEMU has it open read-only',
    'test/scenarios/fences.vm.test.ts',
    'cannot write to the disk of a volume',
  ],
  [
    'Root without privileges changes its kernel by /proc/sys or /proc/sysrq-trigger',
    'read-only, as runc makes it',
    'test/scenarios/fences.vm.test.ts',
    'changes no setting of its kernel without being privileged',
  ],
  [
    'A RUN changes the kernel of a build machine that other steps share',
    'read-only, as runc makes it',
    'test/scenarios/build.vm.test.ts',
    'a RUN reads the settings of its kernel and changes none',
  ],
  [
    'Root takes the port of the agent, and floods the host',
    'its own machine ends',
    'test/scenarios/fences.vm.test.ts',
    'ends nobody but itself when its root takes the port',
  ],
  // QEMU is the guest's.
  [
    'QEMU, taken over, reaches files, sockets, networks, processes or programs',
    'the fence of QEMU',
    'test/vmm/jail/machine.test.ts',
    'gets at nothing of its user but its own disks',
  ],
  [
    'QEMU, taken over, on a kernel without Landlock',
    'mounts of its own',
    'test/vmm/jail/machine.test.ts',
    'gets at nothing of it where the kernel has no Landlock',
  ],
  [
    'Without Landlock, QEMU writes to what is mounted below a folder that it may only read',
    'each mount sealed',
    'test/vmm/jail/machine.test.ts',
    'may not write to what is mounted below a folder',
  ],
  [
    'Without Landlock, a link in a folder that QEMU sees leads out of its view',
    'no link is followed',
    'test/vmm/jail/machine.test.ts',
    'finds a file by a path that leads over a link of a folder it sees',
  ],
  [
    'A machine is started where neither Landlock nor namespaces are had',
    'refused: VMM_FENCE',
    'test/vmm/jail/machine.test.ts',
    'is not started where it may have no mounts of its own either',
  ],
  [
    'QEMU gains privileges, cores, descriptors, large files',
    'the fence of QEMU',
    'test/vmm/jail/machine.test.ts',
    'leaves no privilege, no core',
  ],
  [
    'A machine is started without its fence',
    'refused: VMM_FENCE',
    'test/vmm/jail/machine.test.ts',
    'says what it lacks, and starts nothing then',
  ],
  [
    'A process of a machine, taken over, uses up memory, processors or processes',
    'a cgroup of its own',
    'test/scenarios/kernels/cgroup.vm.test.ts',
    'limits memory, processors and tasks for a plain user, ends as one',
  ],
  [
    'A copy of a zygote starts a program or a process',
    'seccomp',
    'test/vmm/zygote/zygote.vm.test.ts',
    'may start no program and make no process',
  ],
  [
    'QEMU, taken over, says without end that it has stopped, and answers nothing',
    'one question at a time',
    'test/vmm/qemu/machine.test.ts',
    'is asked about once at a time when QEMU says',
  ],
  [
    'QEMU, taken over, says without end that its guest goes on',
    'one request at a time',
    'test/engine/replica/boot/guest-clock.test.ts',
    'is asked for once at a time by a machine',
  ],
  [
    'A machine makes itself impossible to take over, to be ended or never to end',
    'kept, and ended by a stop at once',
    'test/engine/stack/recover-kept.test.ts',
    'is ended by a stop, at once',
  ],
  // The agent is the guest's.
  [
    'An agent sends frames that are none, or lies',
    'limits of the parser',
    'test/guest/client/hostile-agent.test.ts',
    'by any frames breaks nothing but its own connection',
  ],
  ['An agent never answers', 'deadlines', 'test/guest/client/hostile-agent.test.ts', 'by never answering makes nobody wait'],
  ['An agent floods the host', 'windows, bounded queues', 'test/guest/client/hostile-agent.test.ts', 'by twenty megabytes of'],
  [
    'An agent sends more than it was allowed',
    'its connection ends',
    'test/guest/client/hostile-agent.test.ts',
    'by more output than it was allowed',
  ],
  [
    'An agent floods the host with paths of a synced folder, or endless ones',
    'cut, and counted',
    'test/guest/client/hostile-agent.test.ts',
    'says of a synced folder no more than fits',
  ],
  [
    'A machine puts a link in the place of a folder that is synced, to write outside of it',
    'no link is followed',
    'test/guest/sync.test.ts',
    'follows no link that one side puts in the place of a folder',
  ],
  // A volume that one machine serves to another: either may be hostile.
  [
    'A machine asks for a name outside the volume that it borrows',
    'names are no paths',
    'test/guest/lend.test.ts',
    'takes no name that is a path',
  ],
  ['A machine has the one that serves a volume follow a link', 'O_NOFOLLOW, O_PATH', 'test/guest/lend.test.ts', 'follows no link'],
  [
    'A machine opens a pipe or makes a device in the one that serves a volume',
    'files and folders only',
    'test/guest/lend.test.ts',
    'opens no pipe, makes no device',
  ],
  ['Bytes of a borrower break the one that serves', 'sanitized, fuzzed', 'test/guest/lend.test.ts', 'survives mutated requests'],
  [
    'Bytes of a guest break the decoder',
    'GUEST_PROTOCOL',
    'test/guest/protocol/protocol.test.ts',
    'of any bytes throw nothing but GUEST_PROTOCOL',
  ],
  // The network.
  [
    'A guest uses an API of the gateway: listens, binds, removes files, asks for paths',
    'there is none: DNS and NAT only',
    'test/net/client/guest-attacks.test.ts',
    'finds nothing on the gateway but DNS',
  ],
  [
    'A guest reaches the loopback of the host',
    'never dialled',
    'test/net/client/guest-attacks.test.ts',
    'does not reach the loopback of the host by any address',
  ],
  [
    'A guest leaves an internal network',
    'a gateway that cannot dial',
    'test/net/client/guest-attacks.test.ts',
    'does not get out of an internal network',
  ],
  [
    'A guest is another by MAC, address, ARP or neighbour discovery',
    "the NIC's own addresses",
    'test/net/client/guest-attacks.test.ts',
    'cannot be another machine',
  ],
  [
    'A guest answers the questions of others to the name server of the network',
    "the NIC's own addresses",
    'test/net/client/guest-attacks.test.ts',
    'cannot answer for the name server',
  ],
  [
    'A machine that is paused, or reads nothing, holds its network up',
    'its frames are dropped',
    'test/net/client/network.test.ts',
    'lets others carry on while one machine reads nothing',
  ],
  [
    'Frames that are none break the gateway or a neighbour',
    'lengths checked, streams apart',
    'test/net/client/guest-attacks.test.ts',
    'cannot break the stream of another',
  ],
  [
    'A guest connects to what its rules forbid',
    'policy in the gateway',
    'test/net/client/guest-attacks.test.ts',
    'connects only to what its rules allow',
  ],
  [
    '25,000 flows fill memory and descriptors',
    'limits of flows',
    'test/net/client/guest-attacks.test.ts',
    'cannot make the gateway grow without limit',
  ],
  [
    'Stuck dials hold the network up',
    'dial limits per machine',
    'test/net/client/guest-attacks.test.ts',
    'holds nobody up with connections that are never answered',
  ],
  [
    'A gateway, taken over, opens, listens, starts; fills its log; names in DNS',
    'seccomp and Landlock, limits',
    'test/net/gateway.test.ts',
    'passes its own tests',
  ],
  [
    'A gateway, taken over, lies to the supervisor',
    'limits of the parser',
    'test/net/client/hostile-gateway.test.ts',
    'settles on every kind of answer',
  ],
  [
    'A service that is made to talk sends what it has to somewhere',
    'x-hypr.egress',
    'test/scenarios/egress.vm.test.ts',
    'a name outside the list is not even asked for',
  ],
  [
    'A service reaches networks it is not on, or what rules forbid',
    'a gateway per network, rules in it',
    'test/scenarios/reachability.vm.test.ts',
    'without rules: their networks, and outside',
  ],
  [
    'A service goes round rules that came while it ran',
    'rules replaced in the gateway',
    'test/scenarios/reachability.vm.test.ts',
    'with rules for outside and between services',
  ],
  [
    'Another stack on a shared network says what names of this one mean',
    "own names are the own supervisor's",
    'test/engine/resources/shared-networks.test.ts',
    'tells a stack the names of the others, which',
  ],
  [
    'A machine of the default network is seen by stacks with networks of their own',
    'a network of its own',
    'test/scenarios/networks.vm.test.ts',
    'the default network joins a standalone machine',
  ],
  [
    'An isolated service finds a NIC or a name server',
    'there is none',
    'test/scenarios/isolated.vm.test.ts',
    'its machine has loopback and nothing else',
  ],
  [
    'An isolated service reaches what is not listed',
    'a proxy with a list',
    'test/scenarios/isolated.vm.test.ts',
    'reaches what is listed and nothing else',
  ],
  [
    'An isolated service reaches other services, or is reached by them',
    'no network in common',
    'test/scenarios/isolated.vm.test.ts',
    'it does not reach other services, nor they it',
  ],
  [
    'The proxy of an isolated service is sent to loopback',
    'never dialled, not even when listed',
    'test/net/outbound/outbound-proxy.test.ts',
    'loopback, though it is listed',
  ],
  [
    'A machine asks the proxy for more than its share',
    '50 requests per second, 256 connections',
    'test/net/outbound/outbound-proxy.test.ts',
    'refuses what is too much in too short a time',
  ],
  // Names in the browser.
  [
    'A page elsewhere reads the index by its own name (DNS rebinding)',
    'Host, Origin and Sec-Fetch-Site',
    'test/net/edge/pages.test.ts',
    'tells nothing to other pages',
  ],
  [
    'A request is read differently by edge and service (smuggling)',
    'refused before the service sees it',
    'test/net/edge/edge.test.ts',
    'refuses requests that two servers could read differently',
  ],
  [
    'The edge is used as a proxy to elsewhere (absolute URIs)',
    'names of the domain only',
    'test/net/edge/edge.test.ts',
    'takes absolute URIs of names of the domain',
  ],
  [
    'CONNECT reaches other hosts or ports',
    'names of the domain, ports 80 and 443',
    'test/net/edge/edge.test.ts',
    'ends TLS inside CONNECT, for names of the domain',
  ],
  [
    'A certificate is had for a name that is not ours',
    'none is shown',
    'test/net/edge/edge.test.ts',
    'shows no certificate for names that are not ours',
  ],
  [
    'A stolen authority signs for a bank',
    'name constraints: hypr and localhost',
    'test/net/certificates/certificates.test.ts',
    'signs names of the domain and localhost, and openssl takes no other name',
  ],
  ['Another computer reaches the edge', 'loopback peers only', 'test/net/edge/edge.test.ts', 'takes loopback peers only'],
  ['Another user of the host reads the index', 'whose the socket is', 'test/net/edge/pages.test.ts', 'must be this user'],
  [
    'A guest writes markup or escapes into a page',
    'text, never markup',
    'test/net/edge/edge.test.ts',
    'escapes what a guest or a stranger wrote',
  ],
  ['A head without end', 'at most 64 KiB', 'test/net/edge/edge.test.ts', 'refuses heads larger than 64 KiB'],
  [
    'A client holds the edge by sending nothing',
    'a deadline',
    'test/net/edge/pages.test.ts',
    'are let go when the head of their request does not come',
  ],
  [
    'Another user of the host lists the services by DNS',
    'one name, one address: no transfer, no pointers',
    'test/net/dns/answer.test.ts',
    'tells no names to who knows none',
  ],
  [
    'Any bytes are sent to the DNS server',
    'nothing, or a valid answer',
    'test/net/dns/answer.test.ts',
    'answers whatever bytes with nothing',
  ],
  // Images, files and other users.
  [
    'A manifest lies about a layer that is there',
    'digest, diff id and size checked',
    'test/builder/registry/lying-manifest.test.ts',
    'does not make a manifest true that says',
  ],
  [
    'A layer writes outside its root',
    'names resolved inside',
    'test/builder/layers/normalise.test.ts',
    'a/../b is b, and ../ never leaves the root',
  ],
  ['COPY reads outside the context', 'names resolved inside', 'test/builder/solver/copy.test.ts', 'never from outside the context'],
  [
    'A Compose file names /dev/zero, a FIFO or no end',
    'regular files up to a limit',
    'test/compose/endless-files.test.ts',
    'and is refused within a moment',
  ],
  [
    'Another user reads hypr.db and its log',
    '0600 and 0700 whatever the umask',
    'test/base/host/private-home.test.ts',
    'what others read of a home',
  ],
  [
    'Another user owns HYPR_HOME',
    'refused, with whose it is',
    'test/base/host/home.test.ts',
    'is told by its owner, not as a mistake of hypr',
  ],
  [
    "A shell's locks and files are kept open",
    'closed before anything else',
    'test/base/host/inherited.test.ts',
    'are closed by a process that stays',
  ],
  // docker's API.
  [
    "Another user of the host connects to docker's API",
    '0600 from its first moment',
    'test/engine/docker/listen.test.ts',
    'its socket is its user’s alone, and only one serves there',
  ],
  [
    'A program without the token, a web page or a rebound name asks the JSON API',
    'token, Host, Origin and Sec-Fetch-Site',
    'test/engine/docker/rest/rest.test.ts',
    'also to what is proxied',
  ],
  [
    'The same brings up a stack, builds an image or changes settings',
    '401 and 403, whatever is asked',
    'test/engine/docker/rest/rest.test.ts',
    'refuses each request that it has',
  ],
  [
    'The JSON API is sent a Compose file or settings without end',
    '413 at 4 MiB',
    'test/engine/docker/rest/rest.test.ts',
    'takes no more than 4 MiB',
  ],
  ['A request to the JSON API comes byte by byte', 'a deadline', 'test/engine/docker/rest/rest.test.ts', 'byte by byte is cut off'],
  [
    'A stack is given a path for a name by the JSON API',
    'refused before anything is done',
    'test/engine/docker/rest/stacks.test.ts',
    'is answered before anything is done',
  ],
  [
    'A program without the token, or with a wrong one, or a web page calls by gRPC',
    'token, Origin',
    'test/engine/docker/grpc/grpc.test.ts',
    'is refused',
  ],
  [
    'A name that was made to point here (DNS rebinding) calls by gRPC',
    ':authority',
    'test/engine/docker/grpc/grpc.test.ts',
    'a name that was made to point here, and what is no gRPC, are refused',
  ],
  ['A message of gRPC is larger than 4 MiB', 'RESOURCE_EXHAUSTED', 'test/engine/docker/grpc/grpc.test.ts', 'has its code'],
  [
    'A message of gRPC lies about its length, or is none',
    'its call ends, nothing else',
    'test/engine/docker/grpc/strangers.test.ts',
    'ends its call alone',
  ],
  [
    'A call without the token never ends what it sends',
    'over with its answer',
    'test/engine/docker/grpc/strangers.test.ts',
    'a call without the token that never ends what it sends is over with its answer',
  ],
  [
    'A program without the token holds connections of gRPC',
    'cut after 30 s, and for who comes',
    'test/engine/docker/grpc/strangers.test.ts',
    'connections that are held without the token shut nobody out',
  ],
  [
    'The metadata hypr-stack names a path, or a stack of another user',
    'names of this home’s stacks alone',
    'test/engine/docker/grpc/strangers.test.ts',
    'reaches no socket',
  ],
  [
    'The same opens a WebSocket to run a program',
    'refused before the handshake',
    'test/engine/docker/web-sockets.test.ts',
    'is refused, and nothing starts',
  ],
  [
    "The token's file is made or read by another user",
    '0600, or refused',
    'test/engine/docker/rest/rest.test.ts',
    'the token is made once, for its user alone, and a file that others can read is refused',
  ],
  [
    "A machine asks docker's socket for machines, networks, volumes or images of others",
    '404: its own stack only',
    'test/engine/docker/inside/scope.test.ts',
    'has no machine, network, member, volume or image of another stack',
  ],
  [
    "A machine asks docker's socket for the recorded events of others",
    'its own stack only',
    'test/engine/docker/inside/scope.test.ts',
    'has no events of networks, images and volumes, which may be anybody’s',
  ],
  [
    "A machine changes something, runs a program or takes files by docker's socket",
    '403',
    'test/engine/docker/inside/scope.test.ts',
    'that change something, take files out or run programs are refused',
  ],
  [
    'An image says by its labels that its machine may see more',
    'labels of images do not count',
    'test/engine/docker/inside/scope.test.ts',
    'is not widened by the labels of an image',
  ],
  [
    "A machine sends docker's API a body without end",
    '413 at 4 MiB',
    'test/engine/docker/serve-connections.test.ts',
    'a body that is too large is refused',
  ],
  [
    'A machine sends a request byte by byte, or never ends it',
    'a deadline',
    'test/engine/docker/serve-connections.test.ts',
    'a request whose head or body does not come ends the connection',
  ],
  [
    'A machine sends thousands of requests on one connection',
    'one at a time',
    'test/engine/docker/serve-connections.test.ts',
    'requests that do not wait for the answer to the last one end the connection',
  ],
  [
    'A machine asks for much and reads nothing',
    'given up at 16 MiB',
    'test/engine/docker/serve-connections.test.ts',
    'what is not read is not kept for ever',
  ],
  [
    'A client sends a huge message by a WebSocket',
    'closed at 4 MiB',
    'test/engine/docker/web-sockets.test.ts',
    'a message larger than 4 MiB ends the WebSocket',
  ],
  [
    'A program without the token holds WebSockets that were refused',
    'closed at once',
    'test/engine/docker/rest/rest.test.ts',
    'a WebSocket that is refused does not hold its connection',
  ],
  [
    'A service answers the proxy of the JSON API with what is no answer',
    '502, or cut',
    'test/engine/docker/rest/rest.test.ts',
    'and leaves no client waiting',
  ],
  ['Another computer asks the JSON API', '127.0.0.1 only', 'test/engine/docker/rest/rest.test.ts', 'listens at 127.0.0.1 alone'],
  [
    "Root in a machine asks docker's socket about other stacks, or changes its own",
    'its own stack, to read',
    'test/scenarios/docker/socket-inside.vm.test.ts',
    'what is not of its stack is not there, and nothing is changed',
  ],
  [
    "A machine holds connections to docker's socket",
    '64 for each machine',
    'test/scenarios/docker/socket-inside.vm.test.ts',
    'connections that are held and never used shut out nobody but their own machine',
  ],
].map(([attack, stoppedBy, file, test]) => ({ attack, stoppedBy, file, test }));

/** What came of each attack: refused when every test that tries it passed, and at least one did. */
export const judge = (attacks, outcomes) =>
  attacks.map((row) => {
    const own = outcomes.filter(({ file, name }) => file === row.file && name.includes(row.test));
    const tried = own.filter(({ status }) => status === 'passed' || status === 'failed');
    const verdict = tried.some(({ status }) => status === 'failed') ? 'SUCCEEDED' : tried.length > 0 ? 'refused' : 'not tried';
    return { ...row, verdict };
  });

export const formatMatrix = (rows) => {
  const lines = [['ATTACK', 'WHAT STOPS IT', 'VERDICT'], ...rows.map(({ attack, stoppedBy, verdict }) => [attack, stoppedBy, verdict])];
  const widths = [0, 1].map((column) => Math.max(...lines.map((line) => line[column].length)));
  return `${lines.map(([attack, stoppedBy, verdict]) => `${attack.padEnd(widths[0])}  ${stoppedBy.padEnd(widths[1])}  ${verdict}`).join('\n')}\n`;
};
