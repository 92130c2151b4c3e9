import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { SERVER_FOR_MOVED_CLOCKS } from './addresses';
import { Instance, newData } from './instance';
import { type Client, send, signIn, test as base, Traffic } from './support';

/** Path of Debian's libfaketime. */
const LIBRARY = '/usr/$LIB/faketime/libfaketime.so.1';

export const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];

/** A clock ahead of the machine's by an adjustable offset, for programs started with its environment. */
export class MovedClock {
  private seconds = 0;
  private readonly file = join(mkdtempSync(join(tmpdir(), 'nuvera-clock-')), 'offset');

  constructor() {
    this.advance(0);
  }

  /** Advances the clock, also for programs that are already running with it. */
  advance(seconds: number) {
    this.seconds += seconds;
    // Renaming is atomic, so that programs read either the old or the new offset.
    writeFileSync(`${this.file}.new`, `+${this.seconds}\n`);
    renameSync(`${this.file}.new`, this.file);
  }

  /** Current time in milliseconds since 1970. */
  readonly now = () => Date.now() + this.seconds * 1000;

  /** Environment that makes a program use this clock. Durations and timeouts remain in real time. */
  get environment(): NodeJS.ProcessEnv {
    return {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }
}

/** A server, with users and clients, that run on a clock controlled by the test. */
export class MovedServer {
  readonly clock = new MovedClock();

  constructor(readonly instance: Instance) {}

  /** Advances the clock. The users of `pages` sign in again, as after an absence. */
  async advance(seconds: number, ...pages: Page[]) {
    this.clock.advance(seconds);
    for (const page of pages) {
      await page.clock.setSystemTime(this.clock.now());
      await page.context().clearCookies();
      await signIn(page);
    }
  }

  /** Returns a service that signs requests by this clock. */
  traffic(apiKey: string, privateFile: string): Traffic {
    return new Traffic(apiKey, privateFile, { gateway: this.instance.gateway, now: this.clock.now });
  }

  /** Sends one request with a third-party client. */
  send(client: Client, apiKey: string, privateFile: string) {
    const { environment } = this.clock;
    return send(client, apiKey, privateFile, {}, { gateway: this.instance.gateway, environment });
  }
}

/** The base test, except that its pages are those of a server on a controlled clock. */
export const test = base.extend<{ server: MovedServer }>({
  server: async ({}, use) => {
    const server = new MovedServer(await Instance.create(newData(), '--demo'));
    await server.instance.start(SERVER_FOR_MOVED_CLOCKS, server.clock.environment);
    await use(server);
    await server.instance.stop('SIGTERM');
  },
  baseURL: async ({ server }, use) => use(server.instance.console),
});
