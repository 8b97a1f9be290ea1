// Package profile says what may be signed: which names, which keys, for how long
// and in which bytes.
//
// # A request is evidence, not an order
//
// A PKCS#10 request proves that somebody holds a key, and says which names he
// would like. Nothing else of it reaches a certificate: names are looked up and
// written as the record spells them, every extension is the profile's own, and
// whatever else was asked for is listed by [Request.Ignored]. crypto/x509 is not
// asked about names, because its CertificateRequest keeps only the last common
// name and drops kinds of name that it does not know; this package walks the
// bytes and counts every kind.
//
// # Unchecked cannot be written
//
// Each step gives a value of a type that only this step makes: [ParseRequest] a
// [Request], [NewSubjectKey] a [SubjectKey], [Policy] and [ProjectPolicy] an [Approved],
// [NewIssuer] and [NewProjectIssuer] an [Issuer], [LeafValidity] a [Validity], [NewLeaf]
// a [Leaf], and [Leaf.TBS] the [TBS] that [Sign] takes. None of them can be changed
// afterwards, and the zero value of each is refused by the next step.
//
// # What is what
//
// The four kinds of certificate that are no CA's are rows of a table, [Profile]. Which
// row a certificate is made by comes with its names, since different policies approve
// them: the names of nodes can't get into a member's certificate, nor the reverse, and an
// Issuer signs for the cluster or for the one project that it was made for.
//
// # Policy is checked on the bytes
//
// [Leaf.TBS] builds the bytes to be signed with a small builder of its own (see
// der.go; crypto/x509 would sign and verify as well, at nearly three times the price) and
// then reads them back twice: with crypto/x509, and with a strict walk that
// compares what crypto/x509 hides. What was read has to be what was approved, and
// has to keep the rules of [Lint], which know nothing of what was approved. A bug in
// the builder ends in an error there and not in a certificate.
//
// # A rehearsal with a throw-away key
//
// What the bytes to be signed don't show is whether the whole certificate is of any
// use: whether the signature that belongs under them is the one that they announce,
// and a client finds its names. So they are signed with a key of the issuer's kind
// that is thrown away, and crypto/x509 verifies that. The rules take 2 us and judge
// every certificate; a rehearsal takes 0.1 ms with P-256, as much as issuing two, and
// 2 ms with RSA. It depends on nothing that changes from one certificate to the next,
// so the first of each shape is rehearsed, for each time that an issuer is loaded, and
// each CA. Faults of the machine are not its business: they are looked for in a
// real signature of each batch.
//
// # Subject key identifiers
//
// They are the first 160 bits of the SHA-256 of the key's bit string, RFC 7093,
// section 2, method 1, and not the SHA-1 that RFC 5280, section 4.2.1.2, suggests:
// the value is an identifier that verifiers compare and never compute, Go itself
// has changed to this method, and so no part of a certificate needs SHA-1, which
// machines in FIPS mode may refuse to compute.
package profile

// Limits on what is read. They bound the time and the memory that anybody's file
// can cost; the largest honest request is a few kilobytes.
const (
	// MaxRequestSize is the size in bytes of the largest request file read.
	MaxRequestSize = 256 << 10
	// MaxNames is how many names, the common name included, one request or one
	// certificate may hold.
	MaxNames = 100
)
