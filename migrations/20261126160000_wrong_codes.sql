-- How many codes of somebody's app were wrong since the last one that was right: guesses are not endless, however slow.
ALTER TABLE second_factors ADD COLUMN wrong_codes BIGINT NOT NULL DEFAULT 0;
