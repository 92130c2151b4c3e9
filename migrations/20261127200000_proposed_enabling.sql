-- Nuvera proposes to enable an application that its partner disabled ('enable'). SQLite cannot change a CHECK constraint, so
-- the table is made again.
CREATE TABLE proposed_changes_with_enabling (
    application_id TEXT PRIMARY KEY REFERENCES applications (id),
    proposed_at BIGINT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_by_user_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    ticket TEXT,
    -- Which of the columns below say what is proposed.
    kind TEXT NOT NULL
        CHECK (kind IN ('enable', 'permissions', 'replace_signing_key', 'restore_signing_key', 'retire_signing_key')),
    permissions TEXT,
    -- The new key's id, or that of an earlier one.
    signing_key_id TEXT,
    pem TEXT,
    -- When possession of the new key's private half was proven.
    proven_at BIGINT,
    -- For how long the key before it verifies, in milliseconds; null: it stops at once.
    overlap BIGINT,
    -- The application's version that it was proposed for.
    version BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
INSERT INTO proposed_changes_with_enabling (application_id, proposed_at, proposed_by, proposed_by_user_id, reason, ticket,
    kind, permissions, signing_key_id, pem, proven_at, overlap, version, expires_at)
SELECT application_id, proposed_at, proposed_by, proposed_by_user_id, reason, ticket,
    kind, permissions, signing_key_id, pem, proven_at, overlap, version, expires_at
FROM proposed_changes;
DROP TABLE proposed_changes;
ALTER TABLE proposed_changes_with_enabling RENAME TO proposed_changes;
