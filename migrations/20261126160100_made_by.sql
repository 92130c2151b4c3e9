-- Who made a link. It is taken back when they are removed, or decide on people no more; NULL: the server's command line, or
-- a link from before.
ALTER TABLE invitations ADD COLUMN made_by TEXT REFERENCES users (id);
ALTER TABLE password_resets ADD COLUMN made_by TEXT REFERENCES users (id);
