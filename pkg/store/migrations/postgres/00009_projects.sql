-- +goose Up

CREATE TABLE projects (
    project TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- the id, folded: unique without regard to case
    id      TEXT   NOT NULL,
    name    TEXT   NOT NULL,                       -- for people; may be empty
    created BIGINT NOT NULL
);

-- +goose Down

DROP TABLE projects;
