// Comparable gateway built on fastify and jose, as a team would write in an afternoon. PORT, KEY_HASH, PUBLIC_KEY_FILE.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fastify from 'fastify';
import { importSPKI, jwtVerify } from 'jose';

const publicKey = await importSPKI(readFileSync(process.env.PUBLIC_KEY_FILE, 'utf8'), 'RS256');
const applications = new Map([[process.env.KEY_HASH, { publicKey }]]);
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const used = new Map();
setInterval(() => {
  const now = Date.now() / 1000;
  for (const [jti, until] of used) if (until < now) used.delete(jti);
}, 10_000).unref();

const app = fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body));
app.post('/api/v1/signature-test', async (request, reply) => {
  const refuse = (code) => reply.code(401).send({ code });
  const key = request.headers['x-api-key'] ?? '';
  const application = applications.get(sha256(key));
  if (!application) return refuse('invalid_api_key');
  const bearer = request.headers.authorization ?? '';
  let claims;
  try {
    const options = { algorithms: ['RS256'], issuer: 'nuvera-api', audience: 'nuvera-rest-api', clockTolerance: 5 };
    claims = (await jwtVerify(bearer.slice(7), application.publicKey, options)).payload;
  } catch {
    return refuse('invalid_token');
  }
  if (claims.sub !== key || claims.method !== request.method || claims.uri !== request.url) return refuse('mismatch');
  if (!(claims.exp - claims.iat <= 60)) return refuse('lifetime');
  if (claims.bodyHash !== sha256(request.body)) return refuse('body');
  if (used.has(claims.jti)) return refuse('replay');
  used.set(claims.jti, claims.exp + 10);
  return { verified: true };
});
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
