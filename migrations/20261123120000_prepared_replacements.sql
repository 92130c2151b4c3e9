-- A replacement key that Nuvera prepared and the partner has not claimed yet. There is no key before the claim.
CREATE TABLE prepared_replacements (
    application_id TEXT PRIMARY KEY REFERENCES applications (id),
    prepared_at BIGINT NOT NULL,
    prepared_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- The grace window of the keys before it, in milliseconds; null: they stop at once.
    grace BIGINT,
    expires_at BIGINT NOT NULL
);
