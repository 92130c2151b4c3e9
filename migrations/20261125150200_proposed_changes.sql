-- A change that Nuvera proposed and that waits for the partner: one at a time.
CREATE TABLE proposed_changes (
    application_id TEXT PRIMARY KEY REFERENCES applications (id),
    proposed_at BIGINT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_by_user_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    ticket TEXT,
    -- Which of the columns below say what is proposed.
    kind TEXT NOT NULL CHECK (kind IN ('permissions', 'replace_signing_key', 'restore_signing_key', 'retire_signing_key')),
    permissions TEXT,
    -- The new key's id, or that of an earlier one.
    signing_key_id TEXT,
    pem TEXT,
    -- When it was proven that somebody holds the new key's private half.
    proven_at BIGINT,
    -- For how long the key before it verifies, in milliseconds; null: it stops at once.
    overlap BIGINT,
    -- The application's version that it was proposed for.
    version BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
