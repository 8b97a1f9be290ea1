-- +goose Up

CREATE TABLE certificates (
    authority    TEXT COLLATE "C" NOT NULL,
    serial       BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    ca           BYTEA  NOT NULL, -- SHA-256 of the issuing CA certificate
    common_name  TEXT   NOT NULL,
    holder       TEXT   NOT NULL,
    names        TEXT   NOT NULL, -- one a line
    not_before   BIGINT NOT NULL,
    not_after    BIGINT NOT NULL,
    spki_hash    BYTEA  NOT NULL,
    request_hash BYTEA  NOT NULL, -- empty when there was no request
    resume_key   BYTEA,
    fingerprint  BYTEA  NOT NULL, -- SHA-256 of der
    requester    TEXT   NOT NULL,
    origin       TEXT   NOT NULL,
    exceptions   TEXT   NOT NULL, -- one a line
    created      BIGINT NOT NULL,
    der          BYTEA  NOT NULL,
    PRIMARY KEY (authority, serial)
);

-- Counts and the search for live certificates read this index alone.
CREATE INDEX certificates_expiry ON certificates (authority, not_after, serial, kind);
CREATE INDEX certificates_ca ON certificates (authority, fingerprint) WHERE kind = 'ca';

-- Every name that a certificate is found by. resume_key itself has no index: it would
-- be one of random values, which takes as long to keep as all else together.
CREATE TABLE certificate_names (
    authority TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL, -- folded
    serial    BIGINT NOT NULL,
    role      BIGINT NOT NULL, -- 1: in the certificate; 2: its holder; 3: both
    resume    BIGINT NOT NULL, -- of the common name: the first 32 bits of resume_key, or 0
    PRIMARY KEY (authority, name, serial)
);

-- +goose Down

DROP TABLE certificate_names;
DROP TABLE certificates;
