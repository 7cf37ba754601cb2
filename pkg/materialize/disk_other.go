//go:build !linux && !darwin

package materialize

// freeSpace returns how many bytes fit below dir, when that can be known.
func freeSpace(string) (free int64, known bool) { return 0, false }
