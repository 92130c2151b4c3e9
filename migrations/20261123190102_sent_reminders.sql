-- Which owner was reminded of what: a row is written once the message is on its way, and there is never a second.
CREATE TABLE sent_reminders (
    user_id TEXT NOT NULL REFERENCES users (id),
    -- An API key's id, or a signing key's.
    key_id TEXT NOT NULL,
    -- Of its age, or of its end.
    kind TEXT NOT NULL,
    -- The instant that it is about: who moves a deadline is reminded of the new one.
    due_at BIGINT NOT NULL,
    -- How many days before; 0: on the day.
    days BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, key_id, kind, due_at, days)
);
