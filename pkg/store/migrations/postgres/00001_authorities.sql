-- +goose Up

CREATE TABLE authorities (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL,
    active       BYTEA  NOT NULL, -- SHA-256 of the active CA certificate, or empty
    reserved     BIGINT NOT NULL, -- the highest serial number ever reserved
    floor        BIGINT NOT NULL,
    last         BIGINT NOT NULL, -- the highest serial number ever issued
    file_machine TEXT   NOT NULL, -- where and what the serial file was when it
    file_inode   BIGINT NOT NULL, -- was last written
    file_birth   BIGINT NOT NULL,
    timeline     BIGINT NOT NULL, -- PostgreSQL's, at that time
    generation   BIGINT NOT NULL,
    created      BIGINT NOT NULL
);

CREATE TABLE nodes (
    authority TEXT COLLATE "C" NOT NULL,
    node      TEXT COLLATE "C" NOT NULL, -- the name, folded
    name      TEXT   NOT NULL,
    aliases   TEXT   NOT NULL, -- one a line
    addresses TEXT   NOT NULL, -- one a line
    created   BIGINT NOT NULL,
    PRIMARY KEY (authority, node)
);

-- Every name, alias and address belongs to one node.
CREATE TABLE node_names (
    authority TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL, -- folded
    node      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (authority, name)
);

CREATE TABLE settings (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- +goose Down

DROP TABLE settings;
DROP TABLE node_names;
DROP TABLE nodes;
DROP TABLE authorities;
