package cli

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"x509ctl/pkg/profile"
	"x509ctl/pkg/trust"
)

// inspectReqView is a certificate signing request as "inspect" prints it.
type inspectReqView struct {
	Subject    string   `json:"subject"`
	Names      []string `json:"names"` // subject alternative names with their kinds
	KeyType    string   `json:"key_type"`
	SPKISHA256 string   `json:"spki_sha256"`
	Signature  string   `json:"signature_algorithm"`
	Verified   bool     `json:"signature_verified"`
	Wishes     []string `json:"wishes"` // extensions asked for, which a CA may ignore
	SHA256     string   `json:"sha256"`
}

func (*inspector) request(v *inspectView, der []byte) error {
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return notUnderstood("request", err)
	}
	sum, spki := sha256.Sum256(r.Raw), sha256.Sum256(r.RawSubjectPublicKeyInfo)
	view := &inspectReqView{
		Subject: nameText(r.RawSubject), KeyType: publicKeyType(r.PublicKey, r.PublicKeyAlgorithm),
		SPKISHA256: hex.EncodeToString(spki[:]), Signature: r.SignatureAlgorithm.String(),
		Wishes: []string{}, SHA256: hex.EncodeToString(sum[:]),
	}
	view.Names, _ = extensionsText(r.Extensions)
	v.Request = view
	v.Summary = fmt.Sprintf("%s, %s", view.Subject, view.KeyType)
	checked := r.CheckSignature()
	view.Verified = checked == nil
	// The rules of the authority say more, and in the words of "cert sign-csr".
	own, err := profile.ParseRequest(der)
	switch {
	case err == nil:
		view.Verified, view.Wishes = true, append(view.Wishes, own.Ignored(profile.Approved{})...)
	case checked != nil:
		v.warn("its signature does not verify, so that it proves nothing: %v", checked)
	}
	if err != nil {
		v.warn("no certificate would be signed for it: %v", err)
		for _, e := range r.Extensions {
			if name := extensionName(e.Id.String()); name != "subjectAltName" {
				view.Wishes = append(view.Wishes, name)
			}
		}
	}
	v.warnSignature(r.SignatureAlgorithm)
	return nil
}

// inspectCRLView is a revocation list as "inspect" prints it.
type inspectCRLView struct {
	Issuer         string    `json:"issuer"`
	Number         string    `json:"number"`     // decimal; empty: none
	MinSerial      string    `json:"min_serial"` // the smallest number accepted, as x509ctl's lists say it; empty: none
	ThisUpdate     timestamp `json:"this_update"`
	NextUpdate     timestamp `json:"next_update"`
	State          string    `json:"state"` // of the dates alone: "current", "expired" or "not yet valid"
	Revoked        int       `json:"revoked"`
	Reasons        []string  `json:"reasons"` // with their numbers, the most frequent first
	Signature      string    `json:"signature_algorithm"`
	AuthorityKeyID string    `json:"authority_key_id"`
	Extensions     []string  `json:"other_extensions"`
	SHA256         string    `json:"sha256"`
}

func (in *inspector) crl(v *inspectView, der []byte) error {
	c, err := x509.ParseRevocationList(der)
	if err != nil {
		return notUnderstood("CRL", err)
	}
	sum := sha256.Sum256(c.Raw)
	view := &inspectCRLView{
		Issuer: nameText(c.RawIssuer), ThisUpdate: at(c.ThisUpdate), NextUpdate: at(c.NextUpdate),
		State: "current", Revoked: len(c.RevokedCertificateEntries), Reasons: reasonWords(c.RevokedCertificateEntries),
		Signature: c.SignatureAlgorithm.String(), AuthorityKeyID: hex.EncodeToString(c.AuthorityKeyId),
		SHA256: hex.EncodeToString(sum[:]),
	}
	_, view.Extensions = extensionsText(c.Extensions)
	view.Extensions = slices.DeleteFunc(view.Extensions, func(s string) bool {
		return s == "cRLNumber" || s == trust.MinSerialExtension.String()
	})
	view.MinSerial = minSerialOf(c)
	if c.Number != nil {
		view.Number = c.Number.String()
	} else {
		v.warn("it has no number: nobody can tell an older one from a newer one")
	}
	v.CRL = view
	v.Summary = fmt.Sprintf("%s, %d revoked", view.Issuer, view.Revoked)
	switch {
	case c.NextUpdate.IsZero():
		v.warn("it doesn't say when the next one comes")
	default:
		view.State = stateAt(in.now, c.ThisUpdate, c.NextUpdate)
	}
	if view.State == "expired" {
		v.warn("the next one was due %s", relative(c.NextUpdate, in.now))
	}
	if in.now.Before(c.ThisUpdate) {
		view.State = "not yet valid"
		v.warn("it is from the future, %s", relative(c.ThisUpdate, in.now))
	}
	v.warnSignature(c.SignatureAlgorithm)
	return nil
}

// minSerialOf returns what is in the extension of x509ctl's lists, or "".
func minSerialOf(c *x509.RevocationList) string {
	for _, e := range c.Extensions {
		var n int64
		if !e.Id.Equal(trust.MinSerialExtension) {
			continue
		}
		if rest, err := asn1.Unmarshal(e.Value, &n); err != nil || len(rest) > 0 {
			return "damaged"
		}
		return strconv.FormatInt(n, 10)
	}
	return ""
}

// reasonWords counts the reasons of RFC 5280, section 5.3.1.
func reasonWords(entries []x509.RevocationListEntry) []string {
	names := map[int]string{
		0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
		5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
	}
	counts := map[string]int{}
	for _, e := range entries {
		name, ok := names[e.ReasonCode]
		if !ok {
			name = fmt.Sprintf("reason %d", e.ReasonCode)
		}
		counts[name]++
	}
	words := []string{}
	for name, n := range counts {
		words = append(words, fmt.Sprintf("%d %s", n, name))
	}
	slices.SortFunc(words, func(a, b string) int {
		na, nameA, _ := strings.Cut(a, " ")
		nb, nameB, _ := strings.Cut(b, " ")
		if counts[nameA] != counts[nameB] {
			return counts[nameB] - counts[nameA]
		}
		return strings.Compare(nameA+na, nameB+nb)
	})
	return words
}
