-- +goose NO TRANSACTION
-- +goose Up

CREATE TABLE certificates (
    authority    TEXT    NOT NULL,
    serial       INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    ca           BLOB    NOT NULL, -- SHA-256 of the issuing CA certificate
    common_name  TEXT    NOT NULL,
    holder       TEXT    NOT NULL,
    names        TEXT    NOT NULL, -- one a line
    not_before   INTEGER NOT NULL,
    not_after    INTEGER NOT NULL,
    spki_hash    BLOB    NOT NULL,
    request_hash BLOB    NOT NULL, -- empty when there was no request
    resume_key   BLOB,
    fingerprint  BLOB    NOT NULL, -- SHA-256 of der
    requester    TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    exceptions   TEXT    NOT NULL, -- one a line
    created      INTEGER NOT NULL,
    der          BLOB    NOT NULL,
    PRIMARY KEY (authority, serial)
) STRICT;

-- Counts and the search for live certificates read this index alone.
CREATE INDEX certificates_expiry ON certificates (authority, not_after, serial, kind);
CREATE INDEX certificates_ca ON certificates (authority, fingerprint) WHERE kind = 'ca';

-- Every name that a certificate is found by. resume_key itself has no index: it would
-- be one of random values, which takes as long to keep as all else together.
CREATE TABLE certificate_names (
    authority TEXT    NOT NULL,
    name      TEXT    NOT NULL, -- folded
    serial    INTEGER NOT NULL,
    role      INTEGER NOT NULL, -- 1: in the certificate; 2: its holder; 3: both
    resume    INTEGER NOT NULL, -- of the common name: the first 32 bits of resume_key, or 0
    PRIMARY KEY (authority, name, serial)
) STRICT, WITHOUT ROWID;

-- +goose Down

DROP TABLE certificate_names;
DROP TABLE certificates;
