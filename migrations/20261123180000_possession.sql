-- When it was shown that somebody holds the private half. Keys from before this are as unproven as a pasted one.
ALTER TABLE signing_keys ADD COLUMN proven_at BIGINT;
