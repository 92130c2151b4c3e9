import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import Provider from 'oidc-provider';

/** A user of an identity provider. Tests may change its claims. */
export interface Account {
  email: string;
  name: string;
  groups: string[];
  /** Authentication methods (RFC 8176). */
  amr?: string[];
}

const CLIENT = { id: 'nuvera-console', secret: 'a-secret-of-the-tests' };
const SCOPES = 'openid email profile groups';

/** A third-party identity provider (certified by the OpenID Foundation), with a minimal login page. */
export class IdentityProvider {
  readonly secret = CLIENT.secret;

  private constructor(
    readonly issuer: string,
    private readonly server: Server,
  ) {}

  /** Starts the provider. `accounts` maps logins to users and is read at every login. */
  static async start(callback: string, accounts: Map<string, Account>) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const issuer = `http://127.0.0.1:${port}`;
    const provider = new Provider(issuer, {
      clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [callback] }],
      claims: { openid: ['sub', 'amr'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
      findAccount: (_, login) => {
        const account = accounts.get(login);
        return account && { accountId: login, claims: () => ({ sub: login, email_verified: true, ...account }) };
      },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
      pkce: { required: () => true },
      // Two providers on one host would otherwise overwrite each other's cookies.
      cookies: {
        keys: ['the tests’ own'],
        names: { session: `session-${port}`, interaction: `interaction-${port}`, resume: `resume-${port}` },
      },
      // Grants consent implicitly on login.
      loadExistingGrant: async ({ oidc }) => {
        const grant = new oidc.provider.Grant({ clientId: oidc.client!.clientId, accountId: oidc.session!.accountId });
        grant.addOIDCScope(SCOPES);
        await grant.save();
        return grant;
      },
    });
    const answer = provider.callback();
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (request.url!.startsWith('/interaction/')) void interact(provider, accounts, request, response);
      else void answer(request, response);
    });
    return new IdentityProvider(issuer, server);
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  /** Returns the operator's configuration for this provider. */
  settings(id: string, label: string, organization: string, domain: string, roles: Record<string, string>): string {
    const meanings = Object.entries(roles).map(([group, role]) => `${group} = "${role}"`);
    return [
      '[[issuer]]',
      `id = "${id}"`,
      `label = "${label}"`,
      `url = "${this.issuer}"`,
      `organization = "${organization}"`,
      `email_domains = ["${domain}"]`,
      `client_id = "${CLIENT.id}"`,
      'client_secret_env = "NUVERA_TEST_CLIENT_SECRET"',
      `scopes = ${JSON.stringify(SCOPES.split(' '))}`,
      'role_claim = "groups"',
      `roles = { ${meanings.join(', ')} }`,
      'second_factor = ["mfa"]',
      '',
    ].join('\n');
  }
}

async function interact(
  provider: Provider,
  accounts: Map<string, Account>,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="en"><title>Log in</title><link rel="icon" href="data:,">
      <h1>Who are you?</h1><p>Asked to: ${prompt.name}</p>
      <form method="post"><label>Login <input name="login"></label>
      <button>Continue</button> <button name="cancel" value="yes">Cancel</button></form></html>`);
    return;
  }
  let body = '';
  for await (const part of request) body += part;
  const sent = new URLSearchParams(body);
  const login = sent.get('login') ?? '';
  const result =
    sent.has('cancel') || !accounts.has(login)
      ? { error: 'access_denied', error_description: 'They did not want to' }
      : { login: { accountId: login, amr: accounts.get(login)!.amr } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}
