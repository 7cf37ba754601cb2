// Command gendocs writes the reference of modseal into a directory: one Markdown
// page a command, from what --help says, one of the rules of scan, and one of the
// policy document, whose JSON Schema goes beside the directory.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra/doc"

	"github.com/modseal/modseal/cmd/modseal/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs DIR")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func generate(dir string) error {
	// Pages of commands that are gone must go too.
	old, err := filepath.Glob(filepath.Join(dir, "modseal*.md"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.Command(strings.NewReader(""), io.Discard, io.Discard)
	root.DisableAutoGenTag = true // a date would make every build differ
	if err := doc.GenMarkdownTree(root, dir); err != nil {
		return err
	}
	if err := generateScanRules(dir); err != nil {
		return err
	}
	return generatePolicy(dir)
}
