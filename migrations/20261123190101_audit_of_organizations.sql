-- An event may be about an organization as a whole: then it has no application. SQLite cannot take a NOT NULL away, so on
-- both engines the table is made anew.
CREATE TABLE audit_events_anew (
    sequence BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    application_id TEXT REFERENCES applications (id),
    actor_user_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before_words TEXT,
    after_words TEXT,
    reason TEXT
);

INSERT INTO audit_events_anew (sequence, at, organization_id, application_id, actor_user_id, actor_name, actor_kind,
    address, action, target, before_words, after_words, reason)
SELECT sequence, at, organization_id, application_id, actor_user_id, actor_name, actor_kind, address, action, target,
    before_words, after_words, reason
FROM audit_events;

DROP TABLE audit_events;
ALTER TABLE audit_events_anew RENAME TO audit_events;

CREATE INDEX audit_events_of_application ON audit_events (application_id, sequence);
CREATE INDEX audit_events_of_organization ON audit_events (organization_id, sequence);
CREATE INDEX audit_events_of_organization_by_action ON audit_events (organization_id, action, sequence);
CREATE INDEX audit_events_of_organization_by_actor ON audit_events (organization_id, actor_user_id, sequence);
CREATE INDEX audit_events_of_organization_by_kind ON audit_events (organization_id, actor_kind, sequence);
CREATE INDEX audit_events_by_action ON audit_events (action, sequence);
CREATE INDEX audit_events_by_actor ON audit_events (actor_user_id, sequence);
CREATE INDEX audit_events_by_kind ON audit_events (actor_kind, sequence);
CREATE INDEX audit_events_by_time ON audit_events (at, sequence);
