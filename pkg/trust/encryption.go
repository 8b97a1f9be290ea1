package trust

import "crypto/x509"

// VerifyEncryption is [Check.Verify] for the certificate that secrets for a project are
// encrypted to. It may live as long as its CA, and neither the purposes and names of the
// question are asked for nor its pins. The key is of a kind that can decrypt, RSA.
func (c Check) VerifyEncryption(leaf *x509.Certificate) error {
	if err := c.complete(); err != nil {
		return err
	}
	signers, err := c.Bundle.signers(leaf)
	if err != nil {
		return err
	}
	for _, check := range []func(*x509.Certificate) error{c.checkShape, c.checkDates} {
		if err := check(leaf); err != nil {
			return err
		}
	}
	for _, a := range signers {
		if err = c.checkChain(a, 0); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, check := range []func(*x509.Certificate) error{checkKey, c.checkFloor, c.checkRevoked} {
		if err := check(leaf); err != nil {
			return err
		}
	}
	if leaf.PublicKeyAlgorithm != x509.RSA || leaf.KeyUsage&x509.KeyUsageKeyEncipherment == 0 {
		return refuse(WrongPurpose, "nothing can be encrypted to %s: its key is not RSA's, or not for that", label(leaf))
	}
	return nil
}
