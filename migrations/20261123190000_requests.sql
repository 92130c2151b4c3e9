-- What became of an application's latest requests: no key, no token, no body, no query string but one that a refusal
-- compares. Bounded: the newest thousand of an application, and none after a week.
CREATE TABLE requests (
    -- UUID v7: in the order in which they arrived.
    id TEXT PRIMARY KEY,
    application_id TEXT NOT NULL REFERENCES applications (id),
    at BIGINT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status BIGINT NOT NULL,
    code TEXT NOT NULL,
    micros BIGINT NOT NULL,
    address TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    signing_key_id TEXT,
    token_age_seconds BIGINT,
    body_bytes BIGINT,
    -- Set where it was refused.
    detail TEXT,
    expected TEXT,
    received TEXT
);

CREATE INDEX requests_of_application ON requests (application_id, id);
CREATE INDEX requests_by_time ON requests (at);

-- How many requests came with each key in each minute (minutes since 1970) of the past week.
CREATE TABLE api_key_traffic (
    api_key_id TEXT NOT NULL REFERENCES api_keys (id),
    minute BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (api_key_id, minute)
);

CREATE TABLE signing_key_traffic (
    signing_key_id TEXT NOT NULL REFERENCES signing_keys (id),
    minute BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (signing_key_id, minute)
);

CREATE INDEX api_key_traffic_by_minute ON api_key_traffic (minute);
CREATE INDEX signing_key_traffic_by_minute ON signing_key_traffic (minute);
