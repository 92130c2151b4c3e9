/** Addresses of the server under test. They differ from those of `make run`, so that both can run. */
export const CONSOLE = 'http://127.0.0.1:3100';
export const GATEWAY = 'http://127.0.0.1:24600';

/** Server under test: the release build. NUVERA_SERVER selects another one. */
export const SERVER = process.env.NUVERA_SERVER ?? '../target/release/server';

/** The same program with an allocator that works under libfaketime. `make test` builds it with the Rust tests. */
export const SERVER_FOR_MOVED_CLOCKS = '../target/release/examples/system_allocator';
