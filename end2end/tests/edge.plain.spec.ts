import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, Instance, newData } from './instance';
import { createApplication, expect, externalKeyPair, openAction, present, signedToken, signIn, test, uniqueName } from './support';

// Tests the nginx configuration in docs/edge with Debian's nginx, unmodified except for its addresses and without TLS, which
// server/tests/gateway/real_edges.rs tests.

test('an nginx in front asks the gateway, and passes on what it says', async ({ browser }) => {
  const seen: { url: string; headers: NodeJS.Dict<string | string[]> }[] = [];
  const service = createServer((request, response) => {
    seen.push({ url: request.url!, headers: request.headers });
    response.setHeader('content-type', 'application/json').end('{"items": []}');
  }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const upstream = `127.0.0.1:${(service.address() as { port: number }).port}`;
  const [edge, judge] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const instance = await Instance.create(newData(), '--demo', '--forward-auth-address', judge);
  await instance.start();

  const folder = mkdtempSync(join(tmpdir(), 'nuvera-nginx-'));
  mkdirSync(join(folder, 'logs'));
  copyFileSync('../docs/edge/nginx-headers.conf', join(folder, 'nginx-headers.conf'));
  const server = readFileSync('../docs/edge/nginx.conf', 'utf8')
    .replaceAll('127.0.0.1:8443', edge)
    .replaceAll('127.0.0.1:8444', `127.0.0.1:${await freePort()}`)
    .replaceAll(' ssl;', ';')
    .replaceAll(/^ *ssl_certificate.*$/gm, '')
    .replaceAll('127.0.0.1:24501', judge)
    .replaceAll('127.0.0.1:8080', upstream);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/pid; events {} http { access_log off; ${temporary.join(' ')}\n${server}\n}`,
  );
  const nginx = spawn('nginx', ['-p', folder, '-e', `${folder}/logs/error`, '-c', `${folder}/nginx.conf`], { stdio: 'ignore' });
  try {
    const answers = () => fetch(`http://${edge}/`).then(
      () => true,
      () => false,
    );
    await expect.poll(answers).toBe(true);
    const page = await browser.newPage({ baseURL: instance.console, javaScriptEnabled: false });
    await signIn(page);
    const pair = externalKeyPair();
    const application = await createApplication(page, uniqueName('Edge'), pair, ['CUSTOMERS_READ']);
    const [key, uri] = [application.apiKey, '/api/v1/customers?limit=1&cursor=%2fa'];
    const token = signedToken(key, pair.privateFile, uri);
    const ask = (headers: Record<string, string>, target = uri) =>
      fetch(`http://${edge}${target}`, { headers: { 'x-api-key': key, authorization: `Bearer ${token}`, ...headers } });

    const passed = await ask({});
    expect([passed.status, await passed.json()]).toEqual([200, { items: [] }]);
    const { url, headers } = seen[0];
    expect(url, 'as it was sent and signed').toBe(uri);
    expect(headers['x-nuvera-application-id']).toBe(application.path.split('/').at(-1));
    expect(headers['x-nuvera-body-verified']).toBe('false');
    expect(headers['x-nuvera-body-hash']).toMatch(/^e3b0c442/);
    expect(headers).not.toHaveProperty('authorization');
    expect(headers).not.toHaveProperty('x-api-key');

    const refused = async (answer: Promise<Response>) => {
      const response = await answer;
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      return [response.status, (await response.json()).code];
    };
    expect(await refused(ask({}))).toEqual([401, 'replay_detected']);
    expect(await refused(ask({}, `${uri}1`))).toEqual([401, 'uri_mismatch']);
    expect(await refused(ask({ 'x-nuvera-application-id': 'mine' }))).toEqual([401, 'reserved_header']);
    // Headers with which a client describes its own request are ignored.
    const posing = { 'X-Original-URI': uri, 'X-Original-Method': 'GET', 'X-Original-Body-SHA256': '0'.repeat(64) };
    expect(await refused(ask(posing, '/api/v1/other'))).toEqual([401, 'uri_mismatch']);
    expect((await ask({}, '/nuvera/verify')).status).toBe(404);

    await openAction(page, application, 'Disable');
    await page.getByLabel(/Reason/).fill('a drill');
    await page.getByRole('button', { name: 'Disable application' }).click();
    const again = signedToken(key, pair.privateFile, uri);
    const disabled = fetch(`http://${edge}${uri}`, { headers: { 'x-api-key': key, authorization: `Bearer ${again}` } });
    expect(await refused(disabled)).toEqual([403, 'application_disabled']);
    expect(await present(instance.gateway, key, again, uri), 'the control').toBe('application_disabled');
    expect(seen).toHaveLength(1);
  } finally {
    nginx.kill('SIGQUIT');
    await instance.stop('SIGTERM');
    service.close();
  }
});
