package render

import (
	"os"

	"golang.org/x/sys/windows"
)

// Draws reports whether the terminal f understands where rows are drawn, and
// has the console of Windows do so: since Windows 10 it can, when asked
// (https://learn.microsoft.com/windows/console/console-virtual-terminal-sequences).
func Draws(f *os.File) bool {
	h := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(h, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_PROCESSED_OUTPUT|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
