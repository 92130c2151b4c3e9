import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { SignJWT, importPKCS8 } from 'jose';

const gateway = '{gateway}';
const uri = '/api/v1/signature-test';
const { NUVERA_API_KEY: apiKey, NUVERA_PRIVATE_KEY_FILE: keyFile } = process.env;
if (!apiKey || !keyFile) throw new Error('set NUVERA_API_KEY and NUVERA_PRIVATE_KEY_FILE');

const now = Math.floor(Date.now() / 1000);
const bodyHash = createHash('sha256').update('').digest('hex');
const token = await new SignJWT({ method: 'GET', uri, bodyHash })
  .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
  .setIssuer('nuvera-api')
  .setAudience('nuvera-rest-api')
  .setSubject(apiKey)
  .setIssuedAt(now)
  .setExpirationTime(now + 55)
  .setJti(randomUUID())
  .sign(await importPKCS8(await readFile(keyFile, 'utf8'), 'RS256'));

const response = await fetch(gateway + uri, {
  headers: { 'x-api-key': apiKey, authorization: `Bearer ${token}` },
});
console.log(`${response.status}\n${await response.text()}`);
process.exitCode = response.ok ? 0 : 1;
