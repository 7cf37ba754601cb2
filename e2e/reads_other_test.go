//go:build !linux

package e2e_test

import "github.com/rogpeppe/go-internal/testscript"

func reads(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("reads: only Linux counts what a process reads; the script needs [!linux] skip")
}

func countReads() {}
