package render

import (
	"fmt"
	"io"
	"strings"
)

// Code returns foreign text as a code span of GitHub Flavored Markdown 0.29
// (section 6.3), which no text in it can end: neither a mention, nor a link, nor HTML
// comes of it. It fits a cell of a table too, where a pipe is escaped even in code
// (section 4.10).
func Code(s string) string {
	s = Clean(s)
	if s == "" {
		return ""
	}
	longest, run := 0, 0
	for _, r := range s {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	pad := ""
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.TrimSpace(s) == "" {
		pad = " "
	}
	return fence + pad + strings.ReplaceAll(s, "|", `\|`) + pad + fence
}

// Table writes rows of a Markdown table, whose cells are Markdown already.
func Table(w io.Writer, header []string, rows [][]string) {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
	}
}
