package partial

import "golang.org/x/sys/unix"

// bootID tells one start of the machine from all others.
func bootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
