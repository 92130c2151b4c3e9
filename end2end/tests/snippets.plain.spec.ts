import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { GATEWAY } from './addresses';
import { createApplication, expect, externalKeyPair, signIn, test, uniqueName } from './support';

/** Shells that the page names: any POSIX shell, and zsh, the default of macOS. */
const SHELLS = ['bash', 'dash', 'zsh'];

interface Snippet {
  id: string;
  name: string;
  file: string;
  command: (file: string) => [string, string[]];
  environment?: (file: string) => NodeJS.ProcessEnv;
  /** Block with the URL, for snippets that do not contain it. */
  address?: string;
}

const SNIPPETS: Snippet[] = [
  { id: 'test-shell', name: 'Shell', file: 'request.sh', command: (file) => ['bash', [file]] },
  { id: 'test-node', name: 'Node.js', file: 'request.mjs', command: (file) => ['node', [file]] },
  { id: 'test-python', name: 'Python', file: 'request.py', command: (file) => ['.venv/bin/python', [file]] },
  {
    id: 'test-rust',
    name: 'Rust',
    file: 'request.rs',
    // Without `--package`, which would select other features than the test build and recompile every dependency.
    command: () => ['cargo', ['run', '--quiet', '--locked', '--profile', 'bench', '--example', 'test_request']],
    environment: (file) => ({ NUVERA_SNIPPET: file }),
  },
  {
    id: 'test-postman',
    name: 'Postman',
    file: 'request.postman.js',
    command: (file) => ['node', ['clients/postman.mjs', file, 'GET']],
    address: 'test-postman-address',
  },
];

/** Runs a snippet and returns its exit status and output. */
function run({ command, environment }: Snippet, file: string, more: string[], apiKey: string, privateFile: string) {
  const [program, args] = command(file);
  const env = {
    ...process.env,
    ...environment?.(file),
    NUVERA_API_KEY: apiKey,
    NUVERA_PRIVATE_KEY_FILE: privateFile,
  };
  return new Promise<{ failed: boolean; output: string }>((done) => {
    execFile(program, [...args, ...more], { env }, (error, stdout, stderr) => done({ failed: !!error, output: stdout + stderr }));
  });
}

for (const snippet of SNIPPETS) {
  test(`the snippet for ${snippet.name} runs as the page shows it`, async ({ page }) => {
    // The Rust snippet is compiled.
    test.setTimeout(600_000);
    await signIn(page);
    const pair = externalKeyPair();
    const application = await createApplication(page, uniqueName('Snippet'), pair);
    const item = page.locator('details[name="snippet"]', { has: page.locator(`#${snippet.id}`) });
    if (!(await item.evaluate((details: HTMLDetailsElement) => details.open))) {
      await item.locator('summary').click();
    }
    await expect(page.locator('details[name="snippet"][open]'), 'one is open at a time').toHaveCount(1);

    const folder = mkdtempSync(join(tmpdir(), 'nuvera-snippet-'));
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
    const file = join(folder, snippet.file);
    writeFileSync(file, await page.locator(`#${snippet.id}`).innerText());

    const more = snippet.address ? [await page.locator(`#${snippet.address}`).innerText()] : [];
    const accepted = await run(snippet, file, more, application.apiKey, pair.privateFile);
    expect(accepted.output).toMatch(/\b200\b/);
    expect(accepted.output).toContain(application.path.split('/').at(-1));
    expect(accepted.failed).toBe(false);

    const signedByAnother = await run(snippet, file, more, application.apiKey, externalKeyPair().privateFile);
    expect(signedByAnother.output).toContain('invalid_signature');
    expect(signedByAnother.failed).toBe(true);

    const wrongKey = application.apiKey.replace(/.{6}$/, 'AAAAAA');
    const unknown = await run(snippet, file, more, wrongKey, pair.privateFile);
    expect(unknown.output).toContain('invalid_api_key');
    expect(unknown.failed).toBe(true);
  });
}

test('the snippet for a shell runs in bash, dash and zsh, and so does what sets its variables in bash and zsh', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Shells'), pair);
  const folder = mkdtempSync(join(tmpdir(), 'nuvera-shells-'));
  const [file, variables] = [join(folder, 'request.sh'), join(folder, 'variables.sh')];
  writeFileSync(file, await page.locator('#test-shell').innerText());
  const shell = SNIPPETS.find(({ id }) => id === 'test-shell')!;
  for (const program of SHELLS) {
    const accepted = await run({ ...shell, command: () => [program, [file]] }, file, [], application.apiKey, pair.privateFile);
    expect(accepted.output, program).toMatch(/\b200\b/);
    expect(accepted.failed, program).toBe(false);
  }

  const prompt = await page.locator('#test-variables').innerText();
  writeFileSync(variables, `${prompt}\nprintf '\\n[%s|%s]' "$NUVERA_API_KEY" "$(printenv NUVERA_PRIVATE_KEY_FILE)"\n`);
  for (const program of SHELLS.filter((name) => name !== 'dash')) {
    // zsh without start-up files, as for a new user.
    const options = program === 'zsh' ? ['-f'] : [];
    const printed = execFileSync(program, [...options, variables], { input: `${application.apiKey}\n`, encoding: 'utf8' });
    expect(printed, program).toBe(`API key: \n[${application.apiKey}|private.pem]`);
  }
});

test('in Postman, what is signed is what is sent: variables, a body and a query', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const permissions = ['CUSTOMERS_READ', 'CUSTOMERS_WRITE'];
  const application = await createApplication(page, uniqueName('Snippet'), pair, permissions);
  const postman = SNIPPETS.find(({ name }) => name === 'Postman')!;
  const file = join(mkdtempSync(join(tmpdir(), 'nuvera-snippet-')), postman.file);
  writeFileSync(file, await page.locator(`#${postman.id}`).textContent().then(String));
  const send = (body: string) =>
    run(
      { ...postman, command: () => ['node', ['clients/postman.mjs', file, 'POST']] },
      file,
      [`${GATEWAY}/api/v1/customers?name={{customer}}&b=2&a=1`, body],
      application.apiKey,
      pair.privateFile,
    );
  const accepted = await send('{"name":"{{customer}}","note":"größer"}');
  expect(accepted.output).toMatch(/^200\n/);
  expect(accepted.output).toContain('/api/v1/customers?name=Ada&b=2&a=1');
});
