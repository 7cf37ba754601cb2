package partial

import (
	"os"
	"strings"
)

// bootID tells one start of the machine from all others.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
