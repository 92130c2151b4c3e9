import { defineConfig, devices } from '@playwright/test';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONSOLE, GATEWAY, SERVER } from './tests/addresses';

// Playwright loads this file in every worker; the first to do so makes the folder, and the others inherit its name.
process.env.NUVERA_END2END_DATA ??= mkdtempSync(join(tmpdir(), 'nuvera-end2end-'));

const chromium = {
  ...devices['Desktop Chrome'],
  launchOptions: {
    // Chromium without the parts that draw windows: it takes half of the processor time of `chromium --headless`.
    executablePath: process.env.NUVERA_CHROMIUM ?? '/usr/bin/chromium-headless-shell',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  },
};

/** These drive browsers of their own. */
const OTHER_ENGINES = /\.other\.spec\.ts$/;

/** The headless shell has no clipboard. */
const USES_CLIPBOARD = /(islands|keydoctor)\.scripted\.spec\.ts$/;

export default defineConfig({
  testDir: 'tests',
  // Every test brings its own applications, so two at a time do not meet.
  fullyParallel: true,
  workers: 2,
  forbidOnly: !!process.env.CI,
  // On a machine that others keep busy a page may be slow once. What needs its second try is reported as flaky.
  retries: process.env.CI ? 1 : 0,
  // `scripts/slowest-tests` reads the JSON report.
  reporter: [
    ['list'],
    ['json', { outputFile: 'test-results/report.json' }],
    ...(process.env.CI ? [] : [['html', { open: 'never' }] as const]),
  ],
  timeout: 60_000,
  // No trace: recording one slows every test down. `npx playwright test --trace retain-on-failure` where one is needed.
  use: { baseURL: CONSOLE, ...chromium },
  projects: [
    { name: 'with scripts', testIgnore: [/\.plain\.spec\.ts$/, USES_CLIPBOARD, OTHER_ENGINES] },
    {
      name: 'with a clipboard',
      testMatch: USES_CLIPBOARD,
      use: { launchOptions: { ...chromium.launchOptions, executablePath: '/usr/bin/chromium' } },
    },
    {
      // What people do must work as plain forms too. Key generation is what cannot.
      name: 'without scripts',
      testIgnore: [/\.scripted\.spec\.ts$/, OTHER_ENGINES],
      use: { javaScriptEnabled: false },
    },
    { name: 'other engines', testMatch: OTHER_ENGINES },
  ],
  webServer: {
    command: [
      `${SERVER} serve --demo`,
      `--data ${process.env.NUVERA_END2END_DATA}`,
      '--site ../target/site',
      `--console-address ${new URL(CONSOLE).host}`,
      `--gateway-address ${new URL(GATEWAY).host}`,
    ].join(' '),
    url: `${CONSOLE}/readyz`,
    reuseExistingServer: false,
    // What the server could not do stands between the tests' own lines: a 503 in a browser says no more than that.
    env: { ...(process.env as Record<string, string>), NUVERA_LOG: 'error' },
    stdout: 'ignore',
    stderr: 'pipe',
    gracefulShutdown: { signal: 'SIGTERM', timeout: 15_000 },
  },
});
