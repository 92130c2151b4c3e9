/** Where the server under test listens: not where `make run` does, so that both can run. */
export const CONSOLE = 'http://127.0.0.1:3100';
export const GATEWAY = 'http://127.0.0.1:45100';

/** The server under test; NUVERA_SERVER names another one, such as a debug build's. */
export const SERVER = process.env.NUVERA_SERVER ?? '../target/release/server';
