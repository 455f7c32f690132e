import { HyprError } from '../../../base/errors.ts';
import type { AttachSession, ExecSession, ReplicaDetail } from '../../model/types.ts';
import { ApiError, describeError } from '../http/errors.ts';
import type { Call, Routes } from '../http/router.ts';
import type { Hijacked } from '../http/sink.ts';
import { asList, asText, asTexts } from '../http/values.ts';
import { DEFAULT_DETACH_KEYS, DetachKeys } from '../machines/detach-keys.ts';
import { containerEvent } from '../machines/events.ts';
import type { ExecRecord } from '../machines/execs.ts';
import { outputType, type Streams, writeOutput } from '../machines/frames.ts';
import type { Host } from '../machines/host.ts';
import { lineOf, needRunning, streamsOf, writeLogs } from './containers.ts';

/** What carries bytes both ways: attach and exec. */
export const streamRoutes = (host: Host): Routes => ({
  'POST /containers/{id}/attach': (call) => attach(host, call),
  'POST /containers/{id}/resize': async (call) => {
    const { status, stack } = needRunning(host, call.params.id ?? '');
    await host.withStack(stack, async (opened) => {
      const session = await opened.attach({ service: status.service, index: status.number, size: sizeOf(call) });
      session.close();
    });
    call.reply.empty(200);
  },
  'POST /containers/{id}/exec': (call) => createExec(host, call),
  'POST /exec/{id}/start': (call) => startExec(host, call),
  'POST /exec/{id}/resize': (call) => {
    const record = host.execs.need(call.params.id ?? '');
    record.size = sizeOf(call);
    record.session?.resize(record.size);
    call.reply.empty(record.state === 'running' ? 200 : 201);
  },
  'GET /exec/{id}/json': ({ params, reply }) => reply.json(describeExec(host.execs.need(params.id ?? ''))),
});

const sizeOf = ({ query }: Pick<Call, 'query'>): { columns: number; rows: number } => ({
  columns: query.int('w') ?? 80,
  rows: query.int('h') ?? 24,
});

/**
 * Output from now on (with `logs` also what was before), and input. Of a container that does not run yet, from its start on: `docker run`
 * attaches first.
 */
const attach = (host: Host, call: Call): Promise<void> => {
  const { process } = host.find(call.params.id ?? '').spec;
  const streams = streamsOf(call.query, process.tty);
  return attachAs(host, call, { streams, open: () => call.reply.hijack(outputType(streams.raw, call.version)) });
};

/** The client of an attach: `open` takes its connection over, once nothing can be refused any more. */
export interface AttachClient {
  readonly streams: Streams;
  readonly open: () => Hijacked | Promise<Hijacked>;
}

export const attachAs = async (host: Host, { params, query, signal }: Call, { streams, open }: AttachClient): Promise<void> => {
  const detail = host.find(params.id ?? '');
  const { status, spec } = detail;
  const keys = spec.process.tty ? keysOf(query.text('detachKeys')) : undefined;
  await host.withStack(detail.stack, async (stack) => {
    const session = query.bool('stream')
      ? await stack.attach({ service: status.service, index: status.number, wait: true }, signal)
      : undefined;
    try {
      const client = await open();
      if (query.bool('logs')) {
        const options = { follow: false, since: undefined, until: undefined, tail: undefined };
        await writeLogs(host, detail, { options, signal }, (record) =>
          writeOutput(client, streams, { stream: record.stream, data: lineOf(record, false) }),
        );
      }
      if (session !== undefined) {
        await carryAttached(session, client, {
          streams,
          keys,
          input: query.bool('stdin') && spec.process.stdin,
          // A terminal's input stays open for the next client, as in docker: who detaches closes the connection.
          once: spec.stdinOnce === true && !spec.process.tty,
        });
      }
      client.end();
    } finally {
      session?.close();
    }
  });
};

const keysOf = (text: string | undefined): DetachKeys => {
  try {
    return new DetachKeys(text ?? DEFAULT_DETACH_KEYS);
  } catch (error) {
    throw new ApiError(400, (error as Error).message);
  }
};

interface Carrying {
  readonly streams: Streams;
  readonly keys: DetachKeys | undefined;
  readonly input: boolean;
  /** The program's input ends with the client's. */
  readonly once: boolean;
}

/** Until the program ends, is lost, or the client detaches. */
const carryAttached = async (session: AttachSession, client: Hijacked, carrying: Carrying): Promise<void> => {
  try {
    if (carrying.input) {
      void feed(session, client, carrying);
    }
    for await (const chunk of session.output) {
      await writeOutput(client, carrying.streams, chunk);
    }
  } catch (error) {
    if (!(error instanceof HyprError)) {
      throw error;
    }
    // Never started, removed, or its client has gone: there is no more output, and whoever waits is told the code elsewhere.
  }
};

/** Never rejects. */
export const feed = async (session: ExecSession, client: Hijacked, { keys, once }: Pick<Carrying, 'keys' | 'once'>): Promise<void> => {
  try {
    for await (const data of client.input) {
      const seen = keys?.read(data) ?? { data, detach: false };
      if (seen.data.length > 0) {
        await session.write(seen.data);
      }
      if (seen.detach) {
        session.close();
        return;
      }
    }
  } catch {
    // The client has gone.
  }
  if (once) {
    session.closeStdin();
  }
};

const createExec = async (host: Host, { params, body, reply }: Call): Promise<void> => {
  const detail = needRunning(host, params.id ?? '');
  const request = await body.json();
  const args = asTexts(request.Cmd);
  if (args.length === 0) {
    throw new ApiError(400, 'No exec command specified');
  }
  const detachKeys = asText(request.DetachKeys) ?? DEFAULT_DETACH_KEYS;
  // Throws 400 before anything runs.
  keysOf(detachKeys);
  const record = host.execs.add({
    machine: detail.status.id,
    stack: detail.stack,
    detachKeys,
    options: {
      service: detail.status.service,
      index: detail.status.number,
      args,
      env: asTexts(request.Env),
      user: asText(request.User),
      workdir: asText(request.WorkingDir),
      tty: request.Tty === true,
      stdin: request.AttachStdin === true,
      privileged: request.Privileged === true,
    },
  });
  tell(host, detail, 'exec_create', record);
  reply.json({ Id: record.id }, 201);
};

// Without the command, which docker tells: what is recorded must not have the passwords that are in some.
const tell = (host: Host, detail: ReplicaDetail, action: string, { id }: ExecRecord, more: Record<string, string> = {}): void =>
  host.events.tell(containerEvent(action, detail, { execID: id, ...more }));

const startExec = async (host: Host, { params, body, reply, signal, version }: Call): Promise<void> => {
  const record = host.execs.need(params.id ?? '');
  const request = await body.json();
  if (record.state !== 'created') {
    throw new ApiError(409, `exec ${record.id} has already run`);
  }
  const detail = needRunning(host, record.machine);
  const [rows, columns] = asList(request.ConsoleSize).map(Number);
  const size = record.options.tty ? { columns: columns || 80, rows: rows || 24 } : undefined;
  record.state = 'running';
  await host.withStack(record.stack, async (stack) => {
    // Before the program starts: docker-py loses output that comes together with the head, and reads why it did not start as its output.
    // Who says there is no terminal wants frames, though the program has one.
    const raw = record.options.tty && request.Tty !== false;
    const client = request.Detach === true ? undefined : reply.hijack(outputType(raw, version));
    try {
      record.session = await stack.exec({ ...record.options, detach: false, size });
    } catch (error) {
      record.state = 'ended';
      const isExec = error instanceof HyprError && error.code === 'GUEST_EXEC';
      record.exitCode = isExec && error.reason === 'programNotFound' ? NOT_FOUND : NOT_STARTED;
      if (client !== undefined) {
        const data = Buffer.from(`exec failed: ${describeError(error).message}\r\n`);
        await writeOutput(client, { stdout: true, stderr: true, raw }, { stream: 'stdout', data });
        return client.end();
      }
      throw isExec ? new ApiError(400, `exec failed: ${error.message}`) : error;
    }
    if (record.size !== undefined) {
      record.session.resize(record.size);
    }
    tell(host, detail, 'exec_start', record);
    const running = { host, detail, record, session: record.session, raw };
    if (client === undefined) {
      record.session.closeStdin();
      reply.empty(200);
      return carryExec(running, undefined, signal);
    }
    const keys = record.options.tty ? keysOf(record.detachKeys) : undefined;
    if (record.options.stdin) {
      void feed(record.session, client, { keys, once: true });
    } else {
      record.session.closeStdin();
    }
    await carryExec(running, client, signal);
    client.end();
  });
};

/** Of a program that could not be started, as a shell has it. */
const NOT_FOUND = 127;
const NOT_STARTED = 126;

/** Until the program ends, also when the client leaves, as in docker. Never rejects. */
const carryExec = async (
  { host, detail, record, session, raw }: { host: Host; detail: ReplicaDetail; record: ExecRecord; session: ExecSession; raw: boolean },
  client: Hijacked | undefined,
  signal: AbortSignal,
): Promise<void> => {
  const streams = { stdout: true, stderr: true, raw };
  try {
    for await (const chunk of session.output) {
      if (client !== undefined && !signal.aborted) {
        await writeOutput(client, streams, chunk);
      }
    }
    record.exitCode = await session.exitCode;
  } catch {
    // Its machine or its supervisor is gone.
    record.exitCode = LOST;
  } finally {
    record.state = 'ended';
    record.session = undefined;
    session.close();
    tell(host, detail, 'exec_die', record, { exitCode: String(record.exitCode) });
  }
};

const LOST = 137;

const describeExec = ({ id, machine, state, exitCode, options, detachKeys }: ExecRecord): unknown => ({
  ID: id,
  ContainerID: machine,
  Running: state === 'running',
  ExitCode: exitCode,
  ProcessConfig: {
    tty: options.tty,
    entrypoint: options.args[0] ?? '',
    arguments: options.args.slice(1),
    privileged: options.privileged,
    user: options.user ?? '',
  },
  OpenStdin: options.stdin,
  OpenStdout: true,
  OpenStderr: true,
  CanRemove: state === 'ended',
  // Bytes, as Go writes them in JSON.
  DetachKeys: Buffer.from(detachKeys).toString('base64'),
  Pid: 0,
});
