-- How often all sign-ins of somebody's were ended: a new password, a lost factor, a removal, or as they asked. Whoever was
-- on their way in before that does not get in after it.
ALTER TABLE users ADD COLUMN sign_ins_ended BIGINT NOT NULL DEFAULT 0;
