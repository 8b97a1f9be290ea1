// Package project is what projects need beside an authority: small secrets that are
// encrypted to a project's certificate and decrypted with its key, and the files that
// members are given.
//
// # A key of its own
//
// A project decrypts with an RSA key that is made for that and nothing else. Nova used the
// key of the project's CA: who can have something decrypted by a CA's key, with a padding
// like PKCS #1 v1.5, can have certificates signed by it.
//
// # Two paddings
//
// Everything new is RSA-OAEP with SHA-256, which OpenSSL, Java and Python have too. Bundles
// of EC2 images, as euca2ools made them, are PKCS #1 v1.5 and can be nothing else, so
// [DecryptPKCS1v15] reads these. It never says that a padding is wrong: an answer to that
// question is enough to decrypt everything (Bleichenbacher, 1998, and everybody who thought
// since that his answer was not one). The caller says how long the secret is, gets so many
// octets, and finds out by using them.
//
// # A leaf
//
// The package knows no files, no authority and no store. So the command line and the API
// can encrypt and write archives without the manager, and private keys of members never
// have to travel.
package project
