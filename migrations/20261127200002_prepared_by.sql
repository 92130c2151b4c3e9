-- The Nuvera admin who prepared a replacement key: it is withdrawn when they are removed, lose the role, or have their
-- credentials reset. NULL: prepared before this was recorded.
ALTER TABLE prepared_replacements ADD COLUMN prepared_by_user_id TEXT;
