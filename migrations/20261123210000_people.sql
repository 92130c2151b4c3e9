-- When somebody last signed in, for those who decide on people.
ALTER TABLE users ADD COLUMN signed_in_at BIGINT;

-- People who may join an organization. A row goes when it is accepted or withdrawn.
CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    -- Lower case. Inviting an address again replaces its invitation: the earlier link is then good for nothing.
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    -- The SHA-256 of what the link holds: who reads this table cannot join with it.
    token_hash TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL,
    UNIQUE (organization_id, email)
);
