-- When recovery codes were made; NULL: by an older version. A change of password offers to replace recent ones, which an
-- attacker may have made.
ALTER TABLE recovery_codes ADD COLUMN made_at BIGINT;
