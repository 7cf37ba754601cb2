//go:build !linux

package partial

import "os"

func syncData(f *os.File) error { return f.Sync() }
