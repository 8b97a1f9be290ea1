-- +goose NO TRANSACTION
-- +goose Up

ALTER TABLE key_pairs ADD COLUMN type VARCHAR(20) NOT NULL DEFAULT 'ssh';

-- A page of one type is found as fast as one of all.
CREATE INDEX key_pairs_type ON key_pairs (user_id, type, name);

-- +goose Down

DROP INDEX key_pairs_type;
ALTER TABLE key_pairs DROP COLUMN type;
