// One raw peer of a network: descriptor 3 is the socket in QEMU's framing (u32 big-endian length, frame).
// Frames to send come as hex lines on stdin, frames that arrive go out as hex lines on stdout.
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';

const wire = new Socket({ fd: 3, readable: true, writable: true });
let pending = Buffer.alloc(0);
wire.on('data', (chunk) => {
  pending = Buffer.concat([pending, chunk]);
  while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
    const end = 4 + pending.readUInt32BE(0);
    process.stdout.write(`${pending.subarray(4, end).toString('hex')}\n`);
    pending = pending.subarray(end);
  }
});
wire.on('close', () => process.exit(0));
wire.on('error', () => process.exit(0));
createInterface({ input: process.stdin }).on('line', (line) => {
  const frame = Buffer.from(line, 'hex');
  const size = Buffer.alloc(4);
  size.writeUInt32BE(frame.length);
  wire.write(Buffer.concat([size, frame]));
});
process.stdin.on('end', () => wire.end());
