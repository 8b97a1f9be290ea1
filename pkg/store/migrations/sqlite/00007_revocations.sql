-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE authorities ADD COLUMN crl_number INTEGER NOT NULL DEFAULT 0; -- of the latest revocation list

-- Certificates that are revoked one by one.
CREATE TABLE revocations (
    authority TEXT    NOT NULL,
    serial    INTEGER NOT NULL,
    reason    TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    not_after INTEGER NOT NULL, -- the certificate's
    PRIMARY KEY (authority, serial)
) STRICT, WITHOUT ROWID;

-- Keys that were compromised: they get no certificate any more.
CREATE TABLE blocked_keys (
    authority TEXT    NOT NULL,
    spki_hash BLOB    NOT NULL,
    serial    INTEGER NOT NULL, -- of the certificate that was revoked
    since     INTEGER NOT NULL,
    PRIMARY KEY (authority, spki_hash)
) STRICT, WITHOUT ROWID;

-- Since when certificates below a floor are revoked.
CREATE TABLE floors (
    authority TEXT    NOT NULL,
    floor     INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (authority, floor)
) STRICT, WITHOUT ROWID;

-- +goose Down

DROP TABLE floors;
DROP TABLE blocked_keys;
DROP TABLE revocations;
ALTER TABLE authorities DROP COLUMN crl_number;
