-- Signing keys that Nuvera stopped everywhere because their private half leaked. A released one stays for the record.
CREATE TABLE blocked_fingerprints (
    fingerprint TEXT NOT NULL,
    blocked_at BIGINT NOT NULL,
    blocked_by TEXT NOT NULL,
    blocked_by_user_id TEXT NOT NULL,
    -- Null only where an emergency stop was recorded without a reason.
    reason TEXT,
    ticket TEXT,
    released_at BIGINT,
    released_by TEXT,
    release_reason TEXT,
    release_ticket TEXT
);

-- At most one block of a key is in force.
CREATE UNIQUE INDEX blocked_fingerprints_in_force ON blocked_fingerprints (fingerprint) WHERE released_at IS NULL;
