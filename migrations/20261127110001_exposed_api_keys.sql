-- When an API key was reported as exposed, by whom and why: it can be neither kept nor given a later deadline.
ALTER TABLE api_keys ADD COLUMN exposed_at BIGINT;
ALTER TABLE api_keys ADD COLUMN exposed_by TEXT;
ALTER TABLE api_keys ADD COLUMN exposed_reason TEXT;
ALTER TABLE api_keys ADD COLUMN exposed_ticket TEXT;
