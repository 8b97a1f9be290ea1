-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE authorities ADD COLUMN crl_due INTEGER NOT NULL DEFAULT 0; -- changes that no published revocation list has yet

-- The keys of CAs get no certificate, either.
INSERT INTO blocked_keys (authority, spki_hash, serial, since)
SELECT authority, spki_hash, 0, min(created)
  FROM certificates
 WHERE kind = 'ca'
 GROUP BY authority, spki_hash
    ON CONFLICT (authority, spki_hash) DO NOTHING;

-- +goose Down

DELETE FROM blocked_keys WHERE serial = 0;
ALTER TABLE authorities DROP COLUMN crl_due;
