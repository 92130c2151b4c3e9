import {
  APPLICATIONS,
  createApplication,
  expect,
  externalKeyPair,
  openAction,
  signIn,
  test,
  Traffic,
  uniqueName,
} from './support';

// Tests a policy that requires confirmation of Nuvera's changes: an admin proposes, the partner confirms, and only then
// the gateway applies it. Uses Borealis Finance, because in no other test an admin changes its applications.

test.use({ expectedErrors: /status of 4(09|22)/ });

const OWNER = 'owner@borealis.example';

test('an admin proposes a permission, the partner confirms it, and the gateway obeys', async ({ page, otherPage: admin }) => {
  test.setTimeout(120_000);
  await signIn(page, OWNER);
  await page.goto(`${APPLICATIONS}/security-policy`);
  const waits = page.getByLabel('It waits for us');
  // The same test runs in parallel with and without scripts, so the policy may already be set.
  if (!(await waits.isChecked())) {
    await waits.check();
    await page.getByRole('button', { name: 'Change policy' }).click();
  }
  await page.goto(`${APPLICATIONS}/security-policy`);
  await expect(waits).toBeChecked();
  const pair = externalKeyPair();
  const name = uniqueName('Approved');
  const application = await createApplication(page, name, pair, ['PAYMENTS_READ']);
  const traffic = new Traffic(application.apiKey, pair.privateFile);
  const customers = new Traffic(application.apiKey, pair.privateFile, { uri: '/api/v1/customers?limit=1' });
  await traffic.expectNow('accepted');
  await customers.expectNow('permission_missing');

  // The admin proposes a change with a reason and a ticket. Nothing changes yet.
  await signIn(admin, 'admin@nuvera.example');
  await admin.getByRole('link', { name: 'Borealis Finance' }).click();
  await admin.getByRole('link', { name, exact: true }).click();
  const inHub = { path: new URL(admin.url()).pathname };
  await openAction(admin, inHub, 'Change permissions');
  await expect(admin.getByText('Borealis Finance confirms this before it counts')).toBeVisible();
  await admin.locator('input[value="CUSTOMERS_READ"]').check();
  await admin.getByLabel('Reason').fill('they screen customers from Monday on');
  await admin.getByRole('button', { name: 'Propose change' }).click();
  await expect(admin.getByText('Enter the ticket’s reference').first()).toBeVisible();
  await expect(admin.locator('input[value="CUSTOMERS_READ"]'), 'what was chosen is kept').toBeChecked();
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Propose change' }).click();
  await expect(admin.getByText('A proposed change waits for the partner')).toBeVisible();
  await customers.expectNow('permission_missing');

  // The partner finds the proposal in the list, compares before and after, and confirms.
  await page.goto(APPLICATIONS);
  await expect(page.getByRole('row', { name: new RegExp(name) })).toContainText('To confirm');
  await page.goto(application.path);
  await expect(page.getByText('Nuvera proposes a change and waits for you')).toBeVisible();
  await expect(page.getByText('they screen customers from Monday on').first()).toBeVisible();
  await expect(page.getByText('Ticket SUP-4711').first()).toBeVisible();
  await page.getByRole('link', { name: 'Review and confirm' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Confirm proposed change');
  await page.getByRole('button', { name: 'Confirm proposed change' }).click();
  await expect(page.getByText('The proposed change is made.')).toBeVisible();
  await customers.expectNow('accepted');
  await traffic.expectNow('accepted');

  // Disabling needs no confirmation, and is shown until the partner acknowledges it.
  await openAction(admin, inHub, 'Disable');
  await admin.getByLabel('Reason').fill('payments to unknown beneficiaries');
  await admin.getByRole('button', { name: 'Disable application' }).click();
  await expect(admin.getByText('The application is disabled.')).toBeVisible();
  await traffic.expectNow('application_disabled');
  await page.goto(application.path);
  await expect(page.getByText(`Nuvera changed ${name}`)).toBeVisible();
  await page.getByRole('button', { name: 'We have seen it' }).click();
  await expect(page.getByText('the audit history says that you have seen it')).toBeVisible();
  await expect(page.getByText(`Nuvera changed ${name}`)).toHaveCount(0);
  await admin.goto(inHub.path);
  await expect(admin.getByText('What Nuvera changed was seen by Bao Nguyen')).toBeVisible();

  // A declined change is not applied.
  await openAction(admin, inHub, 'Change permissions');
  await admin.locator('input[value="CUSTOMERS_READ"]').uncheck();
  await admin.getByLabel('Reason').fill('a misunderstanding');
  await admin.getByLabel('Ticket reference').fill('SUP-4712');
  await admin.getByRole('button', { name: 'Propose change' }).click();
  await page.goto(application.path);
  await page.getByRole('link', { name: 'Decline the proposed change' }).click();
  await page.getByRole('button', { name: 'Decline proposed change' }).click();
  await expect(page.getByText('The proposed change is declined.')).toBeVisible();
  await admin.goto(inHub.path);
  await expect(admin.getByText('A proposed change waits for the partner')).toHaveCount(0);
  await traffic.stop();
  await customers.stop();
});
