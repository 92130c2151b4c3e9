-- Since when a user has had their role; NULL: since the account was created.
ALTER TABLE users ADD COLUMN role_since BIGINT;

-- The removal or demotion of a user who manages members (the target), which takes effect later: one at a time.
CREATE TABLE owner_changes (
    user_id TEXT PRIMARY KEY REFERENCES users (id),
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    -- The role that the target is given; NULL: the target is removed.
    role TEXT,
    requested_by TEXT NOT NULL REFERENCES users (id),
    requested_at BIGINT NOT NULL,
    applies_at BIGINT NOT NULL
);
