/** Where the server under test listens: not where `make run` does, so that both can run. */
export const CONSOLE = 'http://127.0.0.1:3100';
export const GATEWAY = 'http://127.0.0.1:24600';

/** The server under test: the released program. NUVERA_SERVER names another one. */
export const SERVER = process.env.NUVERA_SERVER ?? '../target/release/server';

/** The same program with an allocator that libfaketime can live with; `make test` builds it with the Rust tests. */
export const SERVER_FOR_MOVED_CLOCKS = '../target/release/examples/system_allocator';
