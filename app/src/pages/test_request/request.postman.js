const value = (name) => {
  const text = pm.variables.get(name);
  if (!text) throw new Error(`set the variable ${name}`);
  return text;
};
const bytes = (text) => new TextEncoder().encode(text);
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const encode = (part) => base64url(bytes(JSON.stringify(part)));

const apiKey = value('NUVERA_API_KEY');
const pkcs8 = atob(value('NUVERA_PRIVATE_KEY').replace(/-----[A-Z ]+-----|\\n|\s/g, ''));
const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const der = Uint8Array.from(pkcs8, (character) => character.charCodeAt(0));
const key = await crypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);

// What is signed is what is sent: variables are replaced here, once.
pm.request.url.update(pm.variables.replaceIn(pm.request.url.toString()));
const raw = pm.request.body?.mode === 'raw' ? pm.variables.replaceIn(pm.request.body.raw) : '';
if (raw) pm.request.body.update({ ...pm.request.body.toJSON(), raw });
const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes(raw)));

const now = Math.floor(Date.now() / 1000);
const header = { alg: 'RS256', typ: 'JWT' };
const claims = {
  iss: 'nuvera-api',
  aud: 'nuvera-rest-api',
  sub: apiKey,
  method: pm.request.method,
  uri: pm.request.url.getPathWithQuery(),
  bodyHash: [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
  iat: now,
  exp: now + 55,
  jti: crypto.randomUUID(),
};
const signed = `${encode(header)}.${encode(claims)}`;
const signature = await crypto.subtle.sign(algorithm, key, bytes(signed));

pm.request.headers.upsert({ key: 'x-api-key', value: apiKey });
pm.request.headers.upsert({
  key: 'authorization',
  value: `Bearer ${signed}.${base64url(new Uint8Array(signature))}`,
});
