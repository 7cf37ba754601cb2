//go:build !windows

package render

import "os"

// Draws reports whether the terminal f understands where rows are drawn.
func Draws(*os.File) bool { return true }
