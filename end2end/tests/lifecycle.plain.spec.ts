import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { SERVER } from './addresses';
import { Instance, newData } from './instance';
import { createApplication, expect, externalKeyPair, present, signedToken, signIn, test, uniqueName } from './support';

// Tests the server's lifecycle: first start, clean shutdown, crash, and state that must survive a restart.

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`no token is accepted before a ${signal} and again after the restart`, async ({ browser }) => {
    const instance = await Instance.create(newData(), '--demo');
    await instance.start();
    const page = await browser.newPage({ baseURL: instance.console, javaScriptEnabled: false });
    await signIn(page);
    const pair = externalKeyPair();
    const application = await createApplication(page, uniqueName('Restart'), pair);
    const bearer = signedToken(application.apiKey, pair.privateFile);
    expect(await present(instance.gateway, application.apiKey, bearer)).toBe('accepted');
    expect(await present(instance.gateway, application.apiKey, bearer)).toBe('replay_detected');

    expect(await instance.stop(signal)).toBe(signal === 'SIGTERM' ? 0 : null);
    await instance.start();
    expect(await present(instance.gateway, application.apiKey, bearer)).toBe('token_predates_start');
    // Newly signed tokens are accepted in the next second after a clean shutdown, and once the leeway has passed after
    // a crash.
    await expect
      .poll(() => present(instance.gateway, application.apiKey, signedToken(application.apiKey, pair.privateFile)), {
        timeout: 15_000,
      })
      .toBe('accepted');

    // Acknowledged changes are present, and a clean shutdown lost no counters.
    await page.goto(application.path);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(application.name);
    if (signal === 'SIGTERM') {
      await expect(async () => {
        await page.goto(application.path);
        await expect(page.locator('#api-keys')).toContainText('2 requests', { timeout: 100 });
      }).toPass();
    }
    await instance.stop('SIGTERM');
  });
}

test('a production start creates no people; a command creates the first admin', async ({ browser }) => {
  const data = newData();
  const instance = await Instance.create(data);
  await instance.start();
  expect(statSync(join(data, 'pepper')).mode & 0o777).toBe(0o600);
  const page = await browser.newPage({ baseURL: instance.console, javaScriptEnabled: false });
  const tryToSignIn = async (email: string, password: string, door = '/sign-in') => {
    await page.goto(door);
    await page.getByLabel('Email').fill(email);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  };
  await tryToSignIn('owner@alpine.example', 'nuvera-demo-password');
  await expect(page.getByText('do not belong together').first()).toBeVisible();

  const create = (password: string) =>
    execFileSync(SERVER, ['create-admin', '--data', data, '--email', 'ada@nuvera.example', '--name', 'Ada'], {
      input: `${password}\n`,
      encoding: 'utf8',
      stdio: 'pipe',
    });
  expect(() => create('short')).toThrow(/at least 15 characters/);
  expect(create('a long enough password')).toContain('can sign in now');
  expect(() => create('a long enough password')).toThrow(/has an account already/);
  await tryToSignIn('ada@nuvera.example', 'a long enough password', '/organizations/sign-in');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Set up a second factor');
  await instance.stop('SIGTERM');
});

test('what a stranger sends makes no line of the log', async () => {
  const instance = await Instance.create(newData());
  await instance.start();
  const forged = '{"level":"INFO","message":"forged"}';
  const form = new URLSearchParams({ email: `x\n${forged}\n`, password: 'x', next: `/\n${forged}` });
  const headers = { origin: instance.console, 'user-agent': `x" ${forged}`, 'x-forwarded-for': `1.2.3.4 ${forged}` };
  await fetch(`${instance.console}/sign-in`, { method: 'POST', body: form, headers });
  await fetch(`${instance.console}/%0a${encodeURIComponent(forged)}`, { headers });
  await fetch(`${instance.gateway}/api/v1/%0a${encodeURIComponent(forged)}`, {
    headers: { 'x-api-key': forged, authorization: `Bearer ${forged}`, 'user-agent': forged },
  });
  await instance.stop('SIGTERM');
  const lines = Buffer.concat(instance.logged).toString().trim().split('\n').map((line) => JSON.parse(line));
  expect(lines.filter((line) => line.message === 'forged')).toEqual([]);
  // Positive control: all three are in the log.
  expect(lines.filter((line) => /console/.test(line.message)).length).toBeGreaterThanOrEqual(2);
  expect(lines.some((line) => line.status === 400)).toBe(true);
});

test('a setting that cannot be used is named, and nothing starts', async () => {
  for (const [setting, value] of [
    ['--console-url', 'console'],
    ['--hub-url', 'hub'],
    ['--upstream', 'https://api.example.com'],
    ['--database-url', 'mysql://x'],
    ['--routes', 'no-such-file'],
    ['--site', 'no-such-folder'],
    ['--leeway', '61'],
  ]) {
    const start = () => execFileSync(SERVER, ['serve', '--data', newData(), setting, value], { stdio: 'pipe' });
    expect(start, setting).toThrow(setting);
  }
});
