-- +goose Up

-- Which files of the directory are known to say what the rows say: their inodes, times
-- of birth in nanoseconds, and sizes; 0: none.
ALTER TABLE authorities ADD COLUMN blocked_inode BIGINT NOT NULL DEFAULT 0;
ALTER TABLE authorities ADD COLUMN blocked_birth BIGINT NOT NULL DEFAULT 0;
ALTER TABLE authorities ADD COLUMN blocked_size BIGINT NOT NULL DEFAULT 0;
ALTER TABLE authorities ADD COLUMN crl_inode BIGINT NOT NULL DEFAULT 0;
ALTER TABLE authorities ADD COLUMN crl_birth BIGINT NOT NULL DEFAULT 0;
ALTER TABLE authorities ADD COLUMN crl_size BIGINT NOT NULL DEFAULT 0;

-- +goose Down

ALTER TABLE authorities DROP COLUMN crl_size;
ALTER TABLE authorities DROP COLUMN crl_birth;
ALTER TABLE authorities DROP COLUMN crl_inode;
ALTER TABLE authorities DROP COLUMN blocked_size;
ALTER TABLE authorities DROP COLUMN blocked_birth;
ALTER TABLE authorities DROP COLUMN blocked_inode;
