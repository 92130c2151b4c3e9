import type { CDPSession, Page } from '@playwright/test';
import { check } from './accessible';
import { Instance, newData } from './instance';
import { APPLICATIONS, expect, PASSWORD, test } from './support';

// Tests passkeys with Chromium's virtual authenticator. Passkeys need a host name, so this console runs on localhost.

let instance: Instance;

test.beforeAll(async () => {
  instance = await Instance.named('localhost', newData(), '--demo');
  await instance.start();
});

test.afterAll(() => instance.stop('SIGTERM'));

/** Adds a virtual authenticator that confirms user presence and verification. */
async function plugIn(page: Page): Promise<{ session: CDPSession; authenticatorId: string }> {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return { session, authenticatorId };
}

async function signIn(page: Page, email: string) {
  await page.goto(`${instance.console}/sign-in`);
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

// At the end, a removed passkey is rejected on purpose.
test.use({ expectedErrors: /status of 422/ });

test('a passkey is added, is the second step, signs in by itself, proves anew and is removed', async ({ page }) => {
  test.setTimeout(180_000);
  await plugIn(page);
  await signIn(page, 'owner@alpine.example');
  await page.goto(`${instance.console}/settings/account/passkeys/new`);
  // The island validates the name first, so that no passkey is created that the server would reject.
  await page.getByRole('button', { name: 'Add passkey' }).click();
  await expect(page.getByText('Enter a name for the passkey.')).toBeVisible();
  await check(page, 'a new passkey, with an error');
  await page.getByLabel('Name').fill('Laptop');
  await page.getByRole('button', { name: 'Add passkey' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Store your recovery codes now');
  await check(page, 'recovery codes');
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('button', { name: 'I have stored these codes' }).click();
  await expect(page.getByRole('rowheader', { name: 'Laptop' })).toBeVisible();
  await check(page, 'the account, with a passkey');

  // The same device cannot be registered twice.
  await page.getByRole('link', { name: 'Add a passkey' }).click();
  await page.getByLabel('Name').fill('Again');
  await page.getByRole('button', { name: 'Add passkey' }).click();
  await expect(page.getByText('This device holds a passkey of yours')).toBeVisible();

  await page.getByRole('button', { name: 'Sign out' }).click();
  await signIn(page, 'owner@alpine.example');
  await check(page, 'the second step, with a passkey');
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await expect(page).toHaveURL(new RegExp(APPLICATIONS));

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Sign in with a passkey' }).click();
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await expect(page).toHaveURL(new RegExp(APPLICATIONS));

  await page.goto(`${instance.console}/confirm?next=/settings/account`);
  await check(page, 'confirm with a passkey');
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Sign-in and security');
  await page.getByRole('link', { name: 'Remove Laptop' }).click();
  await check(page, 'remove a passkey');
  await page.getByRole('button', { name: 'Remove passkey' }).click();
  await expect(page.getByText('You have none yet.')).toBeVisible();

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Sign in with a passkey' }).click();
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await expect(page.getByText('This passkey is not known here')).toBeVisible();
  await check(page, 'sign in with a passkey, refused');
});

test('whoever cancels is told so in words, and tries again', async ({ page }) => {
  const { session, authenticatorId } = await plugIn(page);
  await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.goto(`${instance.console}/sign-in/passkey`);
  const button = page.getByRole('button', { name: 'Use a passkey' });
  await button.click();
  await expect(page.getByText('No passkey was used')).toBeVisible();
  await expect(button).toBeEnabled();
  await expect(page.getByRole('link', { name: 'Sign in with your password' })).toBeVisible();
});

// Some password managers replace the browser's implementation and return plain objects, and browsers before 2025 cannot
// parse options from JSON.
for (const [what, script] of [
  [
    'a password manager that answers with plain objects',
    () => {
      const container = navigator.credentials;
      const [make, use] = [container.create.bind(container), container.get.bind(container)];
      const fields = ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'];
      const plain = (credential: any) => ({
        id: credential.id,
        rawId: credential.rawId,
        type: credential.type,
        getClientExtensionResults: () => ({}),
        response: Object.fromEntries(fields.filter((name) => credential.response[name]).map((name) => [name, credential.response[name]])),
      });
      container.create = async (options) => plain(await make(options)) as any;
      container.get = async (options) => plain(await use(options)) as any;
    },
  ],
  [
    'one whose objects inherit a method that throws, and views of buffers',
    () => {
      const container = navigator.credentials;
      const [make, use] = [container.create.bind(container), container.get.bind(container)];
      const odd = (credential: any) => {
        const view = (buffer: ArrayBuffer) => {
          const padded = new Uint8Array(buffer.byteLength + 7);
          padded.set(new Uint8Array(buffer), 3);
          return padded.subarray(3, 3 + buffer.byteLength);
        };
        const response = Object.create(AuthenticatorResponse.prototype);
        for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
          const value = credential.response[name];
          if (value) Object.defineProperty(response, name, { value: view(value) });
        }
        const made = Object.create(PublicKeyCredential.prototype);
        for (const [name, value] of Object.entries({ id: credential.id, rawId: view(credential.rawId), type: credential.type, response })) {
          Object.defineProperty(made, name, { value });
        }
        Object.defineProperty(made, 'authenticatorAttachment', { value: 'platform' });
        return made;
      };
      container.create = async (options) => odd(await make(options));
      container.get = async (options) => odd(await use(options));
    },
  ],
  [
    'a browser that does not read options from JSON',
    () => {
      for (const name of ['parseCreationOptionsFromJSON', 'parseRequestOptionsFromJSON']) {
        delete (PublicKeyCredential as any)[name];
      }
      delete (PublicKeyCredential.prototype as any).toJSON;
    },
  ],
] as const) {
  test(`passkeys work with ${what}`, async ({ page }) => {
    test.setTimeout(120_000);
    await plugIn(page);
    await page.addInitScript(script);
    await signIn(page, 'developer@alpine.example');
    await page.goto(`${instance.console}/settings/account/passkeys/new`);
    await page.getByLabel('Name').fill('Phone');
    await page.getByRole('button', { name: 'Add passkey' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Store your recovery codes now');
    page.once('dialog', (dialog) => dialog.accept());
    await page.getByRole('button', { name: 'I have stored these codes' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('link', { name: 'Sign in with a passkey' }).click();
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await expect(page).toHaveURL(new RegExp(APPLICATIONS));

    // Clean up: the next test starts without a passkey.
    await page.goto(`${instance.console}/settings/account`);
    await page.getByRole('link', { name: 'Remove Phone' }).click();
    await page.getByRole('button', { name: 'Remove passkey' }).click();
    await expect(page.getByText('You have none yet.')).toBeVisible();
  });
}
