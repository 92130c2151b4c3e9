-- What is over is deleted with every new one, which anybody can have made.
CREATE INDEX passkey_challenges_by_end ON passkey_challenges (expires_at);
