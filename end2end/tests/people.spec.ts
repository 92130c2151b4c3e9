import { APPLICATIONS, createApplication, expect, externalKeyPair, PASSWORD, signIn, test, uniqueName } from './support';

// Who gets where.

test.describe('a customer-platform user', () => {
  test.use({ expectedErrors: /status of 403/ });

  test('is refused in words, and stays signed out', async ({ page }) => {
    await page.goto('/sign-in');
    await page.getByLabel('Email').fill('user@customer.example');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('API applications are for partner organizations');
    await page.goto(APPLICATIONS);
    await expect(page).toHaveURL(/sign-in/);
  });
});

test.describe('a stranger', () => {
  test.use({ expectedErrors: /status of 404/ });

  test('finds nothing at another organization’s addresses', async ({ page }) => {
    await signIn(page);
    const application = await createApplication(page, uniqueName('Private'), externalKeyPair());
    await page.getByRole('button', { name: 'Sign out' }).click();
    await signIn(page, 'owner@borealis.example');
    await page.goto(application.path);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Page not found');
    await page.goto(APPLICATIONS);
    await expect(page.getByText(application.name)).toHaveCount(0);
  });
});

test('a Nuvera admin lands in the organization hub', async ({ page }) => {
  await signIn(page, 'admin@nuvera.example');
  await expect(page).toHaveURL(/\/organizations$/);
  await expect(page.getByText('Alpine Pay')).toBeVisible();
});

test('an organization without applications is told the first step', async ({ page }) => {
  await signIn(page, 'owner@borealis.example');
  await expect(page.getByRole('link', { name: 'Create API application' }).first()).toBeVisible();
});

test('the one-time key is not on any later page, nor behind the back button', async ({ page }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Once'), externalKeyPair());
  const secret = application.apiKey.slice(13);
  await page.goto(application.path);
  expect(await page.content()).not.toContain(secret);
  await page.goBack();
  expect(await page.content()).not.toContain(secret);
  // The page that showed it is not kept, and making it again would take the form: the browser has nothing to show.
  await expect(page.goBack()).rejects.toThrow(/ERR_CACHE_MISS/);
  expect(await page.content()).not.toContain(secret);
});
