import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { GATEWAY } from './addresses';
import {
  createApplication,
  expect,
  externalKeyPair,
  openAction,
  signIn,
  test,
  uniqueName,
} from './support';

// The gateway refuses one request on purpose, which the browser reports.
test.use({ expectedErrors: /status of 403/ });

test('a signed test request is sent from the page that shows the key', async ({ page, otherPage }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Test now'), pair);
  await openAction(page, application, 'Create replacement key');
  await page.getByRole('button', { name: 'Create replacement key' }).click();

  const sent: string[] = [];
  page.on('request', (request) => sent.push(`${request.method()} ${request.url()} ${request.postData() ?? ''}`));
  const file = page.getByLabel('Your private key’s file');
  const button = page.getByRole('button', { name: 'Send test request' });
  await button.click();
  await expect(page.getByText('Choose the file of your private key.')).toBeVisible();
  await file.setInputFiles(externalKeyPair().privateFile);
  await button.click();
  await expect(page.getByText('This is another key: its fingerprint is SHA256:')).toBeVisible();
  await file.setInputFiles({ name: 'public.pem', mimeType: 'text/plain', buffer: Buffer.from(pair.publicPem) });
  await button.click();
  await expect(page.getByText('This is a public key. Choose the file of the private key.')).toBeVisible();
  expect(sent.filter((request) => request.includes(GATEWAY))).toEqual([]);

  // Private keys are often stored encrypted with a passphrase.
  const encrypted = join(pair.privateFile, '..', 'encrypted.pem');
  execFileSync('openssl', ['pkey', '-in', pair.privateFile, '-aes256', '-passout', 'pass:open sesame', '-out', encrypted]);
  await file.setInputFiles(encrypted);
  await button.click();
  await page.getByLabel('Its passphrase').fill('wrong');
  await button.click();
  await expect(page.getByText('This passphrase does not open the key.')).toBeVisible();
  await page.getByLabel('Its passphrase').fill('open sesame');
  await button.click();
  const prefix = (await page.locator('#one-time-key').innerText()).slice(0, 12);
  const accepted = `Accepted (200): the gateway knows the key ${prefix}, and the signature is right.`;
  await expect(page.getByText(accepted)).toBeVisible();
  // Each request has its own token.
  await button.click();
  await expect(page.getByText('Signing…').or(page.getByText(accepted))).toBeVisible();
  await expect(page.getByText(accepted)).toBeVisible();

  await signIn(otherPage);
  await openAction(otherPage, application, 'Disable');
  await otherPage.getByLabel('Reason').fill('A drill');
  await otherPage.getByRole('button', { name: /^Disable/ }).click();
  await button.click();
  await expect(page.getByText('Refused (403, application_disabled).')).toBeVisible();

  // The browser sends only requests to the gateway, without a body, and requests for the signing module.
  const elsewhere = sent.filter((request) => !request.startsWith(`GET ${GATEWAY}/api/v1/signature-test `));
  expect(elsewhere.filter((request) => !/^GET \S+\/assets\/\S+ $/.test(request))).toEqual([]);
});
