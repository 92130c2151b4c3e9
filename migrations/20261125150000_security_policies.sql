-- What an organization asks of those who act in it. Who has no row asks for nothing.
CREATE TABLE security_policies (
    organization_id TEXT PRIMARY KEY REFERENCES organizations (id),
    -- 1: asked for.
    second_factor_required BIGINT NOT NULL CHECK (second_factor_required IN (0, 1)),
    nuvera_changes_need_confirmation BIGINT NOT NULL CHECK (nuvera_changes_need_confirmation IN (0, 1)),
    -- Grows with every change; a change is made to the version that was read.
    version BIGINT NOT NULL
);
