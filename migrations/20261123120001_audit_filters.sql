-- A history of a million events is filtered without reading it: by what, by whom, by which side, and by when.
CREATE INDEX audit_events_of_organization_by_action ON audit_events (organization_id, action, sequence);
CREATE INDEX audit_events_of_organization_by_actor ON audit_events (organization_id, actor_user_id, sequence);
CREATE INDEX audit_events_of_organization_by_kind ON audit_events (organization_id, actor_kind, sequence);
CREATE INDEX audit_events_by_action ON audit_events (action, sequence);
CREATE INDEX audit_events_by_actor ON audit_events (actor_user_id, sequence);
CREATE INDEX audit_events_by_kind ON audit_events (actor_kind, sequence);
CREATE INDEX audit_events_by_time ON audit_events (at, sequence);
