-- One text for SQLite and PostgreSQL: TEXT and BIGINT columns only. sqlx's Any driver cannot decode SQLite's BOOLEAN,
-- and a nullable time says more than a flag anyway. Ids are UUIDs as text, times milliseconds since 1970 in UTC.

-- What the server must remember of itself: which pepper the hashes were made with, how the gateway was last stopped.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('partner', 'customer', 'nuvera')),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    -- Lower case, so that one person has one account.
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);

CREATE TABLE sessions (
    -- The SHA-256 of the cookie's value: who reads this table cannot sign in with it.
    id_hash TEXT PRIMARY KEY,
    data TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Failed sign-ins per account and per address, to slow guessing down.
CREATE TABLE sign_in_failures (
    subject TEXT PRIMARY KEY,
    failures BIGINT NOT NULL,
    window_started_at BIGINT NOT NULL
);

CREATE TABLE applications (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    -- What the name is compared by: lower case, so that two names that look alike cannot stand side by side.
    name_key TEXT NOT NULL,
    -- Codes separated by a space.
    permissions TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    -- Sent along with the form: the same form sent twice creates one application.
    creation_token TEXT NOT NULL,
    disabled_at BIGINT,
    disabled_by TEXT,
    disabled_by_kind TEXT,
    disabled_reason TEXT,
    -- Grows with every change; a change is made to the version that was read.
    version BIGINT NOT NULL,
    UNIQUE (organization_id, name_key),
    UNIQUE (organization_id, creation_token)
);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    application_id TEXT NOT NULL REFERENCES applications (id),
    -- Counts an application's keys: their order.
    ordinal BIGINT NOT NULL,
    prefix TEXT NOT NULL UNIQUE,
    last_four TEXT NOT NULL,
    -- HMAC-SHA-256(pepper, key), lower-case hex. The key itself is nowhere.
    hash TEXT NOT NULL UNIQUE,
    pepper_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    stored_at BIGINT,
    -- Set together when the key is replaced; expiry is judged at use, so nothing flips a flag.
    replaced_at BIGINT,
    expires_at BIGINT,
    revoked_at BIGINT,
    CHECK ((replaced_at IS NULL) = (expires_at IS NULL)),
    UNIQUE (application_id, ordinal)
);

CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY,
    application_id TEXT NOT NULL REFERENCES applications (id),
    ordinal BIGINT NOT NULL,
    pem TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    retires_at BIGINT,
    retired_at BIGINT,
    UNIQUE (application_id, fingerprint),
    UNIQUE (application_id, ordinal)
);

-- A public key that another organization has registered is refused.
CREATE INDEX signing_keys_by_fingerprint ON signing_keys (fingerprint);

-- What the gateway saw of each key, written in batches about once a second.
CREATE TABLE api_key_usage (
    api_key_id TEXT PRIMARY KEY REFERENCES api_keys (id),
    first_used_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    requests BIGINT NOT NULL
);

CREATE TABLE signing_key_usage (
    signing_key_id TEXT PRIMARY KEY REFERENCES signing_keys (id),
    first_used_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    requests BIGINT NOT NULL
);

-- Numbers the audit history inside the transaction that writes it: no gaps, and no two orders on two engines.
CREATE TABLE audit_sequence (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    last BIGINT NOT NULL
);

INSERT INTO audit_sequence (only_row, last) VALUES (1, 0);

CREATE TABLE audit_events (
    sequence BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    application_id TEXT NOT NULL REFERENCES applications (id),
    actor_user_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before_words TEXT,
    after_words TEXT,
    reason TEXT
);

CREATE INDEX audit_events_of_application ON audit_events (application_id, sequence);
CREATE INDEX audit_events_of_organization ON audit_events (organization_id, sequence);
