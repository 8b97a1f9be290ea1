// Command x509ctl is the operator's tool for a cluster's certificates.
package main

import (
	"os"

	_ "modernc.org/sqlite" // registers the driver that pkg/store asks for by name

	"x509ctl/pkg/cli"
)

func main() { os.Exit(cli.Main()) }
