-- +goose Up

-- What an interrupted batch left is found at once, however many certificates the same
-- name has. Names first: a batch's entries lie together.
CREATE INDEX certificate_names_resume ON certificate_names (authority, name, resume) WHERE resume <> 0;

-- +goose Down

DROP INDEX certificate_names_resume;
