-- How old an organization lets its keys become, in days; null: the rule is switched off. Who has no row has the rules that
-- everybody begins with.
CREATE TABLE rotation_policies (
    organization_id TEXT PRIMARY KEY REFERENCES organizations (id),
    api_key_age BIGINT,
    signing_key_age BIGINT,
    idle BIGINT,
    -- Grows with every change; a change is made to the version that was read.
    version BIGINT NOT NULL
);
