-- A rotation that shall finish by itself: somebody asked that the old API keys be revoked once nothing has used them for
-- long enough, and for `hold` milliseconds more.
CREATE TABLE auto_finishes (
    application_id TEXT PRIMARY KEY REFERENCES applications (id),
    set_at BIGINT NOT NULL,
    set_by TEXT NOT NULL,
    -- On whose behalf it is done: what they may no longer do is not done.
    set_by_user_id TEXT NOT NULL REFERENCES users (id),
    hold BIGINT NOT NULL
);
