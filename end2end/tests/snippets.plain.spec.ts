import { execFile } from 'node:child_process';
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createApplication, expect, externalKeyPair, signIn, test, uniqueName } from './support';

interface Snippet {
  id: string;
  name: string;
  file: string;
  command: (file: string) => [string, string[]];
  environment?: (file: string) => NodeJS.ProcessEnv;
}

const SNIPPETS: Snippet[] = [
  { id: 'test-shell', name: 'Shell', file: 'request.sh', command: (file) => ['bash', [file]] },
  { id: 'test-node', name: 'Node.js', file: 'request.mjs', command: (file) => ['node', [file]] },
  { id: 'test-python', name: 'Python', file: 'request.py', command: (file) => ['.venv/bin/python', [file]] },
  {
    id: 'test-rust',
    name: 'Rust',
    file: 'request.rs',
    command: () => ['cargo', ['run', '--quiet', '--locked', '--package', 'server', '--example', 'test_request']],
    environment: (file) => ({ NUVERA_SNIPPET: file }),
  },
];

/** Runs a snippet; what comes back is how it ended, and what it printed. */
function run({ command, environment }: Snippet, file: string, apiKey: string, privateFile: string) {
  const [program, args] = command(file);
  const env = {
    ...process.env,
    ...environment?.(file),
    NUVERA_API_KEY: apiKey,
    NUVERA_PRIVATE_KEY_FILE: privateFile,
  };
  return new Promise<{ failed: boolean; output: string }>((done) => {
    execFile(program, args, { env }, (error, stdout, stderr) => done({ failed: !!error, output: stdout + stderr }));
  });
}

for (const snippet of SNIPPETS) {
  test(`the snippet for ${snippet.name} runs as the page shows it`, async ({ page }) => {
    // The one in Rust is compiled.
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

    const accepted = await run(snippet, file, application.apiKey, pair.privateFile);
    expect(accepted.output).toMatch(/\b200\b/);
    expect(accepted.output).toContain(application.path.split('/').at(-1));
    expect(accepted.failed).toBe(false);

    const signedByAnother = await run(snippet, file, application.apiKey, externalKeyPair().privateFile);
    expect(signedByAnother.output).toContain('invalid_signature');
    expect(signedByAnother.failed).toBe(true);

    const wrongKey = application.apiKey.replace(/.{6}$/, 'AAAAAA');
    const unknown = await run(snippet, file, wrongKey, pair.privateFile);
    expect(unknown.output).toContain('invalid_api_key');
    expect(unknown.failed).toBe(true);
  });
}
