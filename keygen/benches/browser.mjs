// Measures the generation of a key pair in a browser: the built module in its two workers, compared with the browser's
// own generator, the `rsa` crate, node-forge and jsrsasign. They take turns on one page of headless Chromium, each in
// its own worker. Requires `make site` and `scripts/setup bench`; nothing of this is part of the site.
//
//   node keygen/benches/browser.mjs [keys]      CHROMIUM selects another browser than /usr/bin/chromium
//
// The module and the browser generate the given number of keys of 2048 bits, half as many of 3072, and a third as many
// of 4096. The others are so much slower that they generate a twentieth of that. With 100 keys, a run takes about eight
// minutes.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const target = fileURLToPath(new URL("../../target/", import.meta.url));
const keys = Number(process.argv[2] ?? 100);
const types = { js: "text/javascript", wasm: "application/wasm" };
const peers = {
  "stock.wasm": join(target, "keygen-bench/wasm32-unknown-unknown/release/stock.wasm"),
  "forge.min.js": join(here, "node_modules/node-forge/dist/forge.min.js"),
  "jsrsasign-all-min.js": join(here, "node_modules/jsrsasign/lib/jsrsasign-all-min.js"),
  "peers-worker.js": join(here, "peers-worker.js"),
};

// Runs in the page. Works like the console's page: two workers search, and the one that finds the second prime
// assembles.
async function measure(workerUrl, keys) {
  const longTasks = [];
  new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({
    type: "longtask",
  });
  const answer = (worker) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.kind === "failed" ? reject(new Error(data.message)) : resolve(data));
      worker.onerror = (event) => reject(new Error(event.message));
    });
  const ask = (worker, order) => {
    const answered = answer(worker);
    worker.postMessage(order);
    return answered;
  };
  const timed = async (generate) => {
    const started = performance.now();
    await generate();
    return performance.now() - started;
  };
  const searchers = () => [1, 2].map(() => new Worker(workerUrl, { type: "module" }));
  const workers = searchers();
  await Promise.all(workers.map(answer));
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
    // The page would terminate the other worker; here it is awaited, after the clock has stopped.
    await Promise.all(workers.map(search));
    return milliseconds;
  };
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", publicExponent: new Uint8Array([1, 0, 1]) };
  const generators = {
    "this module": ours,
    WebCrypto: (modulusLength) =>
      timed(() => crypto.subtle.generateKey({ ...algorithm, modulusLength }, true, ["sign", "verify"])),
  };
  for (const peer of ["rsa", "node-forge", "jsrsasign"]) {
    const worker = new Worker("/peers/peers-worker.js");
    await ask(worker, peer);
    generators[peer] = (bits) => timed(() => ask(worker, bits));
  }
  const results = [];
  for (const [bits, fast, slow] of [
    [2048, keys, Math.ceil(keys / 20)],
    [3072, Math.ceil(keys / 2), Math.ceil(keys / 40)],
    [4096, Math.ceil(keys / 3), Math.ceil(keys / 100)],
  ]) {
    for (const [name, generate] of Object.entries(generators)) {
      // The first key is not measured, because it waits for the optimizing compiler.
      if (bits === 2048) await generate(bits);
      results.push({ bits, name, times: [] });
    }
    for (let round = 0; round < fast; round += 1) {
      for (const { name, times } of results.slice(-5)) {
        const isFast = name === "this module" || name === "WebCrypto";
        if (isFast || round < slow) times.push(await generators[name](bits));
      }
    }
  }
  const cancels = [];
  for (let round = 0; round < 10; round += 1) {
    const searching = searchers();
    await Promise.all(searching.map(answer));
    for (const worker of searching) worker.postMessage({ kind: "search", bits: 4096 });
    await new Promise((next) => setTimeout(next, 100));
    cancels.push(
      await timed(async () => {
        for (const worker of searching) worker.terminate();
        await new Promise(requestAnimationFrame);
      }),
    );
  }
  return { results, longestTask: Math.max(0, ...longTasks), slowestCancel: Math.max(...cancels) };
}

const page = () => `<!doctype html><link rel="icon" href="data:,"><script type="module">
${measure}
const { keygenWorker } = await (await fetch("/assets.json")).json();
const body = await measure("/assets/" + keygenWorker, ${keys}).catch((error) => ({ error: String(error) }));
await fetch("/results", { method: "POST", body: JSON.stringify(body) });
</script>`;

function report({ error, results, longestTask, slowestCancel }) {
  if (error) {
    console.error(error);
    process.exitCode = 1;
    return;
  }
  const mean = (times) => times.reduce((sum, time) => sum + time, 0) / times.length;
  const quantile = (times, part) => times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * part)];
  console.log(`${cpus()[0].model}, ${cpus().length} cores, headless Chromium; milliseconds a key\n`);
  console.log("| | | keys | mean | median | p95 | this module is |\n|---|---|---|---|---|---|---|");
  for (const { bits, name, times } of results) {
    const own = results.find((result) => result.bits === bits).times;
    const ratio = times === own ? "" : `${(mean(times) / mean(own)).toFixed(1)} × as fast`;
    const figures = [mean(times), quantile(times, 0.5), quantile(times, 0.95)].map((time) => Math.round(time));
    console.log(`| RSA-${bits} | ${name} | ${times.length} | ${figures.join(" | ")} | ${ratio} |`);
  }
  console.log(`\nThe page's longest task: ${longestTask.toFixed(0)} ms (0: none over 50).`);
  console.log(`From a cancel to the page's next frame, the slowest of ten: ${slowestCancel.toFixed(0)} ms.`);
  const sizes = readFileSync(join(target, "site/assets.json"), "utf8");
  const stem = JSON.parse(sizes).keygenWorker;
  const imported = readFileSync(join(target, "site/assets", stem), "utf8").match(/\.\/([\w.]+)\.js/)[1];
  const bytes = [`${imported}.js.br`, `${imported}_bg.wasm.br`].map((file) => statSync(join(target, "site/assets", file)).size);
  console.log(`To load, brotli: ${bytes[0] + bytes[1]} bytes.`);
}

const manifest = join(here, "stock/Cargo.toml");
const build = ["build", "--release", "--quiet", "--locked", "--target", "wasm32-unknown-unknown", "--manifest-path", manifest];
execFileSync("cargo", [...build, "--target-dir", join(target, "keygen-bench")], { stdio: "inherit" });

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
      const file = peers[request.url.replace("/peers/", "")] ?? join(target, "site", request.url);
      response.setHeader("content-type", type).end(readFileSync(file));
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
    rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
  });
});
