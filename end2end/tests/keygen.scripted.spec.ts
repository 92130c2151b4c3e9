import type { Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { APPLICATIONS, expect, generatePair, signIn, test, watchTasks } from './support';

// Tests key generation in the browser: its results, and what remains in memory.

async function open(page: Page) {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
}

async function generate(page: Page, bits: string) {
  await page.getByLabel('Size').selectOption(bits);
  await page.getByRole('button', { name: 'Generate key pair' }).click();
  await expect(page.getByText('The key pair is ready.')).toBeVisible({ timeout: 60_000 });
}

test('a pair of every size is what OpenSSL calls a good key', async ({ page }) => {
  await open(page);
  for (const bits of ['2048', '3072', '4096']) {
    const file = await generatePair(page, bits);
    const said = execFileSync('openssl', ['rsa', '-check', '-noout', '-text', '-in', file], { encoding: 'utf8' });
    expect(said).toContain('RSA key ok');
    expect(said).toContain(`(${bits} bit, 2 primes)`);
    expect(said).toContain('publicExponent: 65537');
    const publicPem = execFileSync('openssl', ['pkey', '-pubout', '-in', file], { encoding: 'utf8' });
    await expect(page.locator('#public_key')).toHaveValue(publicPem);
  }
});

test('while primes are searched the page stays awake', async ({ page }) => {
  await open(page);
  const longestTask = await watchTasks(page);
  const begun = performance.now();
  await generate(page, '4096');
  // A search in the page itself would be a single task that takes the whole time.
  expect(await longestTask()).toBeLessThan((performance.now() - begun) / 2);
});

test('whether a search ends or is cancelled, its workers end with it', async ({ page }) => {
  await open(page);
  const seen: string[] = [];
  page.on('worker', (worker) => seen.push(worker.url()));
  await generate(page, '2048');
  expect(seen.length).toBeGreaterThan(0);
  await expect.poll(() => page.workers().length).toBe(0);
  await page.getByLabel('Size').selectOption('4096');
  await page.getByRole('button', { name: 'Generate key pair' }).click();
  await expect.poll(() => page.workers().length).toBeGreaterThan(0);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect.poll(() => page.workers().length).toBe(0);
  await expect(page.getByRole('button', { name: 'Generate key pair' })).toBeFocused();
});

test('twenty generations leave no memory behind', async ({ page }) => {
  test.setTimeout(180_000);
  await open(page);
  const browser = await page.context().newCDPSession(page);
  await browser.send('Performance.enable');
  const kilobytes = async () => {
    await browser.send('HeapProfiler.collectGarbage');
    const { metrics } = await browser.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'JSHeapUsedSize')!.value / 1024;
  };
  // The first runs load and compile code that later ones reuse.
  for (let count = 0; count < 4; count += 1) await generate(page, '2048');
  const before = await kilobytes();
  for (let count = 0; count < 16; count += 1) await generate(page, '2048');
  expect((await kilobytes()) - before).toBeLessThan(256);
  // Positive control: a leak of 20 kB per key is detected.
  await page.evaluate(() => {
    const kept = Array.from({ length: 16 }, () => Array.from({ length: 5_000 }, Math.random));
    Object.assign(window, { kept });
  });
  expect((await kilobytes()) - before).toBeGreaterThan(256);
});
