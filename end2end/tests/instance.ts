import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@playwright/test';
import { SERVER } from './addresses';

/** Returns a free port. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

/** A server for a single test, on free ports. */
export class Instance {
  private process?: ChildProcess;
  /** Its log output so far. */
  readonly logged: Buffer[] = [];

  private constructor(
    readonly console: string,
    readonly gateway: string,
    readonly data: string,
    private readonly args: string[],
  ) {}

  static create(data: string, ...more: string[]) {
    return Instance.named('127.0.0.1', data, ...more);
  }

  /** Creates a server whose console is reached under `host`. */
  static async named(host: string, data: string, ...more: string[]) {
    const [console, gateway] = [await freePort(), await freePort()];
    return new Instance(`http://${host}:${console}`, `http://127.0.0.1:${gateway}`, data, [
      'serve',
      ...['--console-url', `http://${host}:${console}`],
      ...['--data', data, '--site', '../target/site'],
      ...['--console-address', `127.0.0.1:${console}`, '--gateway-address', `127.0.0.1:${gateway}`],
      ...more,
    ]);
  }

  async start(program = SERVER, environment: NodeJS.ProcessEnv = {}) {
    this.process = spawn(program, this.args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.process.stderr!.on('data', (bytes: Buffer) => this.logged.push(bytes));
    await expect.poll(async () => (await fetch(`${this.console}/readyz`).catch(() => undefined))?.status).toBe(200);
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    const ended = once(this.process!, 'exit');
    this.process!.kill(signal);
    const [code] = await ended;
    return code;
  }
}

/** Returns the path of a data directory that does not exist yet. */
export function newData(): string {
  return join(mkdtempSync(join(tmpdir(), 'nuvera-lifecycle-')), 'data');
}
