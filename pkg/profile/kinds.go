package profile

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"time"
)

// A Profile is a kind of certificate that is no CA's: whose it is, what it is good for
// and how long it lives. The zero Profile is none, and nothing is signed by it. The
// inventory keeps these words.
type Profile string

// Every Profile. A cluster's CA signs for nodes alone, a project's CA everything else.
const (
	Node    Profile = "node"    // a machine, or the cluster: server and client
	Member  Profile = "member"  // a user of a project: client
	Server  Profile = "server"  // a name that is registered with a project: server
	Decrypt Profile = "decrypt" // the key that secrets for a project are encrypted to: nothing else
)

// Profiles returns every Profile.
func Profiles() []Profile { return []Profile{Node, Member, Server, Decrypt} }

// traits are what tells the certificates of one profile from those of another.
type traits struct {
	index       int // in shapes of certificates
	longest     time.Duration
	usual       time.Duration
	usage       func(crypto.PublicKey) string // value of the key usage
	purposes    string                        // value of the extended key usage
	purposesAre criticality
	hasNames    bool // subject alternative names
	ofProject   bool // an organization, and a project's CA as issuer
	rules       []rule
}

var (
	nodeTraits = traits{
		longest: MaxLifetime, usual: DefaultLifetime,
		usage: leafKeyUsage, purposes: nodePurposes, hasNames: true, rules: nodeRules,
	}
	memberTraits = traits{
		index: 1, longest: MaxMemberLifetime, usual: DefaultMemberLifetime,
		usage: leafKeyUsage, purposes: memberPurposes, ofProject: true, rules: memberRules,
	}
	serverTraits = traits{
		index: 2, longest: MaxMemberLifetime, usual: DefaultMemberLifetime,
		usage: leafKeyUsage, purposes: serverPurposes, hasNames: true, ofProject: true, rules: serverRules,
	}
	decryptTraits = traits{
		index: 3, longest: MaxCALifetime, usual: MaxCALifetime,
		usage:    func(crypto.PublicKey) string { return decryptKeyUsage },
		purposes: decryptPurposes, purposesAre: critical, ofProject: true, rules: decryptRules,
	}
)

// traits returns nil for what is no Profile.
func (p Profile) traits() *traits {
	switch p {
	case Node:
		return &nodeTraits
	case Member:
		return &memberTraits
	case Server:
		return &serverTraits
	case Decrypt:
		return &decryptTraits
	}
	return nil
}

// MaxLifetime returns the longest lifetime of a certificate of p, itself allowed; 0 for
// no Profile.
func (p Profile) MaxLifetime() time.Duration {
	if t := p.traits(); t != nil {
		return t.longest
	}
	return 0
}

// DefaultLifetime returns the lifetime of a certificate of p when nobody asks for
// another; 0 for no Profile. A decrypt certificate's is as long as its CA's, which is
// shorter.
func (p Profile) DefaultLifetime() time.Duration {
	if t := p.traits(); t != nil {
		return t.usual
	}
	return 0
}

// OfProject reports whether projects' CAs sign certificates of p, and not a cluster's.
func (p Profile) OfProject() bool {
	t := p.traits()
	return t != nil && t.ofProject
}

// Like returns the profile that a certificate, which is no CA's, has to be judged by: one
// with an organization is a project's, as its purposes say; any other is a node's.
func Like(c *x509.Certificate) Profile {
	if len(c.Subject.Organization) == 0 {
		return Node
	}
	for _, e := range c.Extensions {
		switch {
		case !e.Id.Equal(extendedKeyUsageID):
		case bytes.Contains(e.Value, []byte(oidDecrypt)):
			return Decrypt
		case string(e.Value) == serverPurposes:
			return Server
		}
	}
	return Member
}

// extendedKeyUsageID is oidExtendedKeyUsage as crypto/x509 has it.
var extendedKeyUsageID = []int{2, 5, 29, 37}

// Values of extensions of certificates that are no CA's.
const (
	leafConstraints = "\x30\x00" // CA:FALSE is the default, so left out
	nodePurposes    = "\x30\x14\x06\x08" + string(oidServerAuth) + "\x06\x08" + string(oidClientAuth)
	memberPurposes  = "\x30\x0a\x06\x08" + string(oidClientAuth)
	serverPurposes  = "\x30\x0a\x06\x08" + string(oidServerAuth)
	decryptPurposes = "\x30\x09\x06\x07" + string(oidDecrypt)
	decryptKeyUsage = "\x03\x02\x05\x20" // keyEncipherment
)

// leafKeyUsage returns the key usage of whoever proves in TLS who he is, with such a
// key: digitalSignature, and for RSA keyEncipherment.
func leafKeyUsage(key crypto.PublicKey) string {
	if isRSA(key) {
		return "\x03\x02\x05\xa0"
	}
	return "\x03\x02\x07\x80"
}

// oidDecrypt is the purpose of a project's decrypt certificate, 2.25.2094153072.2, beside
// the extension for the minimum serial number. Nobody else knows it, and it is critical,
// so that no program accepts the certificate for TLS.
const oidDecrypt oid = "\x69\x87\xe6\xc8\xfa\x70\x02"

// minDecryptBits is the smallest RSA key that secrets are encrypted to.
const minDecryptBits = 3072

// canDecrypt reports whether secrets are encrypted to such a key.
func canDecrypt(key crypto.PublicKey) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k.N.BitLen() >= minDecryptBits
}
