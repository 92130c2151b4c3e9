import { APPLICATIONS, createApplication, expect, externalKeyPair, mailedLink, signIn, test, uniqueName } from './support';

// A member is invited, joins, gets another role, and is removed.

const PEOPLE = '/settings/platform/people';
const CHOSEN = 'tulip gravel 84 harbour';

test.use({ expectedErrors: /status of 4(03|10|22)/ });

test('somebody joins by a link, and after they left the keys they saw are offered for replacement', async ({ page, otherPage }) => {
  test.setTimeout(120_000);
  const name = uniqueName('Grace');
  const email = `${name.replace(' ', '.').toLowerCase()}@alpine.example`;
  await signIn(page);
  await page.getByRole('link', { name: 'People', exact: true }).click();
  await page.getByRole('link', { name: 'Invite somebody' }).click();
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Email').fill('grace at alpine');
  await page.getByLabel('Developer').check();
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  await expect(page.getByLabel('Name'), 'what was typed is kept').toHaveValue(name);
  await page.getByLabel('Email').fill(email);
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Invitation sent');
  const link = mailedLink(email);

  await otherPage.goto(link);
  await expect(otherPage.getByRole('heading', { level: 1 })).toHaveText('Join Alpine Pay');
  await otherPage.getByLabel('Password').fill('aaaaaaaaaaaaaaaa');
  await otherPage.getByRole('button', { name: 'Join' }).click();
  await expect(otherPage.getByRole('heading', { level: 1 }), 'a guessable password').toHaveText('Join Alpine Pay');
  await otherPage.getByLabel('Password').fill(CHOSEN);
  await otherPage.getByRole('button', { name: 'Join' }).click();
  await expect(otherPage).toHaveURL(APPLICATIONS);
  const application = await createApplication(otherPage, uniqueName('Grace’s ledger'), externalKeyPair());

  await page.goto(PEOPLE);
  const row = page.getByRole('row').filter({ hasText: email });
  await row.getByRole('link', { name: 'Change role' }).click();
  await page.getByLabel('Viewer').check();
  await page.getByRole('button', { name: 'Change role' }).click();
  await expect(row).toContainText('Viewer');
  await otherPage.goto(`${APPLICATIONS}/new`);
  await expect(otherPage.getByRole('heading', { level: 1 }), 'it counts at once').toHaveText('You cannot open this page');

  await row.getByRole('link', { name: 'Remove' }).click();
  await page.getByRole('button', { name: `Remove ${name}` }).click();
  await otherPage.goto(APPLICATIONS);
  await expect(otherPage, 'signed out everywhere').toHaveURL(/sign-in/);

  await page.goto(PEOPLE);
  const kept = page.getByRole('listitem').filter({ hasText: application.name });
  await expect(kept.getByRole('link', { name: 'Replace signing key' })).toBeVisible();
  await kept.getByRole('link', { name: 'Create replacement key' }).click();
  await expect(page).toHaveURL(new RegExp(`${application.path}/replace-api-key`));
  await otherPage.goto(link);
  await expect(otherPage.getByRole('heading', { level: 1 })).toHaveText('This link is no longer good');
});
