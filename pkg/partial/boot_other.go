//go:build !linux && !darwin

package partial

// bootID is empty where the system has no such thing: what counts then is what
// was synced.
func bootID() string { return "" }
