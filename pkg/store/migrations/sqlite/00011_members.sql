-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE projects ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0; -- since when; 0: it is not

CREATE TABLE members (
    authority TEXT    NOT NULL, -- the project's
    member    TEXT    NOT NULL, -- the user's id, folded: unique without regard to case
    user_id   TEXT    NOT NULL,
    role      TEXT    NOT NULL, -- "member", "admin"
    added     INTEGER NOT NULL,
    PRIMARY KEY (authority, member)
) STRICT, WITHOUT ROWID;

CREATE INDEX members_member ON members (member);

-- Names for certificates of servers: each belongs to one project.
CREATE TABLE project_names (
    name      TEXT    NOT NULL PRIMARY KEY, -- folded, or the canonical text of an address
    authority TEXT    NOT NULL,             -- the project's
    spelling  TEXT    NOT NULL,
    added     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX project_names_authority ON project_names (authority, name);

-- +goose Down

DROP TABLE project_names;
DROP TABLE members;
ALTER TABLE projects DROP COLUMN deleted;
