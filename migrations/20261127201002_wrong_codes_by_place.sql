-- Wrong codes in a row of a user's app from one place that is theirs: an open session, or a browser that they have signed in
-- with. Those from elsewhere are counted in second_factors, so that a stranger who guesses does not lock the user out.
CREATE TABLE wrong_codes_by_place (
    -- The session's id, or the hash by which the browser is known.
    place TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    wrong_codes BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

CREATE INDEX wrong_codes_by_place_of_user ON wrong_codes_by_place (user_id);

-- When a user was last notified that wrong codes followed their password.
ALTER TABLE users ADD COLUMN wrong_codes_mailed_at BIGINT;
