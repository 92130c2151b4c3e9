import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Instance, newData } from './instance';
import { createApplication, expect, externalKeyPair, signIn, test, uniqueName } from './support';

// Tests the gateway against docs/gateway.openapi.yaml with schemathesis.

test('the gateway keeps to its own description', async ({ browser }) => {
  test.setTimeout(180_000);
  const instance = await Instance.create(newData(), '--demo', '--failure-limit', '0');
  await instance.start();
  const page = await browser.newPage({ baseURL: instance.console, javaScriptEnabled: false });
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Described'), pair);
  const run = promisify(execFile)(
    '.venv/bin/schemathesis',
    [
      ...['run', '../docs/gateway.openapi.yaml', '--url', instance.gateway, '--seed', '1', '--max-examples', '60'],
      // Two checks are excluded. An unlisted method is an unknown endpoint, which unauthenticated clients are not told;
      // and the signature test accepts any input once the hooks have signed it.
      ...['--checks', 'all', '--exclude-checks', 'unsupported_method,negative_data_rejection'],
      ...['--no-color', '--continue-on-failure'],
    ],
    {
      env: {
        ...process.env,
        SCHEMATHESIS_HOOKS: 'schemathesis_hooks',
        PYTHONPATH: 'clients',
        NUVERA_API_KEY: application.apiKey,
        NUVERA_PRIVATE_KEY_FILE: pair.privateFile,
      },
      maxBuffer: 16 * 1024 * 1024,
    },
  );
  const told = await run.catch((failure: { stdout: string; stderr: string }) => {
    throw new Error(`${failure.stdout}\n${failure.stderr}`);
  });
  // Positive control: requests passed authentication.
  expect(told.stdout).toContain('Tested: 4');
  await page.goto(application.path);
  await expect(page.locator('#api-keys')).not.toContainText('Never used');
  await instance.stop('SIGTERM');
});
