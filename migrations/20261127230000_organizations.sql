-- What Nuvera's admins keep about a partner organization, and its suspension. Empty text: none.
ALTER TABLE organizations ADD COLUMN contact TEXT NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN support_note TEXT NOT NULL DEFAULT '';
-- Number of changes so far.
ALTER TABLE organizations ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
-- Set while the organization is suspended.
ALTER TABLE organizations ADD COLUMN suspended_at BIGINT;
ALTER TABLE organizations ADD COLUMN suspended_by TEXT;
ALTER TABLE organizations ADD COLUMN suspension_reason TEXT;
ALTER TABLE organizations ADD COLUMN suspension_ticket TEXT;
