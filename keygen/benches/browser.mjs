// How long a key pair takes in a browser: the built module in its worker, beside the browser's own generator, in turns on
// one page of headless Chromium. Needs `cargo run -p xtask -- site` before it.
//
//   node keygen/benches/browser.mjs [rounds]      CHROMIUM names another browser than /usr/bin/chromium

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const site = new URL("../../target/site/", import.meta.url);
const rounds = Number(process.argv[2] ?? 20);
const types = { js: "text/javascript", wasm: "application/wasm" };

// Runs in the page. Does what the console's own page does: two workers search, whoever finds the second prime assembles.
async function measure(workerUrl, rounds) {
  const workers = [1, 2].map(() => new Worker(workerUrl, { type: "module" }));
  const answer = (worker) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.kind === "failed" ? reject(new Error(data.message)) : resolve(data));
      worker.onerror = (event) => reject(new Error(event.message));
    });
  await Promise.all(workers.map(answer));
  const ask = (worker, order) => {
    const answered = answer(worker);
    worker.postMessage(order);
    return answered;
  };
  const ours = async (bits) => {
    const started = performance.now();
    const primes = [];
    let milliseconds;
    const search = async (worker) => {
      while (primes.length < 2) {
        const { prime } = await ask(worker, { kind: "search", bits });
        primes.push(prime);
        if (primes.length === 2) {
          await ask(worker, { kind: "assemble", bits, p: primes[0], q: primes[1], challenge: "measured" });
          milliseconds = performance.now() - started;
        }
      }
    };
    // The page terminates whoever is not needed any more; here they are waited for, after the watch has stopped.
    await Promise.all(workers.map(search));
    return milliseconds;
  };
  const browsers = async (modulusLength) => {
    const started = performance.now();
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", publicExponent: new Uint8Array([1, 0, 1]) };
    await crypto.subtle.generateKey({ ...algorithm, modulusLength }, true, ["sign", "verify"]);
    return performance.now() - started;
  };
  // The first key waits for the optimising compiler; it is left out.
  await ours(2048);
  const results = [];
  for (const bits of [2048, 3072, 4096]) {
    const times = { bits, module: [], webCrypto: [] };
    for (let round = 0; round < rounds; round += 1) {
      times.module.push(await ours(bits));
      times.webCrypto.push(await browsers(bits));
    }
    results.push(times);
  }
  return results;
}

const page = () => `<!doctype html><script type="module">
${measure}
const { keygenWorker } = await (await fetch("/assets.json")).json();
const body = await measure("/assets/" + keygenWorker, ${rounds}).catch((error) => ({ error: String(error) }));
await fetch("/results", { method: "POST", body: JSON.stringify(body) });
</script>`;

function report(results) {
  if (results.error) {
    console.error(results.error);
    process.exitCode = 1;
    return;
  }
  const milliseconds = (times) => {
    const sorted = times.toSorted((a, b) => a - b);
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    return `mean ${mean.toFixed(0).padStart(5)}  median ${sorted[sorted.length >> 1].toFixed(0).padStart(5)}`;
  };
  for (const { bits, module, webCrypto } of results) {
    console.log(`RSA-${bits}, ms:  this module ${milliseconds(module)}   WebCrypto ${milliseconds(webCrypto)}`);
  }
}

const profile = mkdtempSync(join(tmpdir(), "keygen-bench-"));
const server = createServer((request, response) => {
  if (request.url === "/") {
    response.setHeader("content-type", "text/html").end(page());
  } else if (request.url === "/results") {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      response.end();
      report(JSON.parse(Buffer.concat(chunks)));
      browser.kill();
    });
  } else {
    try {
      const type = types[request.url.split(".").pop()] ?? "application/json";
      response.setHeader("content-type", type).end(readFileSync(new URL(`.${request.url}`, site)));
    } catch {
      response.writeHead(404).end();
    }
  }
});
let browser;
server.listen(0, "127.0.0.1", () => {
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
  flags.push("--disable-background-networking", "--disable-component-update", "--disable-sync");
  flags.push(`--user-data-dir=${profile}`, `http://127.0.0.1:${server.address().port}/`);
  browser = spawn(process.env.CHROMIUM ?? "/usr/bin/chromium", flags, { stdio: "ignore" });
  browser.on("error", (error) => {
    console.error(`the browser cannot be started: ${error.message}`);
    process.exitCode = 1;
    server.close();
  });
  browser.on("exit", () => {
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
});
