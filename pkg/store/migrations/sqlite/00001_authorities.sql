-- The transaction around all migrations is the caller's: see migrateSQLite.
-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE authorities (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    active       BLOB    NOT NULL, -- SHA-256 of the active CA certificate, or empty
    reserved     INTEGER NOT NULL, -- the highest serial number ever reserved
    floor        INTEGER NOT NULL,
    last         INTEGER NOT NULL, -- the highest serial number ever issued
    file_machine TEXT    NOT NULL, -- where and what the serial file was when it
    file_inode   INTEGER NOT NULL, -- was last written
    file_birth   INTEGER NOT NULL,
    timeline     INTEGER NOT NULL, -- PostgreSQL's, at that time
    generation   INTEGER NOT NULL,
    created      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
    authority TEXT    NOT NULL,
    node      TEXT    NOT NULL, -- the name, folded
    name      TEXT    NOT NULL,
    aliases   TEXT    NOT NULL, -- one a line
    addresses TEXT    NOT NULL, -- one a line
    created   INTEGER NOT NULL,
    PRIMARY KEY (authority, node)
) STRICT, WITHOUT ROWID;

-- Every name, alias and address belongs to one node.
CREATE TABLE node_names (
    authority TEXT NOT NULL,
    name      TEXT NOT NULL, -- folded
    node      TEXT NOT NULL,
    PRIMARY KEY (authority, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down

DROP TABLE settings;
DROP TABLE node_names;
DROP TABLE nodes;
DROP TABLE authorities;
