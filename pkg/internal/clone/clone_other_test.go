//go:build !linux

package clone_test

import "testing"

func fileSystems(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{"here": t.TempDir()}
}
