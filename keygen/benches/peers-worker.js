// Worker for the libraries that the key generator is compared with. Receives a library's name, then a key size for each
// key.

// Both libraries expect a window.
self.window = self;

let generate;

async function load(peer) {
  if (peer === "rsa") {
    let memory;
    const fill = (start, length) => crypto.getRandomValues(new Uint8Array(memory.buffer, start, length));
    const { instance } = await WebAssembly.instantiateStreaming(fetch("/peers/stock.wasm"), { page: { fill } });
    memory = instance.exports.memory;
    return (bits) => instance.exports.generate(bits);
  }
  if (peer === "node-forge") {
    importScripts("/peers/forge.min.js");
    // Otherwise forge would use WebCrypto.
    forge.options.usePureJavaScript = true;
    return (bits) => forge.pki.rsa.generateKeyPair(bits).publicKey.n.bitLength();
  }
  importScripts("/peers/jsrsasign-all-min.js");
  return (bits) => KEYUTIL.generateKeypair("RSA", bits).pubKeyObj.n.bitLength();
}

onmessage = async ({ data }) => {
  try {
    if (typeof data === "string") {
      generate = await load(data);
      postMessage({ kind: "ready" });
    } else if (generate(data) === data) {
      postMessage({ kind: "done" });
    } else {
      throw new Error(`no key of ${data} bits`);
    }
  } catch (error) {
    postMessage({ kind: "failed", message: String(error) });
  }
};
