/** Where the server under test listens: not where `make run` does, so that both can run. */
export const CONSOLE = 'http://127.0.0.1:3100';
export const GATEWAY = 'http://127.0.0.1:45100';

/** The server under test: the one that the Rust tests were built with. NUVERA_SERVER names another one. */
export const SERVER = process.env.NUVERA_SERVER ?? '../target/debug/server';

/** The released program, which `lifecycle.plain.spec.ts` runs as an operator would. */
export const RELEASED_SERVER = process.env.NUVERA_SERVER ?? '../target/release/server';

/** The same program with an allocator that libfaketime can live with; `cargo test` builds it. */
export const SERVER_FOR_MOVED_CLOCKS = '../target/debug/examples/system_allocator';
