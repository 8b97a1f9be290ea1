package store

// Setting returns the value kept under key.
// Errors: [fault.NotFound].
func (tx *Tx) Setting(key string) (string, error) { return "", errTODO }

// PutSetting keeps value under key.
func (tx *Tx) PutSetting(key, value string) error { return errTODO }

// DeleteSetting forgets key, if it is there.
func (tx *Tx) DeleteSetting(key string) error { return errTODO }
