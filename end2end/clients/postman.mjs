// Sends a request from Postman's own runtime: postman.mjs <pre-request script> <method> <URL> [body]. The credentials are
// the environment's, as with the other clients; in Postman the private key is a variable, not a file.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { Collection, VariableScope } = require('postman-collection');
const { Runner } = require('postman-runtime');

const [script, method, url, body] = process.argv.slice(2);
const collection = new Collection({
  item: [
    {
      event: [{ listen: 'prerequest', script: { exec: readFileSync(script, 'utf8').split('\n') } }],
      request: { method, url, ...(body && { body: { mode: 'raw', raw: body } }) },
    },
  ],
});
const environment = new VariableScope({
  values: [
    { key: 'NUVERA_API_KEY', value: process.env.NUVERA_API_KEY },
    { key: 'NUVERA_PRIVATE_KEY', value: readFileSync(process.env.NUVERA_PRIVATE_KEY_FILE, 'utf8') },
    { key: 'customer', value: 'Ada' },
  ],
});

function fail(error) {
  console.error(error);
  process.exit(1);
}

new Runner().run(collection, { environment, timeout: { global: 60_000 } }, (error, run) => {
  if (error) fail(error);
  run.start({
    exception: (_, error) => fail(error),
    response(error, _, response) {
      if (error) fail(error);
      console.log(`${response.code}\n${response.text()}`);
      process.exitCode = response.code === 200 ? 0 : 1;
    },
    done: (error) => (error ? fail(error) : process.exit()),
  });
});
