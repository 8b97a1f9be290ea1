package pkcs12

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"strings"
	"testing"
)

// A node is a DER value that tests change.
type node struct {
	tag      byte
	value    []byte // of a primitive one
	children []*node
	endless  bool // written with an indefinite length, as BER
}

func parseNodes(t testing.TB, data []byte) []*node {
	t.Helper()
	var nodes []*node
	for len(data) > 0 {
		n, length, head := &node{tag: data[0]}, int(data[1]), 2
		if length > 0x80 {
			head += length & 0x7f
			length = 0
			for _, b := range data[2:head] {
				length = length<<8 | int(b)
			}
		}
		n.value = data[head : head+length]
		if n.tag&0x20 != 0 {
			n.children = parseNodes(t, n.value)
		}
		nodes = append(nodes, n)
		data = data[head+length:]
	}
	return nodes
}

func (n *node) bytes() []byte {
	value := n.value
	if n.tag&0x20 != 0 {
		value = nil
		for _, c := range n.children {
			value = append(value, c.bytes()...)
		}
	}
	if n.endless {
		return append(append([]byte{n.tag, 0x80}, value...), 0, 0)
	}
	return element(n.tag, value)
}

func element(tag byte, value []byte) []byte {
	length := len(value)
	head := []byte{tag, byte(length)}
	if length > 0x7f {
		head = []byte{tag, 0x83, byte(length >> 16), byte(length >> 8), byte(length)}
		for head[2] == 0 {
			head = append(head[:2:2], head[3:]...)
			head[1]--
		}
	}
	return append(head, value...)
}

// at follows a path of children; -1 goes into what an OCTET STRING holds.
func (n *node) at(path ...int) *node {
	for _, i := range path {
		n = n.children[i]
	}
	return n
}

// The paths of a file to its MacData and to its AuthenticatedSafe.
var (
	macPath  = []int{2}
	safePath = []int{1, 1, 0}
)

// edit changes a file's outer structure.
func edit(t testing.TB, data []byte, change func(file *node)) []byte {
	t.Helper()
	file := parseNodes(t, bytes.Clone(data))[0]
	change(file)
	return file.bytes()
}

// editSafe changes its AuthenticatedSafe, and leaves the MAC as it is.
func editSafe(t testing.TB, data []byte, change func(safe *node)) []byte {
	t.Helper()
	return edit(t, data, func(file *node) {
		octets := file.at(safePath...)
		octets.value = edit(t, octets.value, change)
	})
}

// remac makes the MAC of a file right for password.
func remac(t testing.TB, data []byte, password string) []byte {
	t.Helper()
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	key, err := f.MAC.derive(secretOf(password))
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(f.MAC.mac, key)
	m.Write(f.safe)
	return edit(t, data, func(file *node) { file.at(macPath...).at(0, 1).value = m.Sum(nil) })
}

// encrypt is the reverse of decrypt.
func (a *Algorithm) encrypt(t testing.TB, s secret, plain []byte) []byte {
	t.Helper()
	key, err := a.derive(s)
	if err != nil {
		t.Fatal(err)
	}
	block, err := a.cipher(key[:a.KeySize])
	if err != nil {
		t.Fatal(err)
	}
	iv := a.iv
	if iv == nil {
		iv = key[a.KeySize:]
	}
	pad := block.BlockSize() - len(plain)%block.BlockSize()
	plain = append(plain[:len(plain):len(plain)], strings.Repeat(string(rune(pad)), pad)...)
	out := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, plain)
	return out
}

// editBags changes the contents of the first, encrypted part, and the MAC with it.
func editBags(t testing.TB, data []byte, password string, change func(bags *node)) []byte {
	t.Helper()
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	a := f.Parts[0].Encryption
	plain, err := a.decrypt(secretOf(password), f.Parts[0].data)
	if err != nil {
		t.Fatal(err)
	}
	sealed := a.encrypt(t, secretOf(password), edit(t, plain, change))
	return remac(t, editSafe(t, data, func(safe *node) { safe.at(0, 1, 0, 1, 2).value = sealed }), password)
}
