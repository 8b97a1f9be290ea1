package store_test

import (
	"os"
	"testing"

	"x509ctl/pkg/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
