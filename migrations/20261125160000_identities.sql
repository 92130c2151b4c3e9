-- Whom an identity provider knows as whom: who signs in by single sign-on is found by this, never by an e-mail address,
-- which a provider may give to somebody else. A person who came this way has an empty password_hash in users.
CREATE TABLE identities (
    -- The provider's issuer URL and its name for the person (OpenID Connect Core 1.0, 5.7): together they are never given
    -- to anybody else.
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX identities_of_user ON identities (user_id);
