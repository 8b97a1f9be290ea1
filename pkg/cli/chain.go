package cli

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"

	"x509ctl/pkg/fault"
	"x509ctl/pkg/manager"
)

// chainOf returns the CA certificates above c, c's issuer first, in DER. For one
// that a predecessor of the CA issued they come from the bundle.
func chainOf(ctx context.Context, svc manager.Service, c manager.Certificate) ([][]byte, error) {
	chain, err := svc.Chain(ctx, c.Authority)
	if err != nil {
		return nil, fmt.Errorf("reading the CA's chain: %w", err)
	}
	if len(chain) > 0 && sha256.Sum256(chain[0]) == c.CA {
		return chain, nil
	}
	v, err := svc.Verifier(ctx, c.Authority)
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	own := v.Bundle.Own()
	i := slices.IndexFunc(own, func(ca *x509.Certificate) bool { return sha256.Sum256(ca.Raw) == c.CA })
	if i < 0 {
		return nil, fault.Errorf(fault.NotFound, "the CA that issued certificate %v is not in the bundle any more", c.Serial)
	}
	chain = [][]byte{own[i].Raw}
	for child, above := own[i], v.Bundle.Path(); ; {
		j := slices.IndexFunc(above, func(p *x509.Certificate) bool { return child.CheckSignatureFrom(p) == nil })
		if j < 0 {
			return chain, nil
		}
		child = above[j]
		chain, above = append(chain, child.Raw), slices.Delete(above, j, j+1)
	}
}

// encodeChain returns certificates in PEM, one after the other.
func encodeChain(chain [][]byte) []byte {
	var text []byte
	for _, der := range chain {
		text = append(text, encodeCert(der)...)
	}
	return text
}
