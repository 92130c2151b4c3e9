-- Resets of a Nuvera member's password or second factor that have been requested and have not taken effect. The server
-- carries each out when it is due, unless it was cancelled before that; a second admin can make it due at once.
CREATE TABLE pending_resets (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    -- The member whose password or second factor it is.
    user_id TEXT NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL CHECK (kind IN ('password', 'second_factor')),
    -- The admin who requested it. It is cancelled when they can no longer manage members.
    requested_by TEXT NOT NULL REFERENCES users (id),
    requested_at BIGINT NOT NULL,
    effective_at BIGINT NOT NULL,
    UNIQUE (user_id, kind)
);

CREATE INDEX pending_resets_by_time ON pending_resets (effective_at);
