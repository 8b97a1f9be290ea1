-- +goose Up

CREATE TABLE key_pairs (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     VARCHAR(255) COLLATE "C" NOT NULL,
    name        VARCHAR(255) COLLATE "C" NOT NULL,
    fingerprint VARCHAR(255) NOT NULL, -- as Nova shows it
    public_key  TEXT   NOT NULL,       -- as it was given, byte for byte
    requester   TEXT   NOT NULL,
    created     BIGINT NOT NULL,
    UNIQUE (user_id, name)
);

-- +goose Down

DROP TABLE key_pairs;
