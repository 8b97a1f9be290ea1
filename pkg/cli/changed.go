package cli

import (
	"errors"

	"x509ctl/pkg/manager"
)

// isSpreadError reports whether err means that the change is made, and only others
// could not be told.
func isSpreadError(err error) bool {
	var e *manager.SpreadError
	return errors.As(err, &e)
}

// afterChange is the error of a command that made a change and printed it: printed is
// that of printing.
func afterChange(err, printed error) error {
	if err != nil {
		return err
	}
	return printed
}
