import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { SERVER_FOR_MOVED_CLOCKS } from './addresses';
import { Instance, newData } from './instance';
import { type Client, send, signIn, test as base, Traffic } from './support';

/** libfaketime's, as Debian installs it. */
const LIBRARY = '/usr/$LIB/faketime/libfaketime.so.1';

export const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];

/** A clock that runs ahead of the machine's by as much as a test says, for every program that is started with it. */
export class MovedClock {
  private seconds = 0;
  private readonly file = join(mkdtempSync(join(tmpdir(), 'nuvera-clock-')), 'offset');

  constructor() {
    this.advance(0);
  }

  /** Moves it forward for the programs that run with it, too. */
  advance(seconds: number) {
    this.seconds += seconds;
    // Whoever reads the file meanwhile reads the old one or the new one.
    writeFileSync(`${this.file}.new`, `+${this.seconds}\n`);
    renameSync(`${this.file}.new`, this.file);
  }

  /** In milliseconds since 1970. */
  readonly now = () => Date.now() + this.seconds * 1000;

  /** What a program is started with to live by this clock. What it measures and waits for stays in real time. */
  get environment(): NodeJS.ProcessEnv {
    return {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }
}

/** A server that lives by a test's clock, and the people and clients who live by it too. */
export class MovedServer {
  readonly clock = new MovedClock();

  constructor(readonly instance: Instance) {}

  /** Time passes, for the people at these pages as well: they sign in again, as they have been away. */
  async advance(seconds: number, ...pages: Page[]) {
    this.clock.advance(seconds);
    for (const page of pages) {
      await page.clock.setSystemTime(this.clock.now());
      await page.context().clearCookies();
      await signIn(page);
    }
  }

  /** A service that signs by this clock. */
  traffic(apiKey: string, privateFile: string): Traffic {
    return new Traffic(apiKey, privateFile, { gateway: this.instance.gateway, now: this.clock.now });
  }

  /** Sends one request with somebody else's client. */
  send(client: Client, apiKey: string, privateFile: string) {
    const { environment } = this.clock;
    return send(client, apiKey, privateFile, {}, { gateway: this.instance.gateway, environment });
  }
}

/** As everywhere, except that the pages are those of a server whose clock the test moves. */
export const test = base.extend<{ server: MovedServer }>({
  server: async ({}, use) => {
    const server = new MovedServer(await Instance.create(newData(), '--demo'));
    await server.instance.start(SERVER_FOR_MOVED_CLOCKS, server.clock.environment);
    await use(server);
    await server.instance.stop('SIGTERM');
  },
  baseURL: async ({ server }, use) => use(server.instance.console),
});
