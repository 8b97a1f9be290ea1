package store

import (
	"errors"

	"x509ctl/pkg/fault"
)

// Setting returns the value kept under name.
// Errors: [fault.NotFound].
func (tx *Tx) Setting(name string) (value string, err error) {
	err = tx.row(`SELECT value FROM settings WHERE name = ?`, []any{name}, &value)
	if errors.Is(err, errNoRow) {
		return "", fault.Errorf(fault.NotFound, "no setting %q", name)
	}
	return value, err
}

// PutSetting keeps value under name, of at most [MaxKey] bytes.
func (tx *Tx) PutSetting(name, value string) error {
	if err := checkKey("setting name", name); err != nil {
		return tx.fail(err)
	}
	_, err := tx.exec(`INSERT INTO settings (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// DeleteSetting forgets name, if it is there.
func (tx *Tx) DeleteSetting(name string) error {
	_, err := tx.exec(`DELETE FROM settings WHERE name = ?`, name)
	return err
}
