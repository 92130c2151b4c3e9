-- The support case that whoever acts for Nuvera names beside their reason. Null: somebody of the partner's, an emergency, or
-- from before there were any.
ALTER TABLE audit_events ADD COLUMN ticket TEXT;
ALTER TABLE applications ADD COLUMN disabled_ticket TEXT;
ALTER TABLE prepared_replacements ADD COLUMN ticket TEXT;
