-- +goose NO TRANSACTION
-- +goose Up

-- Not STRICT, which knows no VARCHAR: the next migration adds the column that
-- OpenStack's specification asks for, as it asks for it.
CREATE TABLE key_pairs (
    id          INTEGER NOT NULL PRIMARY KEY,
    user_id     VARCHAR(255) NOT NULL,
    name        VARCHAR(255) NOT NULL,
    fingerprint VARCHAR(255) NOT NULL, -- as Nova shows it
    public_key  TEXT    NOT NULL,      -- as it was given, byte for byte
    requester   TEXT    NOT NULL,
    created     INTEGER NOT NULL,
    UNIQUE (user_id, name)
);

-- +goose Down

DROP TABLE key_pairs;
