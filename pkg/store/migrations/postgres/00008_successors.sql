-- +goose Up

ALTER TABLE authorities ADD COLUMN next BYTEA NOT NULL DEFAULT ''; -- SHA-256 of the CA certificate that is prepared, or empty
ALTER TABLE authorities ADD COLUMN old TEXT NOT NULL DEFAULT ''; -- those of replaced CAs that are trusted still, in hexadecimal, one a line

-- +goose Down

ALTER TABLE authorities DROP COLUMN old;
ALTER TABLE authorities DROP COLUMN next;
