-- Second factors: an authenticator app for each person at the most. Nobody reads a secret in this table: it is encrypted
-- with a key that is made of the pepper, and bound to its person, so that it is good for nothing in another row.
CREATE TABLE second_factors (
    user_id TEXT PRIMARY KEY REFERENCES users (id),
    sealed_secret TEXT NOT NULL,
    set_up_at BIGINT NOT NULL,
    -- The step (of 30 seconds, since 1970) of the last code that was accepted: that code and those before it are used up.
    last_step BIGINT NOT NULL
);

-- A row goes when its code is used.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id),
    -- HMAC-SHA-256(pepper, code), in base64: nobody can try codes against this table without the pepper.
    hash TEXT NOT NULL,
    PRIMARY KEY (user_id, hash)
);
