-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE projects (
    project TEXT    NOT NULL PRIMARY KEY, -- the id, folded: unique without regard to case
    id      TEXT    NOT NULL,
    name    TEXT    NOT NULL,             -- for people; may be empty
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down

DROP TABLE projects;
