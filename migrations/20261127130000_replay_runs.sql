-- What each run of the gateway may have accepted, one row a run: see server/src/fence.rs. Times are seconds since 1970. The
-- row `replay_fence` of `settings`, which older versions wrote, is read and deleted at the next start.
CREATE TABLE replay_runs (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('running', 'stopped', 'crashed')),
    leeway_seconds BIGINT NOT NULL,
    -- When the latest request that was counted was accepted; 0 if none was.
    mark BIGINT NOT NULL,
    -- The latest `iat` that the run may have accepted; NULL while its end is not known.
    accepted_until BIGINT,
    CHECK ((state = 'running') = (accepted_until IS NULL))
);
