-- +goose Up

ALTER TABLE authorities ADD COLUMN crl_number BIGINT NOT NULL DEFAULT 0; -- of the latest revocation list

-- Certificates that are revoked one by one.
CREATE TABLE revocations (
    authority TEXT COLLATE "C" NOT NULL,
    serial    BIGINT NOT NULL,
    reason    TEXT   NOT NULL,
    since     BIGINT NOT NULL,
    not_after BIGINT NOT NULL, -- the certificate's
    PRIMARY KEY (authority, serial)
);

-- Keys that were compromised: they get no certificate any more.
CREATE TABLE blocked_keys (
    authority TEXT COLLATE "C" NOT NULL,
    spki_hash BYTEA  NOT NULL,
    serial    BIGINT NOT NULL, -- of the certificate that was revoked
    since     BIGINT NOT NULL,
    PRIMARY KEY (authority, spki_hash)
);

-- Since when certificates below a floor are revoked.
CREATE TABLE floors (
    authority TEXT COLLATE "C" NOT NULL,
    floor     BIGINT NOT NULL,
    since     BIGINT NOT NULL,
    PRIMARY KEY (authority, floor)
);

-- +goose Down

DROP TABLE floors;
DROP TABLE blocked_keys;
DROP TABLE revocations;
ALTER TABLE authorities DROP COLUMN crl_number;
