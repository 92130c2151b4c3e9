// Signs one request with jose and sends it. Prints the status, and then the body.
import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SignJWT, importPKCS8 } from 'jose';

const { NUVERA_API_KEY, NUVERA_PRIVATE_KEY_FILE, NUVERA_GATEWAY, NUVERA_METHOD, NUVERA_URI, NUVERA_BODY } = process.env;

const key = await importPKCS8(await readFile(NUVERA_PRIVATE_KEY_FILE, 'utf8'), 'RS256');
const now = Math.floor(Date.now() / 1000);
const token = await new SignJWT({
  method: NUVERA_METHOD,
  uri: NUVERA_URI,
  bodyHash: createHash('sha256').update(NUVERA_BODY).digest('hex'),
})
  .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
  .setIssuer('nuvera-api')
  .setAudience('nuvera-rest-api')
  .setSubject(NUVERA_API_KEY)
  .setIssuedAt(now)
  .setExpirationTime(now + 55)
  .setJti(randomUUID())
  .sign(key);

const response = await fetch(NUVERA_GATEWAY + NUVERA_URI, {
  method: NUVERA_METHOD,
  headers: { 'x-api-key': NUVERA_API_KEY, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  body: NUVERA_BODY || undefined,
});
// As text: a number would be coloured where FORCE_COLOR is set.
console.log(String(response.status));
console.log(await response.text());
