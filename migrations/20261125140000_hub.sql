-- Applications are found by their whole name across organizations, and by a part of it without reading the table.
CREATE INDEX applications_by_name ON applications (name_key, id);

-- What came of requests in the last hour is counted for every organization at once, from the index alone.
DROP INDEX requests_by_time;
CREATE INDEX requests_by_time ON requests (at, application_id, code);
