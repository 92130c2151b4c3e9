-- Where people are signed in. A cookie leads to a row of `sessions`, which names a row here; a session is ended by taking
-- that away, and no request that is under way can bring it back. Sessions from before name none: they end.
DELETE FROM sessions;

CREATE TABLE signed_in (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    -- At whose door: in the other area it is worth nothing.
    side TEXT NOT NULL CHECK (side IN ('partner', 'nuvera')),
    signed_in_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    proven_at BIGINT NOT NULL,
    method TEXT NOT NULL,
    address TEXT,
    -- In our words: what a browser calls itself is kept nowhere.
    browser TEXT NOT NULL,
    -- New browsers that signed in before this instant are known in this session.
    told_until BIGINT NOT NULL
);

CREATE INDEX signed_in_of_user ON signed_in (user_id);

-- Attempts to sign in to an account, for its owner: for 90 days, and not more than the newest of each kind.
CREATE TABLE sign_ins (
    -- UUID v7: in the order in which they came.
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    method TEXT NOT NULL,
    address TEXT,
    browser TEXT NOT NULL,
    session_id TEXT
);

CREATE INDEX sign_ins_of_user ON sign_ins (user_id, id);
CREATE INDEX sign_ins_by_time ON sign_ins (at);

-- The browsers that somebody has signed in with. The hash is of the browser's token and of whom it is known for: two people
-- who share a browser have nothing in common here.
CREATE TABLE known_browsers (
    token_hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    last_seen_at BIGINT NOT NULL
);

CREATE INDEX known_browsers_of_user ON known_browsers (user_id, last_seen_at);

-- Links with which somebody chooses a new password. There is one of a person at the most, and it goes when it is used.
CREATE TABLE password_resets (
    user_id TEXT PRIMARY KEY REFERENCES users (id),
    -- The SHA-256 of what the link holds.
    token_hash TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL
);
