-- Up to which event of an application somebody of the partner's has seen what Nuvera did to it.
CREATE TABLE seen_support (
    application_id TEXT PRIMARY KEY REFERENCES applications (id),
    sequence BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    seen_by TEXT NOT NULL
);

-- Up to which event owners were told by mail: what happened before there was such mail is not news.
INSERT INTO settings (name, value) SELECT 'support_told', CAST(last AS TEXT) FROM audit_sequence;
