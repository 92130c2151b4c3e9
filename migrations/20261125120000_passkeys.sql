-- Passkeys: public keys, with what is known of each. Nothing in this table is a secret.
CREATE TABLE passkeys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    -- The id that the passkey itself goes by, in base64url: whose it is follows from it, so nobody else can have it too.
    credential_id TEXT NOT NULL UNIQUE,
    -- The public key and how often it was used, in JSON, as the library that verifies it writes it.
    credential TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    used_at BIGINT,
    -- Set once it has counted backwards: a copy may be about, so it is refused from then on.
    suspected_at BIGINT,
    UNIQUE (user_id, name)
);

-- What browsers were asked to do with a passkey. A row goes when it is answered, so that no answer counts twice, whatever
-- else happens at the same moment and on whichever server; and after five minutes.
CREATE TABLE passkey_challenges (
    -- A random text, which stands in the form that brings the answer.
    id TEXT PRIMARY KEY,
    -- register, prove or sign_in: an answer to one is none to another.
    purpose TEXT NOT NULL,
    -- Who was asked; nobody in particular, where somebody signs in with a passkey alone.
    user_id TEXT REFERENCES users (id),
    -- What the answer is verified against, in JSON, as the library writes it.
    state TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
